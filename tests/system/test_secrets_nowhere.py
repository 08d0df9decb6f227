"""Planted secrets, in every place where a URL can be given, over every command: none is printed, none is written."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.servers import Server

MARK = "S3cr3t"
USER, PASSWORD, TOKEN, SIGNATURE = "S3cr3tUser", "S3cr3t/p@ss%", "tk-S3cr3tToken", "S3cr3tSignature0"
QUOTED = "S3cr3t%2Fp%40ss%25"
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


class Site:
    """An index with a password whose links are signed, a channel with a token, and a client that knows them all."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.server, self.folder, self.said = server, folder, [""]
        login = (USER, PASSWORD)
        links = []
        (folder / "made").mkdir()
        for name, requires in (("one", ["two"]), ("two", [])):
            wheel = make_wheel(folder / "made", name, "1.0", requires=requires)
            data = wheel.read_bytes()
            server.add(f"/files/{wheel.name}", data, query=f"sig={SIGNATURE}")
            server.add(f"/typed/{wheel.name}", data, credentials=login)
            digest = hashlib.sha256(data).hexdigest()
            link = f'<a href="../../files/{wheel.name}?sig={SIGNATURE}#sha256={digest}">{wheel.name}</a>'
            server.add(f"/simple/{name}/", link.encode(), content_type="text/html", credentials=login)
            links.append(link.replace("../../", "/"))
        server.add("/links", "".join(links).encode(), content_type="text/html", credentials=login)
        channel = folder / "made" / "channel"
        make_python(channel, MINOR)
        make_conda(channel, "tool", "1.0")
        make_repodata(channel)
        for path in channel.rglob("*"):
            if path.is_file():
                server.add(f"/t/{TOKEN}/chan/{path.relative_to(channel).as_posix()}", path.read_bytes())
        server.add("/names.json", json.dumps({"tool": []}).encode(), query=f"token={SIGNATURE}")
        self.with_user = server.url.replace("//", f"//{USER}:{QUOTED}@")
        self.index, self.channel = f"{self.with_user}/simple/", f"{server.url}/t/{TOKEN}/chan"
        self.typed = f"{self.with_user}/typed/two-1.0-py3-none-any.whl"
        self.inputs = folder / "inputs"
        self.inputs.mkdir()
        self.prefix = folder / "prefix"
        self._bridge = Bridge(cache=folder / "cache", index=None, folder=folder)

    def __call__(self, *words: object, status: int | None = 0, **environ: str) -> Ran:
        base = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "BRIDGE_RETRIES": "0", "BRIDGE_TIMEOUT": "5"}
        ran = self._bridge(*words, environ=base | environ)
        assert status is None or ran.status == status, ran.err
        self.said += [ran.out, ran.err]
        assert MARK not in ran.out, f"printed by {words}: {ran.out}"
        assert MARK not in ran.err, f"printed by {words}: {ran.err}"
        return ran

    @property
    def places(self) -> tuple[object, ...]:
        """Where packages come from, as options."""
        return ("-c", self.channel, "--index-url", self.index)

    def check_files(self) -> None:
        """No file that bridge wrote, and no name of one, has a secret."""
        looked_at = 0
        for path in self.folder.rglob("*"):
            if self.inputs in path.parents or path == self.inputs:
                continue
            assert MARK not in str(path)
            if path.is_file():
                looked_at += 1
                assert MARK.encode() not in path.read_bytes(), path
        assert looked_at > 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Server() as server:
        made = Site(tmp_path_factory.mktemp("site"), server)
        made("create", "-p", made.prefix, *made.places, f"python={MINOR}", "tool", "one", f"two @ {made.typed}", "-v")
        yield made


def test_the_records_of_what_was_installed(site: Site) -> None:
    site.check_files()
    listed = {each["name"]: each for each in site("list", "-p", site.prefix, "--json").document["packages"]}
    assert listed["tool"]["url"] == f"{site.server.url}/chan/noarch/tool-1.0-0.conda"
    assert listed["one"]["url"].endswith("/files/one-1.0-py3-none-any.whl")
    assert listed["two"]["url"].startswith(f"{site.server.url}/typed/two-1.0-py3-none-any.whl")
    assert {"tool", "one", "two", "python"} <= listed.keys()


COMMANDS = [
    "list -p PREFIX",
    "list -p PREFIX --json -v",
    "audit -p PREFIX --fail-on never -v",
    "audit -p PREFIX --fail-on never --json --html page.html",
    "why -p PREFIX two",
    "why -p PREFIX one --json",
    "owner -p PREFIX bin/python --json",
    "resolve PLACES python tool one --json",
    "resolve PLACES python tool one -v",
    "install -p PREFIX PLACES one --dry-run --json",
    "install -p PREFIX PLACES one -v",
    "update -p PREFIX PLACES --dry-run --json",
    "convert PLACES one -o out --index --json --report report.json",
    "cache list --json",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_go_well(site: Site, command: str) -> None:
    words: list[object] = []
    for word in command.split():
        words += site.places if word == "PLACES" else [site.prefix if word == "PREFIX" else word]
    ran = site(*words, status=None)
    assert ran.status in {0, 2}, ran.err
    assert "Traceback" not in ran.err
    site.check_files()


FAILURES = [
    ("resolve PLACES python one>=9 --json", 6),
    ("resolve PLACES python one>=9", 6),
    ("resolve PLACES python nothing --json", None),
    ("resolve -c CHANNEL --index-url WRONG python one --json", 10),
    ("resolve -c CHANNEL --index-url WRONG python one -v", 10),
    ("resolve -c BADTOKEN python", 10),
    ("resolve -c BADTOKEN python --json", 10),
    ("resolve -c CHANNEL --index-url DEAD python one", 10),
    ("resolve -c DEAD python --json", 10),
    ("resolve -c BROKEN python", 2),
    ("resolve -c CHANNEL --index-url BROKEN python one", 2),
    ("resolve -c CHANNEL --index-url BADPORT python one", 2),
    ("resolve -c CHANNEL two@BROKEN", 2),
    ("resolve -c CHANNEL python two@WRONGFILE", None),
    ("resolve -c CHANNEL python two@NOARCHIVE --json", None),
    ("resolve -c CHANNEL python --name-map BADNAMES", None),
    ("resolve -c CHANNEL python one --index-url INDEX --find-links DEAD", 10),
    ("convert two@WRONGFILE -o out --json", None),
    ("resolve -c CHANNEL BADTOKEN::tool", None),
    ("resolve -c CHANNEL BADTOKEN/noarch/tool-1.0-0.conda", 0),  # the same package, by another token
]


@pytest.mark.parametrize(("command", "status"), FAILURES)
def test_commands_that_fail(site: Site, command: str, status: int | None) -> None:
    """With BRIDGE_DEBUG, which also prints the traceback of every library below."""
    server = site.server.url
    named = {
        "WRONG": server.replace("//", f"//{USER}:S3cr3tWrong@") + "/simple/",
        "WRONGFILE": server.replace("//", f"//{USER}:S3cr3tWrong@") + "/typed/two-1.0-py3-none-any.whl",
        "NOARCHIVE": f"{server}/files/?sig={SIGNATURE}",
        "BADTOKEN": f"{server}/t/tk-S3cr3tBad/chan",
        "BADNAMES": f"{server}/names.json?token=S3cr3tBadToken",
        "BADPORT": f"http://{USER}:{QUOTED}@127.0.0.1:99999/simple/",
        "DEAD": f"http://{USER}:{QUOTED}@127.0.0.1:9/t/{TOKEN}/simple/?token={SIGNATURE}",
        "BROKEN": f"https://{USER}:S3cr3t/pa@ss@host.example/simple/",
        "CHANNEL": site.channel,
        "INDEX": site.index,
    }
    words: list[object] = []
    for word in command.split():
        if word == "PLACES":
            words += site.places
            continue
        if word == "PREFIX":
            words.append(site.prefix)
            continue
        head, at, rest = word.partition("@")
        found = f"{head} @ {named.get(rest, rest)}" if at else word
        start = next((key for key in sorted(named, key=len, reverse=True) if not at and word.startswith(key)), None)
        words.append(named[start] + word[len(start) :] if start else found)
    ran = site(*words, status=status, BRIDGE_DEBUG="1")
    assert ran.status != 0 or status == 0
    assert "error[internal]" not in ran.err, ran.err
    site.check_files()


@pytest.mark.slow
def test_secrets_that_come_from_elsewhere(site: Site) -> None:
    """The environment, a requirement file, pip's configuration, find-links, a name map, and a proxy."""
    (site.inputs / "requirements.txt").write_text(
        f"--index-url {site.index}\n--find-links {site.with_user}/links\ntwo @ {site.typed}\none\n"
    )
    (site.inputs / "pip.conf").write_text(f"[global]\nindex-url = {site.index}\nfind-links = {site.with_user}/links\n")
    conf: dict[str, Any] = {"PIP_CONFIG_FILE": str(site.inputs / "pip.conf"), "PIP_NO_INDEX": "0"}
    python = f"python={MINOR}"
    site("resolve", "-c", site.channel, "-r", site.inputs / "requirements.txt", "--json", status=None)
    site("resolve", "-c", site.channel, python, "one", "--json", **conf)
    site("resolve", python, "one", "tool", "--json", BRIDGE_CHANNEL=site.channel, BRIDGE_INDEX_URL=site.index)
    site("resolve", python, "one", BRIDGE_CHANNEL=site.channel, BRIDGE_FIND_LINKS=f"{site.with_user}/links")
    names = f"{site.server.url}/names.json?token={SIGNATURE}"
    site("resolve", "-c", site.channel, python, "tool", "--name-map", names, "--json")
    proxy = f"http://{USER}:{QUOTED}@127.0.0.1:9"
    site("resolve", "-c", "http://far.invalid/chan", python, status=10, BRIDGE_PROXY=proxy)
    for scheme in ("HTTP_PROXY", "http_proxy"):
        environ: dict[str, Any] = {scheme: proxy}
        site("resolve", "-c", "http://far.invalid/chan", python, status=10, BRIDGE_DEBUG="1", **environ)
    explicit = site.inputs / "explicit.txt"
    explicit.write_text(f"@EXPLICIT\n{site.channel}/noarch/tool-1.0-0.conda\n")
    site("create", "-p", site.folder / "explicit", "-r", explicit, "--json")
    site.check_files()


@pytest.mark.slow
def test_a_later_run_gets_them_again_from_the_configuration(site: Site) -> None:
    """Records have no secrets; what names the channel and the index has, and without it the error says what to give."""
    environ: dict[str, Any] = {"BRIDGE_CHANNEL": site.channel, "BRIDGE_INDEX_URL": site.index}
    own = site.folder / "later"  # what other tests look at stays as it is
    site("create", "-p", own, *site.places, f"python={MINOR}", "tool", "one")
    site("remove", "-p", own, "tool", **environ)
    site("install", "-p", own, "tool", "one", **environ)
    site("remove", "-p", own, "tool", **environ)
    ran = site("install", "-p", own, "tool", status=10, BRIDGE_INDEX_URL=site.index)
    assert "-c" in ran.err
    ran = site("resolve", "-c", site.channel, "--index-url", f"{site.server.url}/simple/", "python", "one", status=10)
    assert "give a user and a password" in ran.err
    site.check_files()

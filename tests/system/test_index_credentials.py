"""Which credentials a request to an index gets: those typed for its URL, else netrc's, else the keyring's."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.version import Version

from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran, clean_environment
from tests.support.pip import PIP
from tests.support.servers import HTML, Server

ME = ("me", "p@ss word")
TYPED = "me:p%40ss%20word@"


class Site(Server):
    """Two indexes on one host, `/private/simple/` and `/public/simple/`; their files are outside of these paths."""

    def publish(self, index: str, wheel: Path, credentials: tuple[str, str] | None = None) -> None:
        project, digest = wheel.name.partition("-")[0], hashlib.sha256(wheel.read_bytes()).hexdigest()
        page = f'<a href="/files/{index}/{wheel.name}#sha256={digest}">x</a>'
        self.add(f"/{index}/simple/{project}/", page.encode(), content_type=HTML, credentials=credentials)
        self.add(f"/files/{index}/{wheel.name}", wheel.read_bytes(), credentials=credentials)

    def at(self, path: str, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.port}{path}"

    def sent(self, part: str) -> set[str]:
        """The credentials sent to the paths with this part; `""` for none."""
        fields = [asked.headers.get("Authorization") for asked in self.asked if part in asked.path]
        return {base64.b64decode(field.removeprefix("Basic ")).decode() if field else "" for field in fields}


class Place:
    """A channel with python, the site, and bridge."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder, self.site = folder, site
        make_conda(folder / "channel", "python", "3.12.1", subdir="linux-64", noarch=None)
        make_repodata(folder / "channel")
        site.publish("private", make_wheel(folder, "mine", "1.0", requires=["theirs"]), ME)
        site.publish("public", make_wheel(folder, "theirs", "1.0"))

    def resolve(self, *words: str, **environ: str) -> Ran:
        own = {"PIP_CONFIG_FILE": os.devnull, "NETRC": str(self.folder / "netrc"), "HOME": str(self.folder)}
        bridge = Bridge(cache=self.folder / "cache", index=None, folder=self.folder, environ=own | environ)
        ran = bridge("resolve", "--json", "-c", "./channel", "--platform", "linux-64", "python", *words)
        assert ME[1] not in ran.out + ran.err
        return ran

    def keyring(self, service: str) -> str:
        """Write a program `keyring` that knows one password; return the PATH with it."""
        program = self.folder / "bin/keyring"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\n[ "$1 $2 $3" = "get {service} {ME[0]}" ] && echo "{ME[1]}"\n')
        program.chmod(0o755)
        return f"{program.parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Site() as site:
        yield Place(tmp_path, site)


@pytest.mark.parametrize("order", ["private first", "public first"])
def test_credentials_of_one_index_are_not_sent_to_another_on_its_host(place: Place, order: str) -> None:
    private, public = place.site.at("/private/simple/", TYPED), place.site.at("/public/simple/")
    first, second = (private, public) if order == "private first" else (public, private)
    ran = place.resolve("--index-url", first, "--extra-index-url", second, "mine")
    assert ran.status == 0, ran.err
    assert place.site.sent("/private/") == {"me:p@ss word"}  # page and file
    assert place.site.sent("/public/") == {""}


def test_the_same_in_a_requirement_file(place: Place) -> None:
    (place.folder / "requirements.txt").write_text(
        f"-i {place.site.at('/private/simple/', TYPED)}\n--extra-index-url {place.site.at('/public/simple/')}\nmine\n"
    )
    assert place.resolve("-r", "requirements.txt").status == 0
    assert place.site.sent("/private/") == {"me:p@ss word"}
    assert place.site.sent("/public/") == {""}


def test_a_requirement_by_url_gets_what_was_typed_for_it(place: Place) -> None:
    url = place.site.at("/files/public/theirs-1.0-py3-none-any.whl")
    ran = place.resolve("--index-url", place.site.at("/private/simple/", TYPED), f"theirs @ {url}", "mine")
    assert ran.status == 0, ran.err
    assert place.site.sent("/files/public/") == {""}
    mine = place.site.at("/files/private/mine-1.0-py3-none-any.whl", TYPED)
    ran = place.resolve("--index-url", place.site.at("/public/simple/"), f"mine @ {mine}")
    assert ran.status == 0, ran.err
    assert place.site.sent("/public/simple/") == {""}


def test_netrc_serves_what_nobody_typed(place: Place) -> None:
    netrc = place.folder / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password none\n")
    netrc.chmod(0o600)
    indexes = (
        "--index-url",
        place.site.at("/private/simple/", TYPED),
        "--extra-index-url",
        place.site.at("/public/simple/"),
    )
    assert place.resolve(*indexes, "mine").status == 0
    assert place.site.sent("/private/") == {"me:p@ss word"}
    assert place.site.sent("/public/") == {"other:none"}


@pytest.mark.slow
@pytest.mark.parametrize("service", ["the index", "the host"])
def test_the_program_keyring_serves_the_rest_as_in_pip(place: Place, service: str) -> None:
    if Version("23.1") > PIP:
        pytest.skip(f"pip {PIP} has no --keyring-provider")
    index = place.site.at("/private/simple/", "me@")
    asked = place.site.at("/private/simple/") if service == "the index" else f"127.0.0.1:{place.site.port}"
    path = place.keyring(asked)
    words = ["--index-url", index, "--extra-index-url", place.site.at("/public/simple/"), "mine"]
    refused = place.resolve(*words, PATH=path, BRIDGE_KEYRING_PROVIDER="disabled")
    assert refused.status == 10, refused.err
    assert "keyring" in refused.err
    ran = place.resolve(*words, PATH=path, PIP_KEYRING_PROVIDER="subprocess")
    assert ran.status == 0, ran.err
    assert place.site.sent("/public/") == {""}
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
    pip += ["--keyring-provider", "subprocess", "-d", str(place.folder / "got"), "--index-url", index, "mine"]
    environ = clean_environment() | {"PATH": path, "PIP_CONFIG_FILE": os.devnull}
    said = subprocess.run(pip, env=environ, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr

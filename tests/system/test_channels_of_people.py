"""Channels as people have them: private ones, mirrors that conda is configured for, clauses, a cache that moves."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_repodata
from tests.support.command_line import Bridge
from tests.support.servers import Server, tls_files


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """No configuration, no index and no channel; HOME is the folder of the test."""
    environ = {"HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    return Bridge(cache=tmp_path / "cache", index=None, folder=tmp_path, environ=environ)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as served:
        yield served


def publish(server: Server, folder: Path, root: str, **route: object) -> None:
    """Serve the channel in `folder` below `root`."""
    for path in folder.rglob("*"):
        if path.is_file():
            server.add(f"{root}/{path.relative_to(folder).as_posix()}", path.read_bytes(), **route)


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    make_conda(tmp_path / "private", "tool", "1.0")
    make_repodata(tmp_path / "private")
    return tmp_path / "private"


@pytest.mark.parametrize("kind", ["BasicHTTP", "CondaToken"])
def test_what_rattler_stores_opens_a_private_channel(bridge: Bridge, server: Server, channel: Path, kind: str) -> None:
    root = "/t/to-ken-1/private" if kind == "CondaToken" else "/private"
    publish(server, channel, root, **({} if kind == "CondaToken" else {"credentials": ("me", "secret-1")}))
    host = server.url.partition("://")[2]
    entry = "to-ken-1" if kind == "CondaToken" else {"username": "me", "password": "secret-1"}
    store = bridge.folder / ".rattler" / "credentials.json"
    store.parent.mkdir()
    words = ("create", "-p", "env", "-c", f"{server.url}/private", "tool")
    assert bridge(*words).status == 10
    store.write_text(json.dumps({host: {kind: entry}}))
    ran = bridge(*words, "-v")
    assert ran.status == 0, ran.err
    (record,) = (bridge.folder / "env" / "conda-meta").glob("tool-*.json")
    for text in (record.read_text(), ran.err, ran.out):
        assert "to-ken-1" not in text
        assert "secret-1" not in text


@pytest.mark.parametrize("kind", ["BasicHTTP", "BearerToken"])
def test_what_pixi_keeps_in_the_keyring_opens_a_private_channel(
    bridge: Bridge, server: Server, channel: Path, kind: str
) -> None:
    """Pixi's entry has the service `rattler` and the host as its user; its password is the JSON of a credential."""
    basic = kind == "BasicHTTP"
    expected = ("me", "secret-1") if basic else None
    publish(server, channel, "/private", **({"credentials": expected} if basic else {"bearer": "bear-1"}))
    entry = {kind: {"username": "me", "password": "secret-1"} if basic else "bear-1"}
    host = server.url.partition("://")[2]
    program = bridge.folder / "bin" / "keyring"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n[ \"$*\" = 'get rattler {host}' ] && echo '{json.dumps(entry)}'\n")
    program.chmod(0o755)
    words = ("resolve", "-c", f"{server.url}/private", "tool", "-v", "--json")
    path = {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}
    assert bridge(*words, environ={**path, "BRIDGE_KEYRING_PROVIDER": "disabled"}).status == 10
    ran = bridge(*words, environ={**path, "BRIDGE_KEYRING_PROVIDER": "subprocess"})
    assert ran.status == 0, ran.err
    assert "secret-1" not in ran.err + ran.out
    assert "bear-1" not in ran.err + ran.out


def test_a_bearer_token_is_sent_to_its_channel_alone(bridge: Bridge, server: Server, channel: Path) -> None:
    asked: dict[str, str | None] = {}
    publish(server, channel, "/private")
    publish(server, channel, "/public")
    store = bridge.folder / "auth.json"
    store.write_text(json.dumps({f"{server.url.partition('://')[2]}/private": {"BearerToken": "bear-1"}}))
    words = ("-c", f"{server.url}/private", "-c", f"{server.url}/public", "tool")
    ran = bridge("resolve", *words, environ={"RATTLER_AUTH_FILE": str(store)})
    assert ran.status == 0, ran.err
    for each in server.asked:
        asked[each.path] = each.headers.get("Authorization")
    assert {path.split("/")[1] for path, header in asked.items() if header == "Bearer bear-1"} == {"private"}
    assert {path.split("/")[1] for path, header in asked.items() if header is None} == {"public"}


def test_condas_configuration_names_the_channels(bridge: Bridge, channel: Path) -> None:
    make_conda(bridge.folder / "other", "more", "1.0")
    make_repodata(bridge.folder / "other")
    (bridge.folder / ".condarc").write_text(
        f"channel_alias: {bridge.folder.as_uri()}\ndefault_channels: [{channel.as_uri()}, other]\n"
        "channels: [defaults]\ntrack_features: mkl\n"
    )
    ran = bridge("create", "-p", "env", "tool", "defaults::more", "--json")
    assert ran.status == 0, ran.err
    assert ran.err.count("bridge does not honour track_features") == 1
    assert bridge("create", "-p", "second", "-c", "other", "tool").status == 6
    (bridge.folder / ".condarc").write_text(f"denylist_channels: [{channel.as_uri()}]\n")
    ran = bridge("create", "-p", "second", "-c", "./private", "tool")
    assert (ran.status, "does not allow the channel" in ran.err) == (2, True), ran.err


def test_a_request_may_name_another_channel(bridge: Bridge, channel: Path) -> None:
    make_conda(bridge.folder / "first", "tool", "0.5")
    make_conda(bridge.folder / "first", "more", "1.0", index={"depends": ["tool >=1"]})
    make_repodata(bridge.folder / "first")
    ran = bridge("create", "-p", "env", "-c", "./first", "more")
    assert (ran.status, "private" in ran.err) == (6, False), ran.err
    ran = bridge("create", "-p", "env", "-c", "./first", "-c", "./private", "more")
    assert (ran.status, "which strict priority hides" in ran.err) == (6, True), ran.err
    ran = bridge("create", "-p", "env", "-c", "./first", "more", f"{channel}::tool")
    assert ran.status == 0, ran.err
    assert "because a requirement names it" in ran.err
    assert bridge("update", "-p", "env").status == 0


def test_channels_of_the_command_line_come_before_those_of_a_file(bridge: Bridge, channel: Path) -> None:
    make_conda(bridge.folder / "own", "tool", "9.0")
    make_repodata(bridge.folder / "own")
    (bridge.folder / "environment.yml").write_text(f"channels: [{channel}]\ndependencies: [tool]\n")
    for words, version in (((), "1.0"), (("-c", "./own"), "9.0")):
        ran = bridge("resolve", "-r", "environment.yml", *words, "--json")
        assert [each["version"] for each in ran.document["packages"]] == [version], ran.err
    make_conda(channel, "only", "1.0")
    make_repodata(channel)
    asked = ("resolve", "-r", "environment.yml", "only", "-c", "./own")
    assert bridge(*asked).status == 0
    assert bridge(*asked, "--override-channels").status == 6


@pytest.mark.slow
def test_what_locks_an_environment_of_host_outlives_the_cache(bridge: Bridge, tmp_path: Path) -> None:
    """The interpreter is packed again: its archive is written only where one is asked for."""
    asked = ("python", "-c", "host", "--override-channels")
    for name in ("a.lock", "explicit.txt", "again.txt"):
        if name == "a.lock":
            made = bridge("lock", *asked, "-o", name)
        else:
            made = bridge("export", "-p", "of-a.lock", "--format", "explicit", "-o", name)
        assert made.status == 0, made.err
        shutil.rmtree(tmp_path / "cache")
        if name == "a.lock":
            fetched = bridge("fetch", name, "-o", "fetched")
            assert fetched.status == 0, fetched.err
            assert len([*(tmp_path / "fetched/conda").rglob("*.conda")]) == 2
            shutil.rmtree(tmp_path / "cache")
        done = bridge("create", "-p", name[:-4], "-r", name) if name == "again.txt" else bridge(
            "sync", "-p", f"of-{name}", name
        )  # fmt: skip
        assert done.status == 0, done.err


def test_an_environment_of_host_outlives_the_cache(bridge: Bridge, channel: Path) -> None:
    ran = bridge("create", "-p", "env", "-c", "host", "-c", "./private", "python_abi", "--json")
    assert ran.status == 0, ran.err
    (record,) = (bridge.folder / "env" / "conda-meta").glob("python_abi-*.json")
    assert json.loads(record.read_text())["channel"] == "host"
    shutil.rmtree(bridge.cache)
    moved = Bridge(cache=bridge.folder / "moved", index=None, folder=bridge.folder, environ=bridge.environ)
    for words in (("install", "-p", "env", "-c", "host", "-c", "./private", "tool"), ("update", "-p", "env")):
        ran = moved(*words)
        assert ran.status == 0, ran.err
    # What bridge wrote before names the directory.
    document = json.loads(record.read_text())
    record.write_text(json.dumps(document | {"channel": (bridge.folder / "gone" / "host").as_uri()}))
    ran = moved("update", "-p", "env")
    assert ran.status == 0, ran.err
    (row,) = [
        each for each in moved("list", "-p", "env", "--json").document["packages"] if each["name"] == "python_abi"
    ]
    assert row["channel"] == "host"


@pytest.mark.parametrize(("value", "status"), [("true", 10), ("false", 0), ("{certificate}", 0)])
def test_condas_ssl_verify_counts_for_channels(
    bridge: Bridge, channel: Path, tmp_path: Path, value: str, status: int
) -> None:
    certificate, key = tls_files(tmp_path)
    with Server((certificate, key)) as server:
        publish(server, channel, "/private")
        (tmp_path / ".condarc").write_text(f"ssl_verify: {value.format(certificate=certificate)}\n")
        environ = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"), "") | {"BRIDGE_RETRIES": "0"}
        ran = bridge("create", "-p", "env", "-c", f"{server.url}/private", "tool", environ=environ)
        assert ran.status == status, ran.err


def test_condas_proxies_are_used(bridge: Bridge, server: Server) -> None:
    (bridge.folder / ".condarc").write_text(f"proxy_servers:\n  http: {server.url}\n")
    ran = bridge("resolve", "-c", "http://channel.example/c", "tool", environ={"BRIDGE_RETRIES": "0"})
    assert ran.status == 10, ran.err
    assert any("channel.example/c/noarch" in each.path for each in server.asked)


def test_a_channel_that_was_added_is_told_though_it_does_not_answer(bridge: Bridge, channel: Path) -> None:
    ran = bridge("resolve", "-c", channel, "./nowhere::tool")
    assert ran.status == 10, ran.err
    assert "because a requirement names it" in ran.err


def test_a_package_at_a_path_needs_no_channel(bridge: Bridge, tmp_path: Path) -> None:
    """A download: no channel lists it, the default one does not answer, and the file may go afterwards."""
    folder = tmp_path / "downloads"
    make_conda(folder, "tool", "1.0", depends=["base"])
    make_conda(folder, "base", "2.0")
    make_conda(folder, "other", "1.0", subdir="win-64", noarch=None)
    tool, base = (f"downloads/noarch/{name}.conda" for name in ("tool-1.0-0", "base-2.0-0"))
    alone = bridge("create", "-p", "env", tool, "--offline")
    assert (alone.status, "depends on `base`" in alone.err, "is left out" in alone.err) == (6, True, True)
    assert "is for win-64" in bridge("create", "-p", "env", "downloads/win-64/other-1.0-0.conda").err
    created = bridge("create", "-p", "env", tool, base, "--offline")
    assert (created.status, "this channel is left out" in created.err) == (0, True), created.err
    shutil.rmtree(folder)
    make_conda(tmp_path / "private", "later", "1.0", depends=["tool"])
    make_repodata(tmp_path / "private")
    assert bridge("install", "-p", "env", "-c", tmp_path / "private", "later").status == 0
    listed = bridge("list", "-p", "env", "--json").document["packages"]
    assert {each["name"]: each["version"] for each in listed} == {"base": "2.0", "later": "1.0", "tool": "1.0"}


@pytest.mark.parametrize("place", ["releases/v1", "download/noarch"])
def test_a_package_at_a_url_needs_no_channel(bridge: Bridge, server: Server, tmp_path: Path, place: str) -> None:
    """As of a release, or behind the download link of a web page: later changes do not ask for a channel there."""
    package = make_conda(tmp_path / "made", "tool", "1.0")
    server.add(f"/{place}/{package.name}", package.read_bytes())
    private = tmp_path / "private"
    make_conda(private, "later", "1.0", depends=["tool"])
    make_repodata(private)
    url = f"{server.url}/{place}/{package.name}"
    created = bridge("create", "-p", "env", url, "-c", private)
    assert created.status == 0, created.err
    assert f"conda {server.url.partition('://')[2]}" in created.err
    for _ in range(2):
        installed = bridge("install", "-p", "env", "-c", private, "later")
        assert installed.status == 0, installed.err
    record = json.loads((bridge.folder / "env/conda-meta/tool-1.0-0.json").read_bytes())
    assert (record["url"], record["channel"], record["requested_specs"]) == (url, "<unknown>", [url])
    updated = bridge("update", "-p", "env", "--all")
    assert (updated.status, "there is no channel" in updated.err) == (0, False), updated.err
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    assert bridge("create", "-p", "pinned", f"{url}#sha256:{digest}", "-c", private).status == 0
    other = bridge("create", "-p", "other", f"{url}#sha256:{'0' * 64}", "-c", private)
    assert (other.status, "hash-mismatch" in other.err) == (5, True), other.err
    gone = bridge("create", "-p", "other", f"{server.url}/{place}/tool-2.0-0.conda", "-c", private)
    assert gone.status == 10, gone.err


def test_lists_and_locks_name_packages_outside_channels(bridge: Bridge, server: Server, tmp_path: Path) -> None:
    package = make_conda(tmp_path / "made", "tool", "1.0")
    server.add("/v1/tool-1.0-0.conda", package.read_bytes())
    private = tmp_path / "private"
    make_conda(private, "other", "1.0")
    make_repodata(private)
    url, md5 = f"{server.url}/v1/tool-1.0-0.conda", hashlib.md5(package.read_bytes()).hexdigest()
    for digest, status in (("", 0), (f"#{md5}", 0), (f"#{'0' * 32}", 5)):
        (tmp_path / "list.txt").write_text(f"@EXPLICIT\n{url}{digest}\n")
        done = bridge("create", "-p", f"listed{digest[1:4]}", "-r", "list.txt", "-c", private)
        assert done.status == status, done.err
    assert bridge("export", "-p", "listed", "--format", "explicit", "-o", "explicit.txt").status == 0
    assert bridge("export", "-p", "listed", "--format", "environment", "-o", "environment.yml").status == 0
    done = bridge("create", "-p", "of-environment", "-r", "environment.yml", "-c", private)
    assert done.status == 0, done.err
    for name in ("explicit.txt", "conda-lock.yml", "pixi.lock"):
        if name != "explicit.txt":
            locked = bridge("lock", url, "-o", name, "-c", private)
            assert locked.status == 0, locked.err
        synced = bridge("sync", "-p", f"of-{name}", name)
        assert synced.status == 0, synced.err
        record = json.loads((bridge.folder / f"of-{name}/conda-meta/tool-1.0-0.json").read_bytes())
        assert (record["url"], record["channel"], record["subdir"]) == (url, "<unknown>", "noarch")


def test_an_old_record_is_verified_by_its_md5(bridge: Bridge, server: Server, channel: Path) -> None:
    """Old packages of public channels have no sha256; conda goes by the md5."""
    repodata = channel / "noarch/repodata.json"
    document = json.loads(repodata.read_bytes())
    (record,) = document["packages.conda"].values()
    del record["sha256"]
    repodata.write_text(json.dumps(document))
    publish(server, channel, "/old")
    created = bridge("create", "-p", "env", "-c", f"{server.url}/old", "tool")
    assert created.status == 0, created.err
    installed = json.loads((bridge.folder / "env/conda-meta/tool-1.0-0.json").read_bytes())
    assert (installed["md5"], len(installed["sha256"])) == (record["md5"], 64)
    record["md5"] = "0" * 32
    repodata.write_text(json.dumps(document))
    refused = bridge("create", "-p", "other", "-c", channel, "tool")
    assert (refused.status, "another md5" in refused.err) == (5, True), refused.err

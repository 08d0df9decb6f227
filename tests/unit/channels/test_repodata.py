"""`bridge.channels.repodata`: channels over the network, in each form of repodata, from servers of every temper."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest
import zstandard

from bridge.channels.repodata import whole
from bridge.channels.sources import Channels
from bridge.convert.channel_index import write_index
from bridge.errors import BridgeError, IntegrityError, NetworkError, UnsafeInputError
from bridge.fetch.client import Client
from tests.support.builders import make_conda
from tests.support.clients import MakeClient
from tests.support.servers import Server, tls_files

Record = dict[str, object]
Open = Callable[..., Channels]


def record(name: str, version: str = "1.0", **fields: object) -> Record:
    digest = hashlib.sha256(f"{name}-{version}".encode()).hexdigest()
    plain: Record = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": [], "size": 3}
    return plain | {"subdir": "noarch", "noarch": "generic", "sha256": digest, "md5": digest[:32]} | fields


def document(*records: Record, **info: object) -> bytes:
    section = {f"{each['name']}-{each['version']}-0.conda": each for each in records}
    return json.dumps({"info": {"subdir": "noarch"} | info, "packages": {}, "packages.conda": section}).encode()


def packed(data: bytes) -> bytes:
    return zstandard.compress(data)


def publish_shards(server: Server, *records: Record, prefix: str = "", **info: object) -> dict[str, bytes]:
    """Shards of one record each; returns the path of each name's shard by name."""
    digests, paths = {}, {}
    for each in records:
        fields = each | {"sha256": bytes.fromhex(str(each["sha256"])), "md5": bytes.fromhex(str(each["md5"]))}
        name = f"{each['name']}-{each['version']}-0.conda"
        shard = packed(msgpack.packb({"packages": {}, "packages.conda": {name: fields}, "removed": []}))
        digests[str(each["name"])] = hashlib.sha256(shard).digest()
        path = f"{prefix}/chan/noarch/shards/{hashlib.sha256(shard).hexdigest()}.msgpack.zst"
        server.add(path, shard)
        paths[str(each["name"])] = path.encode()
    whole_info = {"subdir": "noarch", "base_url": "./", "shards_base_url": "./shards/"} | info
    index = {"version": 1, "info": whole_info, "shards": digests}
    server.add(f"{prefix}/chan/noarch/repodata_shards.msgpack.zst", packed(msgpack.packb(index)), etag='"1"')
    return paths


@pytest.fixture
def opened(make_client: MakeClient, tmp_path: Path) -> Iterator[Open]:
    """Opens channels with a client of the given settings; they are closed when the test ends."""
    made: list[Channels] = []

    def open_channels(*urls: str, **options: object) -> Channels:
        client = make_client(**({"retries": 0} | options))
        cache = tmp_path / "cache"
        made.append(Channels(lambda: client, urls, "linux-64", cache, offline=client.settings.offline))
        return made[-1]

    yield open_channels
    for each in made:
        each.close()


# The forms of repodata.


@pytest.mark.parametrize("form", ["json", "zst", "json, gzip on the way", "json, zstd on the way", "shards"])
def test_each_form_says_the_same(opened: Open, server: Server, form: str) -> None:
    data = document(record("a", extra_depends={"x": ["b"]}, track_features="slow"), record("b"))
    if form == "shards":
        publish_shards(server, record("a", extra_depends={"x": ["b"]}, track_features="slow"), record("b"))
    elif form == "zst":
        server.add("/chan/noarch/repodata.json.zst", packed(data))
    elif "on the way" in form:
        encoding = form.split()[1]
        body = gzip.compress(data) if encoding == "gzip" else packed(data)
        server.add("/chan/noarch/repodata.json", body, headers={"Content-Encoding": encoding})
    else:
        server.add("/chan/noarch/repodata.json", data)
    found = opened(f"{server.url}/chan").records("a")
    assert [(each.version, each.filename, each.url) for each in found] == [
        ("1.0", "a-1.0-0.conda", f"{server.url}/chan/noarch/a-1.0-0.conda")
    ]
    assert found[0].origin == f"{server.url}/chan"
    assert found[0].extra_requirements == (("x", ("b",)),)
    assert found[0].track_features == ("slow",)
    assert found[0].sha256 == hashlib.sha256(b"a-1.0").hexdigest()


def test_a_channel_that_bridge_indexes_reads_back(opened: Open, server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "chan"
    make_conda(folder, "tool", "1.0")
    make_conda(folder, "tool", "2.0")
    write_index(folder)
    for path in folder.rglob("*"):
        if path.is_file():
            server.add(f"/chan/{path.relative_to(folder).as_posix()}", path.read_bytes())
    found = opened(f"{server.url}/chan")
    assert {each.version for each in found.records("tool")} == {"1.0", "2.0"}
    assert found.archive(found.records("tool")[0]).is_file()
    assert server.count("/chan/noarch/repodata.json") == 0


@pytest.mark.parametrize("form", ["json", "zst", "shards"])
def test_a_second_run_asks_whether_it_changed_and_offline_nobody(opened: Open, server: Server, form: str) -> None:
    if form == "shards":
        publish_shards(server, record("a"))
    else:
        name = "repodata.json" if form == "json" else "repodata.json.zst"
        data = document(record("a"))
        server.add(f"/chan/noarch/{name}", data if form == "json" else packed(data), etag='"1"')
    for _ in range(2):
        assert len(opened(f"{server.url}/chan").records("a")) == 1
    assert [asked.status for asked in server.asked if asked.status in {200, 304}][-1] == 304
    before = len(server.asked)
    assert len(opened(f"{server.url}/chan", offline=True).records("a")) == 1
    assert len(server.asked) == before
    with pytest.raises(NetworkError) as caught:
        opened("http://127.0.0.1:9/other", offline=True).records("a")
    assert caught.value.id == "offline"


def test_what_is_fresh_is_not_asked_for_again(opened: Open, server: Server) -> None:
    server.add("/chan/noarch/repodata.json", document(record("a")), headers={"Cache-Control": "max-age=600"})
    for _ in range(2):
        assert len(opened(f"{server.url}/chan").records("a")) == 1
    assert server.count("/chan/noarch/repodata.json") == 1


def test_a_copy_that_was_damaged_is_fetched_again(opened: Open, server: Server, tmp_path: Path) -> None:
    server.add("/chan/noarch/repodata.json", document(record("a")), headers={"Cache-Control": "max-age=600"})
    assert opened(f"{server.url}/chan").records("a")
    copy = next((tmp_path / "cache" / "repodata" / "whole").rglob("*.json"))
    copy.write_bytes(copy.read_bytes().replace(b'"1.0"', b'"6.6"'))
    assert [each.version for each in opened(f"{server.url}/chan").records("a")] == ["1.0"]


# Secrets.


@pytest.mark.parametrize("form", ["json", "shards"])
@pytest.mark.parametrize("secret", ["token", "user"])
def test_a_private_channel(opened: Open, server: Server, tmp_path: Path, form: str, secret: str) -> None:
    """The secret reaches the server for repodata and archive alike, and no file and no record."""
    prefix = "/t/tk-SECRET1" if secret == "token" else ""
    options: dict[str, object] = {} if secret == "token" else {"credentials": ("me", "SECRET1")}
    if form == "json":
        server.add(f"{prefix}/chan/noarch/repodata.json", document(record("a")), **options)
    else:
        publish_shards(server, record("a"), prefix=prefix)
    server.add(f"{prefix}/chan/noarch/a-1.0-0.conda", b"a-1", **options)
    for route in server.routes.values():
        route.credentials = ("me", "SECRET1") if secret == "user" else None
    given = f"{server.url.replace('//', '//me:SECRET1@') if secret == 'user' else server.url}{prefix}/chan"
    found = opened(given)
    (one,) = found.records("a")
    assert one.url == f"{server.url}/chan/noarch/a-1.0-0.conda"
    with pytest.raises(IntegrityError):
        found.archive(one)  # it came, and is not what was promised
    assert "SECRET1" not in repr((one, found.urls, found.texts))
    kept = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"SECRET1" in path.read_bytes() or "SECRET1" in str(path)]


def test_what_came_for_one_credential_is_not_served_to_another(opened: Open, server: Server) -> None:
    fresh = {"Cache-Control": "max-age=600"}
    server.add("/chan/noarch/repodata.json", document(record("a")), headers=fresh, credentials=("me", "right"))
    assert opened(server.url.replace("//", "//me:right@") + "/chan").records("a")
    from bridge.secrets import SECRETS

    for other in ("", "me:wrong@"):
        SECRETS.forget()
        with pytest.raises(NetworkError, match="did not answer"):
            opened(server.url.replace("//", f"//{other}") + "/chan").records("a")
        with pytest.raises(NetworkError):
            opened(server.url.replace("//", f"//{other}") + "/chan", offline=True).records("a")


# Where a server may not lead.


@pytest.mark.parametrize(
    "base", ["file:///etc/", "file:/etc", "ftp://h/x", "javascript:1", "http://[", "http://h:99999/", 7]
)
@pytest.mark.parametrize("form", ["json", "zst", "shards", "shards of"])
def test_r03_a_base_url_that_leads_astray(opened: Open, server: Server, base: object, form: str) -> None:
    data = document(record("a"), base_url=base)
    if form == "shards":
        publish_shards(server, record("a"), base_url=base)
    elif form == "shards of":
        publish_shards(server, record("a"), shards_base_url=base)
    elif form == "zst":
        server.add("/chan/noarch/repodata.json.zst", packed(data))
    else:
        server.add("/chan/noarch/repodata.json", data)
    with pytest.raises(UnsafeInputError) as caught:
        opened(f"{server.url}/chan").records("a")
    assert caught.value.id in {"url-refused", "repodata-invalid"}


# TLS.


def test_channels_are_read_with_the_tls_settings_of_the_run(opened: Open, tmp_path: Path, server: Server) -> None:
    files = tls_files(tmp_path)
    with Server(tls=files) as secure:
        secure.add("/chan/noarch/repodata.json", document(record("a")))
        with pytest.raises(NetworkError) as caught:
            opened(f"{secure.url}/chan").records("a")
        assert caught.value.id == "tls"
        assert opened(f"{secure.url}/chan", ca_bundle=str(files[0])).records("a")
        assert opened(f"{secure.url}/chan", trusted_hosts=("127.0.0.1",)).records("a")
        secure.add("/chan/noarch/repodata.json", document(record("a"), base_url=f"{server.url}/plain/"), etag='"2"')
        with pytest.raises(UnsafeInputError) as refused:
            opened(f"{secure.url}/chan", ca_bundle=str(files[0])).records("a")
        assert refused.value.id == "url-refused"


# Bounds.


@pytest.mark.parametrize("where", ["head", "body", "never"])
@pytest.mark.parametrize("form", ["repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"])
def test_a_channel_that_drips_or_never_answers(opened: Open, server: Server, where: str, form: str) -> None:
    slow: dict[str, object] = {"head": {"drip_head": 0.05}, "body": {"drip": 0.05}, "never": {"stall": 0}}[where]  # type: ignore[assignment]
    server.add(f"/chan/noarch/{form}", packed(document(record("a"))) + b"x" * 1000, **slow)
    begin = time.monotonic()
    with pytest.raises(NetworkError) as caught:
        opened(f"{server.url}/chan", timeout=0.4).records("a")
    assert caught.value.id == "channel-unreachable"
    assert time.monotonic() - begin < 20


def test_repodata_is_bounded(opened: Open, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "MAX_WHOLE", 1 << 20)
    bomb = packed(b" " * (8 << 20))
    for name, body, encoding in (
        ("repodata.json", b" " * (8 << 20), "identity"),
        ("repodata.json", gzip.compress(b" " * (8 << 20)), "gzip"),
        ("repodata.json", bomb, "zstd"),
        ("repodata.json.zst", bomb, "identity"),
    ):
        server.routes.clear()
        server.add(f"/chan/noarch/{name}", body, headers={"Content-Encoding": encoding})
        with pytest.raises(UnsafeInputError) as caught:
            opened(f"{server.url}/chan").records("a")
        assert caught.value.id == "limit-size"


@pytest.mark.parametrize("what", ["shard", "index"])
def test_a_shard_of_256_megabytes_is_refused(opened: Open, server: Server, what: str) -> None:
    paths = publish_shards(server, record("a"))
    bomb = packed(bytes(256 << 20))
    if what == "index":
        server.add("/chan/noarch/repodata_shards.msgpack.zst", bomb)
    else:
        index = {"version": 1, "info": {"base_url": "", "shards_base_url": "./shards/"}}
        digest = hashlib.sha256(bomb)
        server.add(
            "/chan/noarch/repodata_shards.msgpack.zst",
            packed(msgpack.packb(index | {"shards": {"a": digest.digest()}})),
        )
        server.add(f"/chan/noarch/shards/{digest.hexdigest()}.msgpack.zst", bomb)
    assert paths
    with pytest.raises(UnsafeInputError) as caught:
        opened(f"{server.url}/chan").records("a")
    assert caught.value.id == "limit-size"


# What makes no sense.

INDEX = {"version": 1, "info": {"base_url": "", "shards_base_url": ""}, "shards": {}}


@pytest.mark.parametrize(
    "content",
    [
        packed(b""),
        packed(b"\xc1"),
        packed(msgpack.packb(7)),
        packed(msgpack.packb([])),
        packed(msgpack.packb({})),
        packed(msgpack.packb(INDEX | {"version": 2})),
        packed(msgpack.packb(INDEX | {"shards": []})),
        packed(msgpack.packb(INDEX | {"shards": {"a": b"short"}})),
        packed(msgpack.packb(INDEX | {"shards": {"a": "text"}})),
        packed(msgpack.packb(INDEX | {"shards": {1: b"x" * 32}})),
        packed(msgpack.packb(INDEX | {"info": None})),
        packed(b"\x91" * 5000),
        packed(b"\xdf\xff\xff\xff\xff"),
        packed(msgpack.packb(INDEX))[:-3],
    ],
)
def test_an_index_of_shards_that_is_none(opened: Open, server: Server, content: bytes) -> None:
    server.add("/chan/noarch/repodata_shards.msgpack.zst", content)
    with pytest.raises(UnsafeInputError) as caught:
        opened(f"{server.url}/chan").records("a")
    assert caught.value.id == "repodata-invalid"


@pytest.mark.parametrize(
    ("shard", "error"),
    [
        (None, NetworkError),
        (packed(b"\xc1"), UnsafeInputError),
        (packed(msgpack.packb({"packages.conda": 7})), UnsafeInputError),
        (packed(msgpack.packb({"packages.conda": {"a-1-0.conda": 7}})), UnsafeInputError),
        (packed(msgpack.packb({"packages.conda": {7: {}}})), UnsafeInputError),
        (packed(msgpack.packb({"v3": {"conda": []}})), None),
        (packed(msgpack.packb({"packages.conda": {"../a-1-0.conda": record("a")}})), None),
        (packed(msgpack.packb({"packages.conda": {"%2e%2e%2fa-1-0.conda": record("a")}})), None),
        (packed(msgpack.packb({"packages.conda": {"a-1-0.conda": record("other")}})), None),
        (packed(msgpack.packb({"packages.conda": {"a-1-0.conda": record("a", build="../../x")}})), None),
        (packed(msgpack.packb({"packages.conda": {"a-1-0.conda": record("a", depends="b")}})), None),
        (packed(msgpack.packb({"packages.conda": {"a-1-0.conda": record("a")}, "removed": ["a-1-0.conda"]})), None),
    ],
)
def test_a_shard_that_makes_no_sense(
    opened: Open, server: Server, shard: bytes | None, error: type[BridgeError] | None
) -> None:
    digest = hashlib.sha256(shard or b"")
    server.add(
        "/chan/noarch/repodata_shards.msgpack.zst", packed(msgpack.packb(INDEX | {"shards": {"a": digest.digest()}}))
    )
    if shard is not None:
        server.add(f"/chan/noarch/{digest.hexdigest()}.msgpack.zst", shard)
    if error is not None:
        with pytest.raises(error):
            opened(f"{server.url}/chan").records("a")
    else:
        assert opened(f"{server.url}/chan").records("a") == ()


def test_a_shard_that_is_another_is_refused(opened: Open, server: Server) -> None:
    paths = publish_shards(server, record("a"), record("b"))
    server.routes[paths["a"].decode()].body = server.routes[paths["b"].decode()].body
    with pytest.raises(IntegrityError):
        opened(f"{server.url}/chan").records("a")


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_channel_that_refuses(opened: Open, server: Server, status: int) -> None:
    for name in ("repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"):
        server.add(f"/chan/noarch/{name}", statuses=[status] * 9)
    with pytest.raises(NetworkError) as caught:
        opened(f"{server.url}/chan").records("a")
    assert caught.value.id == "channel-unreachable"
    assert str(status) in "".join(caught.value.context)
    assert caught.value.hint


def test_a_page_for_browsers_in_place_of_what_is_not_there(opened: Open, server: Server) -> None:
    for name in ("repodata.json.zst", "repodata_shards.msgpack.zst"):
        server.add(f"/chan/noarch/{name}", b"<!doctype html><title>Not found</title>", content_type="text/html")
    server.add("/chan/noarch/repodata.json", document(record("a")))
    assert opened(f"{server.url}/chan").records("a")
    server.add("/chan/noarch/repodata.json", b"<!doctype html>", content_type="text/html", etag='"2"')
    with pytest.raises(UnsafeInputError) as caught:
        opened(f"{server.url}/chan").records("a")
    assert caught.value.id == "repodata-invalid"


def test_many_shards_come_in_parallel(make_client: MakeClient, server: Server, tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(100)]
    publish_shards(server, *map(record, names))
    client: Client = make_client()
    found = Channels(lambda: client, (f"{server.url}/chan",), "linux-64", tmp_path / "cache", offline=False)
    found.prefetch(names)
    assert all(len(found.records(name)) == 1 for name in names)
    assert client.requests == 100 + 2 + 2  # two subdirs, one of which has neither form
    found.close()

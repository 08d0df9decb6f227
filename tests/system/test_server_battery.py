"""The battery of hostile answers (`server_inputs`): each gets a documented outcome, within time and memory."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest

from bridge.channels.sources import Channels
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.fetch.client import Client
from bridge.index import Index
from bridge.model import IndexFile
from tests.support.builders import make_wheel
from tests.support.command_line import clean_environment
from tests.support.server_inputs import CHANNEL, PAGES, RAW, Input
from tests.support.servers import Server

WHEEL = "demo-1.0-py3-none-any.whl"


def outcome(error: BridgeError) -> set[str]:
    """An error as the inputs spell what they expect."""
    return {str(error.exit_code), f"{error.exit_code}:{error.id}"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheel(tmp_path_factory.mktemp("wheel"), "demo", "1.0")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with Client(Settings(cache_dir=tmp_path / "cache", retries=0, timeout=2.0)) as client:
        yield client


@pytest.fixture
def site(wheel: Path) -> Iterator[Server]:
    with Server() as server:
        for folder in ("files", "bare"):
            server.add(f"/{folder}/{wheel.name}", wheel.read_bytes())
        server.add(f"/files/{wheel.name}.metadata", b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        yield server


def taken(client: Client, base: str) -> set[str]:
    """What comes of asking an index for `demo`: its sound file fetched, nothing there (6), or the error."""
    index = Index(client, (base,))
    try:
        files = index.files("demo")
        chosen = [file for file in files if file.filename == WHEEL]
        if not chosen:
            return {"6"}
        index.metadata(chosen[0])
        index.fetch(chosen[0])
    except BridgeError as error:
        return outcome(error)
    return {"ok"}


@pytest.mark.parametrize("given", PAGES, ids=str)
def test_pages_of_an_index(client: Client, site: Server, wheel: Path, given: Input) -> None:
    body = given.body
    if b"{url}" in body:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        body = body.replace(b"{url}", site.url.encode()).replace(b"{sha256}", digest.encode())
    elif given.headers and given.body[:2] == b"\x1f\x8b" and "bomb" not in given.name:
        import gzip

        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        try:
            plain = (
                gzip.decompress(given.body).replace(b"{url}", site.url.encode()).replace(b"{sha256}", digest.encode())
            )
            body = gzip.compress(plain)
        except EOFError:
            pass
    site.add("/simple/demo/", body, content_type=given.content_type, headers=given.headers)
    begun = time.monotonic()
    found = taken(client, f"{site.url}/simple/")
    assert found & given.expected, found
    assert time.monotonic() - begun < 20


class Wire:
    """A server that sends the same bytes to whoever asks, and hangs up."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(self._answer)
                    connection.shutdown(socket.SHUT_WR)
                    connection.settimeout(0.2)
                    while connection.recv(65536):
                        pass
                except OSError:
                    pass

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize(("name", "answer", "expected"), RAW, ids=[name for name, _, _ in RAW])
def test_answers_on_the_wire(client: Client, name: str, answer: bytes, expected: frozenset[str]) -> None:
    server = Wire(answer)
    try:
        begun = time.monotonic()
        index = Index(client, (f"{server.url}/simple/",))
        try:
            index.files("demo")
            found = {"ok"}
        except BridgeError as error:
            found = outcome(error)
        assert found & expected, (name, found)
        assert time.monotonic() - begun < 20
    finally:
        server.close()


@pytest.mark.parametrize("given", CHANNEL, ids=str)
def test_repodata(client: Client, site: Server, tmp_path: Path, given: Input) -> None:
    site.add("/chan/noarch/repodata.json", given.body)
    channels = Channels(lambda: client, (f"{site.url}/chan",), "linux-64", tmp_path / "cache", offline=False)
    try:
        found = {"ok"} if channels.records("tool") else {"6"}
    except BridgeError as error:
        found = outcome(error)
    finally:
        channels.close()
    assert found & given.expected, found


# Dependency confusion: what the first index answers, and whether the second may be asked.

FIRST = {
    "404": (None, True),
    "a page for browsers": ({"body": b"<!doctype html><title>Sign in</title>", "content_type": "text/html"}, False),
    "no files": ({"body": b'{"files": []}', "content_type": "application/vnd.pypi.simple.v1+json"}, False),
    "an empty page": ({"body": b"", "content_type": "text/html"}, False),
    "lower versions": ({"body": b'<a href="/demo-0.1-py3-none-any.whl">x</a>', "content_type": "text/html"}, False),
    "other projects": ({"body": b'<a href="/x-0.1-py3-none-any.whl">x</a>', "content_type": "text/html"}, False),
    "a login page by redirect": ({"location": "/login"}, False),
    **{f"status {status}": ({"statuses": [status] * 9}, False) for status in (401, 403, 407, 410, 429, 500, 503)},
}  # fmt: skip


@pytest.mark.parametrize("first", FIRST)
def test_the_second_index_is_asked_only_for_what_the_first_does_not_have(
    client: Client, site: Server, wheel: Path, first: str
) -> None:
    """R11, R12: "0 queries of a lower index for a name the higher one has"."""
    options, may_ask = FIRST[first]
    if options is not None:
        site.add("/first/demo/", **options)
    site.add("/login", b"<!doctype html>who are you?", content_type="text/html")
    with Server() as second:
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        anchor = f'<a href="{site.url}/files/{WHEEL}#sha256={digest}">x</a>'
        second.add("/simple/demo/", anchor.encode(), content_type="text/html")
        found: Sequence[IndexFile] = ()
        index = Index(client, (f"{site.url}/first/", f"{second.url}/simple/"))
        with pytest.raises(BridgeError) if first.startswith("status") else nullcontext():
            found = index.files("demo")
        assert bool(second.asked) is may_ask
        assert bool([file for file in found if file.version == "1.0"]) is may_ask


# Memory and time, in a process of its own.

_BOUNDED = """
import json, sys, time
from pathlib import Path
from bridge.channels.sources import Channels
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.fetch.client import Client
from bridge.index import Index
from bridge.model import IndexFile
what, url, cache = sys.argv[1:]
begun = time.monotonic()
with Client(Settings(cache_dir=Path(cache), retries=0)) as client:
    try:
        if what == "index":
            said = len(Index(client, (url,)).files("demo"))
        else:
            channels = Channels(lambda: client, (url,), "linux-64", Path(cache), offline=False)
            said = len(channels.records("tool"))
            channels.close()
    except BridgeError as error:
        said = f"{error.exit_code}:{error.id}"
# Not ru_maxrss, which counts what the process was a copy of before it began.
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps([said, int(status["VmHWM"].split()[0]) / 1024, time.monotonic() - begun]), flush=True)
import os; os._exit(0)
"""
ENTRY = json.dumps(
    {
        "filename": "demo-1.%d-py3-none-any.whl",
        "url": "https://h.example/demo-1.%d-py3-none-any.whl",
        "hashes": {"sha256": "0" * 64},
    }
)


def bounded(what: str, url: str, cache: Path) -> tuple[object, float, float]:
    words = [sys.executable, "-c", _BOUNDED, what, url, str(cache)]
    done = subprocess.run(words, env=clean_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said, megabytes, seconds = json.loads(done.stdout)
    return said, megabytes, seconds


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["36 MB of files", "100 MB of files", "40 MB of lists", "40 MB of texts", "40 MB of HTML"]
)
def test_large_pages_are_bounded(tmp_path: Path, kind: str) -> None:
    size = int(kind.split(maxsplit=1)[0]) << 20
    content_type = "application/vnd.pypi.simple.v1+json"
    if kind.endswith("files"):
        entries = (ENTRY % (number, number) for number in range(size // len(ENTRY)))
        body = f'{{"files": [{",".join(entries)}]}}'.encode()
    elif kind.endswith("HTML"):
        body, content_type = b'<a href="demo-1.0-py3-none-any.whl">' * (size // 36), "text/html"
    else:
        part = b"[]" if kind.endswith("lists") else b'"ab"'
        body = b'{"files": [' + b",".join([part] * (size // (len(part) + 1))) + b"]}"
    with Server() as server:
        server.add("/simple/demo/", body, content_type=content_type)
        said, megabytes, seconds = bounded("index", f"{server.url}/simple/", tmp_path)
    assert said in {"3:limit-size", "3:limit-entries"} or isinstance(said, int), said
    assert (megabytes < 600, seconds < 20) == (True, True), (said, megabytes, seconds)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")
def test_a_gigabyte_of_repodata_is_bounded(tmp_path: Path) -> None:
    import zstandard

    with Server() as server:
        packer = zstandard.ZstdCompressor().compressobj()
        body = b"".join([packer.compress(b" " * (1 << 20)) for _ in range(1024)]) + packer.flush()
        server.add("/chan/noarch/repodata.json.zst", body)
        said, megabytes, seconds = bounded("channel", f"{server.url}/chan", tmp_path)
    assert said == "3:limit-size"
    assert (megabytes < 600, seconds < 20) == (True, True), (megabytes, seconds)

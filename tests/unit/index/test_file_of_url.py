"""`bridge.index`: files that a requirement names by URL or path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.errors import IntegrityError, NetworkError, UsageError
from bridge.index import Index
from tests.support.builders import make_wheel
from tests.support.clients import MakeClient
from tests.support.servers import IndexServer

HASH = "a" * 64


def wheel_of(folder: Path) -> Path:
    return make_wheel(folder, "x", "1.0", requires=["y>=2"])


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


@pytest.mark.parametrize("fragment", [True, False])
def test_a_file_by_url(make_client: MakeClient, server: IndexServer, tmp_path: Path, fragment: bool) -> None:
    wheel = wheel_of(tmp_path)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    server.publish(wheel)
    url = f"{server.url}/files/{wheel.name}" + (f"#sha256={digest}" if fragment else "")
    client = make_client()
    index = Index(client, ())
    file = index.file_of_url(url, "X")
    assert (file.url, file.filename, file.version, file.sha256, file.origin) == (url, wheel.name, "1.0", digest, "")
    assert client.requests == (0 if fragment else 1)
    assert index.metadata(file).requires_dist == ("y>=2",)
    assert index.fetch(file).read_bytes() == wheel.read_bytes()
    assert client.requests == (2 if fragment else 1)
    later = Index(make_client(offline=True), ())
    assert later.fetch(later.file_of_url(url, "x")).read_bytes() == wheel.read_bytes()


def test_a_file_by_path(make_client: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = wheel_of(tmp_path)
    monkeypatch.chdir(tmp_path)
    for url in (wheel.as_uri(), str(wheel), f"./{wheel.name}"):
        index = Index(make_client(offline=True), ())
        file = index.file_of_url(url, "x")
        assert (file.url, file.size) == (url, wheel.stat().st_size)
        assert file.sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()
        assert index.metadata(file).requires_dist == ("y>=2",)
        assert index.fetch(file).samefile(wheel)
    with pytest.raises(IntegrityError):
        index.file_of_url(f"{wheel.as_uri()}#sha256={HASH}", "x")
    with pytest.raises(NetworkError, match="there is no file"):
        index.file_of_url(str(tmp_path / "x-2.0-py3-none-any.whl"), "x")


WRONG_URLS = ["https://h.example/", "https://h.example/x.exe", "https://h.example/y-1.0-py3-none-any.whl"]
WRONG_URLS += ["https://me:secret@h.example/x-1.0-py3-none-any.whl#sha256=short"]


@pytest.mark.parametrize("url", WRONG_URLS)
def test_urls_that_are_no_file_of_the_project(make_client: MakeClient, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        Index(make_client(), ()).file_of_url(url, "x")
    assert caught.value.id == "file-url"
    assert "secret" not in caught.value.message

"""What a page lists is kept: while it is fresh nothing is asked, and a page that is the same is not parsed again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge.fetch.client import Client
from bridge.index import Index
from bridge.index.parsed_pages import ParsedPages
from bridge.index.simple_api import PageListing, Source, parse_page
from bridge.model import IndexFile
from tests.support.clients import MakeClient
from tests.support.servers import Route, Server

JSON = "application/vnd.pypi.simple.v1+json"
PAGE = "/simple/x/"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def page(*versions: str, link: str = "https://files.example/{name}", status: str | None = None) -> bytes:
    names = [f"x-{version}-py3-none-any.whl" for version in versions]
    files = [
        {"filename": name, "url": link.format(name=name), "hashes": {"sha256": "a" * 64}, "size": 5, "yanked": "why",
         "requires-python": ">=3.9", "core-metadata": {"sha256": "b" * 64}, "upload-time": "2026-01-02T03:04:05Z"}
        for name in names
    ]  # fmt: skip
    files.append({"filename": "x-9.tar.gz", "url": "https://files.example/x-9.tar.gz", "hashes": {}})
    files.append({"filename": "y-9-py3-none-any.whl", "url": "https://files.example/y-9", "hashes": {}})
    named = {} if status is None else {"project-status": {"status": status, "reason": "old"}}
    return json.dumps({"meta": {"api-version": "1.4"}, "name": "x", "files": files, **named}).encode()


def serve(server: Server, body: bytes, **headers: str) -> Route:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.add(PAGE, body, content_type=JSON, etag='"1"', headers=fields)


def asked(client: Client, server: Server) -> tuple[Sequence[IndexFile], dict[str, str], object]:
    index = Index(client, (f"{server.url}/simple/",))
    return index.files("x"), dict(index.skipped), index.statuses.get("x")


def test_a_fresh_page_is_asked_for_once(make_client: MakeClient, server: Server) -> None:
    serve(server, page("1.0", "2.0", status="archived"), Cache_Control="max-age=600")
    first = asked(make_client(), server)
    assert [file.filename for file in first[0]] == [f"x-{v}-py3-none-any.whl" for v in ("1.0", "2.0")] + ["x-9.tar.gz"]
    assert first[1]
    assert first[2]
    client = make_client()
    index = Index(client, (f"{server.url}/simple/",))
    index.prefetch_files(["x"])
    assert asked(client, server) == first
    assert (client.requests, server.count(PAGE)) == (0, 1)


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache_Control": "no-cache, max-age=600"},
        {"Cache_Control": "private, max-age=600"},
        {"Cache_Control": "max-age=600", "Age": "600"},
        {"Cache_Control": "max-age=600", "Age": "x"},
    ],
)
def test_what_is_not_plainly_fresh_is_left_to_the_page_cache(
    make_client: MakeClient, server: Server, headers: dict[str, str]
) -> None:
    serve(server, page("1.0"), **headers)
    client = make_client()
    first = asked(client, server)
    assert not ParsedPages(client.settings).is_fresh(f"{server.url}{PAGE}")
    assert asked(make_client(), server) == first


@pytest.mark.parametrize("headers", [{}, {"Cache_Control": "max-age=0"}, {"Cache_Control": "s-max-age=600"}])
def test_a_page_that_is_not_fresh_is_asked_for_and_parsed_if_it_changed(
    make_client: MakeClient, server: Server, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    route = serve(server, page("1.0"), **headers)
    first = asked(make_client(), server)
    parsed: list[bytes] = []

    def parse(content: bytes, content_type: str, source: Source) -> PageListing:
        parsed.append(content)
        return parse_page(content, content_type, source)

    monkeypatch.setattr("bridge.index.listings.parse_page", parse)
    assert asked(make_client(), server) == first
    assert (server.count(PAGE), parsed) == (2, [])
    route.body, route.etag = page("1.0", "3.0"), '"2"'
    assert [file.version for file in asked(make_client(), server)[0]] == ["1.0", "3.0", "9"]
    assert parsed == [route.body]


def test_a_page_that_is_confirmed_is_fresh_again(make_client: MakeClient, server: Server) -> None:
    route = serve(server, page("1.0"))
    first = asked(make_client(), server)
    route.headers["Cache-Control"] = "max-age=600"
    assert asked(make_client(), server) == first
    assert asked(make_client(), server) == first
    assert server.count(PAGE) == 2


@pytest.mark.parametrize("kind", ["netrc", "password", "signed link", "certificate"])
def test_what_takes_credentials_is_asked_for(
    make_client: MakeClient, server: Server, tmp_path: Path, kind: str
) -> None:
    link = "https://files.example/{name}?X-Amz-Signature=0123456789abcdef" if kind == "signed link" else None
    serve(server, page("1.0", **({"link": link} if link else {})), Cache_Control="max-age=600")
    if kind == "netrc":
        (tmp_path / "netrc").write_text("machine elsewhere login a password b\n")
    (tmp_path / "certificate").touch()
    options = {"client_cert": str(tmp_path / "certificate")} if kind == "certificate" else {}
    url = server.url.replace("://", "://user:password@") if kind == "password" else server.url
    index = Index(make_client(index_urls=(f"{url}/simple/",), **options), (f"{url}/simple/",))
    assert index.files("x")
    assert not (tmp_path / "cache/pages").exists()


def test_pages_kept_for_other_hosts_or_damaged_are_asked_for(
    make_client: MakeClient, server: Server, tmp_path: Path
) -> None:
    serve(server, page("1.0"), Cache_Control="max-age=600")
    first = asked(make_client(), server)
    (file,) = (path for path in (tmp_path / "cache/pages").rglob("*") if path.is_file())
    kept = file.read_bytes()
    file.write_bytes(kept[:-1])
    assert asked(make_client(trusted_hosts=("other",)), server) == first
    file.write_bytes(b"")
    assert asked(make_client(), server) == first
    assert file.read_bytes()[64:] == kept[64:] or len(file.read_bytes()) == len(kept)  # made anew


def test_the_list_belongs_to_its_url(make_client: MakeClient, server: Server) -> None:
    serve(server, page("1.0"), Cache_Control="max-age=600")
    server.add("/other/x/", page("2.0"), content_type=JSON, headers={"Cache-Control": "max-age=600"})
    client = make_client()
    asked(client, server)
    (file, _) = Index(client, (f"{server.url}/other/",)).files("x")
    assert (file.version, file.origin) == ("2.0", f"{server.url}/other/")

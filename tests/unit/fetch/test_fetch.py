"""`bridge.fetch`: pages, from servers that fail in every way that servers do; the ids are those of the fault table."""

from __future__ import annotations

import gzip
import hashlib
import random
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from bridge.errors import NetworkError, UnsafeInputError, UsageError
from bridge.fetch.client import Client
from bridge.fetch.responses import make_storable
from tests.support.clients import MakeClient, cached_files
from tests.support.servers import Server

BIG = random.Random(7).randbytes(300_000)
LIMIT = 1 << 20


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# Pages.


def test_a_page(client: Client, server: Server) -> None:
    server.add("/page", b"hello", content_type="text/plain")
    page = client.get(f"{server.url}/page#top", accept="text/plain", max_bytes=LIMIT)
    assert page is not None
    assert (page.content, page.url, page.status) == (b"hello", f"{server.url}/page", 200)
    assert page.headers["content-type"] == "text/plain"
    assert server.asked[0].headers["Accept"] == "text/plain"
    assert client.requests == 1


def test_what_is_not_there(client: Client, server: Server, tmp_path: Path) -> None:
    assert client.get(f"{server.url}/none", max_bytes=LIMIT) is None
    assert client.get((tmp_path / "none").as_uri(), max_bytes=LIMIT) is None
    assert client.requests == 1


def test_pages_from_the_disk(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a page.html"
    path.write_bytes(b"hello")
    for location in (str(path), path.as_uri()):
        page = client.get(location, max_bytes=5)
        assert page is not None
        assert page.content == b"hello"
        with pytest.raises(UnsafeInputError, match="more than 4 bytes"):
            client.get(location, max_bytes=4)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429])
def test_x27_what_may_pass_is_tried_again(client: Client, server: Server, status: int) -> None:
    server.add("/page", b"hello", statuses=[status, status, status])
    page = client.get(f"{server.url}/page", max_bytes=LIMIT)
    assert page is not None
    assert page.content == b"hello"
    assert [asked.status for asked in server.asked] == [status] * 3 + [200]


@pytest.mark.parametrize(("status", "asked"), [(500, 4), (429, 4), (400, 1), (401, 1), (403, 1), (410, 1), (451, 1)])
def test_x27_what_does_not_pass_is_an_error(client: Client, server: Server, status: int, asked: int) -> None:
    """R12: "401/403/5xx/timeout: 10, no fall-through"."""
    server.add("/page", statuses=[status] * 9)
    with pytest.raises(NetworkError) as caught:
        client.get(f"{server.url}/page", max_bytes=LIMIT)
    assert len(server.asked) == asked
    assert (caught.value.id, caught.value.exit_code) == ("http-status", 10)
    assert caught.value.objects == {"status": status, "url": f"{server.url}/page"}
    assert (caught.value.hint is None) == (status in {400, 410, 451})


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_x27_retry_after_is_obeyed(client: Client, server: Server, form: str) -> None:
    server.add(
        "/page",
        b"x",
        statuses=[429],
        retry_after="1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True),
    )
    begin = time.monotonic()
    assert client.get(f"{server.url}/page", max_bytes=LIMIT) is not None
    assert time.monotonic() - begin > 0.9


def test_x27_nobody_waits_longer_than_a_minute(client: Client, server: Server) -> None:
    server.add("/page", b"x", statuses=[503], retry_after="61")
    with pytest.raises(NetworkError, match="503"):
        client.get(f"{server.url}/page", max_bytes=LIMIT)
    assert len(server.asked) == 1


def test_x27_nobody_there(client: Client) -> None:
    with Server() as gone:
        url = gone.url
    with pytest.raises(NetworkError, match="no connection") as caught:
        client.get(f"{url}/page", max_bytes=LIMIT)
    assert caught.value.id == "not-reached"
    assert "refused" in caught.value.context[0].lower()
    assert client.requests == 4


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1/x", "ftp://127.0.0.1/x", "http://127.0.0.1:99999/x", "http://a b/"]
)
def test_what_is_no_url(client: Client, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        client.get(url, max_bytes=LIMIT)
    assert caught.value.id == "url-invalid"


@pytest.mark.parametrize("where", ["body", "chunked body", "head"])
def test_x28_a_byte_now_and_then_is_no_answer(make_client: MakeClient, server: Server, where: str) -> None:
    """X28: "read timeout […] -> retry -> 10; total bound enforced"."""
    client = make_client(timeout=0.4, retries=1)
    drips = {"drip_head": 0.05} if where == "head" else {"drip": 0.05}
    server.add("/page", b"x" * 500, chunked=where == "chunked body", **drips)
    begin = time.monotonic()
    with pytest.raises(NetworkError) as caught:
        client.get(f"{server.url}/page", max_bytes=LIMIT)
    assert caught.value.id == "timed-out"
    assert time.monotonic() - begin < 20  # 500 bytes take 25 s, twice
    assert server.count("/page") == 2


def test_x28_nothing_after_the_head(make_client: MakeClient, server: Server) -> None:
    client = make_client(timeout=0.3, retries=0)
    server.add("/page", b"xy", drip=30)
    with pytest.raises(NetworkError) as caught:
        client.get(f"{server.url}/page", max_bytes=LIMIT)
    assert caught.value.id == "timed-out"


def test_a_slow_reader_is_no_slow_server(make_client: MakeClient, server: Server) -> None:
    """The deadline is for the server: what is done with a block may take its time."""
    client = make_client(timeout=0.3)
    server.add("/file", BIG)
    with client.exchange(f"{server.url}/file", {}) as answer:
        received = b""
        for block in answer.blocks():
            if not received:
                time.sleep(0.8)
            received += block
    assert received == BIG


@pytest.mark.parametrize("chunked", [False, True])
def test_x26_a_page_that_breaks_off_is_fetched_again_and_not_cached(
    make_client: MakeClient, server: Server, chunked: bool
) -> None:
    server.add("/page", b"x" * 5000, etag='"1"', cuts=[2500], chunked=chunked, headers={"Cache-Control": "max-age=600"})
    page = make_client().get(f"{server.url}/page", max_bytes=LIMIT)
    assert page is not None
    assert len(page.content) == 5000
    server.add(
        "/other", b"x" * 5000, etag='"1"', cuts=[2500], chunked=chunked, headers={"Cache-Control": "max-age=600"}
    )
    with pytest.raises(NetworkError):
        make_client(retries=0).get(f"{server.url}/other", max_bytes=LIMIT)
    with pytest.raises(NetworkError, match="--offline"):
        make_client(offline=True).get(f"{server.url}/other", max_bytes=LIMIT)


def test_r07_a_page_has_a_limit_after_decompression(client: Client, server: Server) -> None:
    server.add("/bomb", gzip.compress(bytes(50 << 20)), headers={"Content-Encoding": "gzip"})
    with pytest.raises(UnsafeInputError) as caught:
        client.get(f"{server.url}/bomb", max_bytes=LIMIT)
    assert caught.value.id == "limit-size"


def test_x29_a_page_that_is_not_encoded_as_it_says(client: Client, server: Server) -> None:
    server.add("/page", b"plain", headers={"Content-Encoding": "gzip"})
    with pytest.raises(NetworkError) as caught:
        client.get(f"{server.url}/page", max_bytes=LIMIT)
    assert caught.value.id == "encoding"


# The page cache.


@pytest.mark.parametrize(
    ("validators", "requests", "transferred"),
    [
        ({"headers": {"Cache-Control": "max-age=600"}}, 1, 1),
        ({"etag": '"1"'}, 2, 1),
        ({"last_modified": "Wed, 01 Jan 2020 00:00:00 GMT"}, 2, 1),
        ({}, 2, 2),
        ({"headers": {"Date": "never"}}, 2, 2),
        ({"headers": {"Expires": "0"}}, 2, 2),
        ({"headers": {"Cache-Control": "no-store"}}, 2, 2),
    ],
)
def test_pages_are_kept_as_http_says(
    make_client: MakeClient, server: Server, validators: dict[str, object], requests: int, transferred: int
) -> None:
    server.add("/page", b"hello", **validators)
    for _ in range(2):
        page = make_client().get(f"{server.url}/page", max_bytes=LIMIT)
        assert page is not None
        assert page.content == b"hello"
    assert len(server.asked) == requests
    assert sum(asked.status == 200 for asked in server.asked) == transferred


def test_revalidate_asks_even_where_the_copy_is_fresh(make_client: MakeClient, server: Server) -> None:
    server.add("/page", b"old", headers={"Cache-Control": "max-age=600"})
    make_client().get(f"{server.url}/page", max_bytes=LIMIT)
    server.add("/page", b"new", headers={"Cache-Control": "max-age=600"})
    page = make_client().get(f"{server.url}/page", max_bytes=LIMIT, revalidate=True)
    assert page is not None
    assert page.content == b"new"


@pytest.mark.parametrize("validators", [{}, {"etag": '"1"'}, {"headers": {"Cache-Control": "max-age=0"}}])
def test_x30_offline_serves_what_is_there_and_nothing_else(
    make_client: MakeClient, server: Server, validators: dict[str, object]
) -> None:
    server.add("/page", b"hello", **validators)
    online = make_client()
    online.get(f"{server.url}/page", max_bytes=LIMIT)
    assert online.get(f"{server.url}/none", max_bytes=LIMIT) is None
    asked = len(server.asked)
    offline = make_client(offline=True)
    page = offline.get(f"{server.url}/page", max_bytes=LIMIT)
    assert page is not None
    assert page.content == b"hello"
    assert offline.get(f"{server.url}/none", max_bytes=LIMIT) is None  # that it is missing is known, too
    with pytest.raises(NetworkError) as caught:
        offline.get(f"{server.url}/unknown", max_bytes=LIMIT)
    assert (caught.value.id, caught.value.exit_code) == ("offline", 10)
    assert len(server.asked) == asked
    assert offline.requests == 0


def test_x30_a_damaged_page_in_the_cache_is_fetched_again(
    make_client: MakeClient, server: Server, tmp_path: Path
) -> None:
    server.add("/page", b"hello", headers={"Cache-Control": "max-age=600"})
    make_client().get(f"{server.url}/page", max_bytes=LIMIT)
    (name,) = cached_files(tmp_path)
    path = tmp_path / "cache" / name
    data = path.read_bytes()
    for damaged in (data.replace(b"hello", b"hullo"), data[:-1], b""):
        path.write_bytes(damaged)
        page = make_client().get(f"{server.url}/page", max_bytes=LIMIT)
        assert page is not None
        assert page.content == b"hello"
    assert len(server.asked) == 4


def test_x30_a_cache_that_cannot_be_written_costs_no_result(
    make_client: MakeClient, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    server.add("/page", b"hello", etag='"1"')
    page = make_client().get(f"{server.url}/page", max_bytes=LIMIT)
    assert page is not None
    assert page.content == b"hello"


def test_a_missing_page_that_appears_is_seen(make_client: MakeClient, server: Server) -> None:
    """A 404 is remembered for --offline only: neither freshness nor a validator of its own holds it."""
    client = make_client()
    assert client.get(f"{server.url}/page", max_bytes=LIMIT) is None
    server.add("/page", b"hello")
    assert client.get(f"{server.url}/page", max_bytes=LIMIT) is not None
    headers = {"etag": '"1"', "cache-control": "max-age=600", "date": "junk"}
    make_storable(404, headers)
    assert set(headers) == {"date", "expires"}


# Threads.


def test_map_keeps_the_order(client: Client, server: Server) -> None:
    for i in range(40):
        server.add(f"/{i}", str(i).encode())
    pages = client.map(lambda i: client.get(f"{server.url}/{i}", max_bytes=LIMIT), range(40))
    assert [page and page.content for page in pages] == [str(i).encode() for i in range(40)]


def test_the_first_error_cancels_what_has_not_begun(client: Client) -> None:
    done: list[int] = []

    def work(item: int) -> int:
        if item == 3:
            raise KeyError(item)
        time.sleep(0.05)
        done.append(item)
        return item

    with pytest.raises(KeyError, match="3"):
        client.map(work, range(500))
    time.sleep(0.2)
    assert len(done) < 100


def test_a_closed_client_gives_up(make_client: MakeClient, server: Server) -> None:
    client = make_client(backoff=30)
    server.add("/page", statuses=[500] * 9)
    future = client.submit(lambda path: client.get(f"{server.url}{path}", max_bytes=LIMIT), "/page")
    while not server.asked:
        time.sleep(0.01)
    begin = time.monotonic()
    client.close()
    assert time.monotonic() - begin < 5
    assert isinstance(future.exception(), NetworkError)

"""`bridge.fetch` against servers that fail in every way that servers do; the ids are those of the fault table."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from bridge.answers import make_storable
from bridge.config import Settings
from bridge.errors import BridgeError, IntegrityError, NetworkError, UnsafeInputError, UsageError
from bridge.fetch import Client
from bridge.ranged import RangedFile
from bridge.urls import check_file_name, masked, split_credentials
from tests.builders import make_wheel
from tests.servers import Route, Server, tls_files

BIG = random.Random(7).randbytes(300_000)
LIMIT = 1 << 20

MakeClient = Callable[..., Client]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def make_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeClient]:
    """Clients with one cache, closed at the end; what the machine has configured plays no part."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    clients: list[Client] = []

    def make(backoff: float = 0.01, **options: object) -> Client:
        settings = replace(Settings(cache_dir=tmp_path / "cache", timeout=3.0), **options)  # type: ignore[arg-type]
        clients.append(Client(settings, backoff=backoff))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def client(make_client: MakeClient) -> Client:
    return make_client()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def cached_files(tmp_path: Path) -> list[str]:
    root = tmp_path / "cache"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


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
    assert time.monotonic() - begin < 3
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


# Redirects, credentials, TLS.


def test_redirects_are_followed(client: Client, server: Server) -> None:
    server.add("/a", location="b/../c")
    server.add("/c", b"here")
    page = client.get(f"{server.url}/a", max_bytes=LIMIT)
    assert page is not None
    assert (page.content, page.url) == (b"here", f"{server.url}/c")


@pytest.mark.parametrize(("length", "ends"), [(10, True), (11, False)])
def test_x29_at_most_ten_redirects(client: Client, server: Server, length: int, ends: bool) -> None:
    for i in range(length):
        server.add(f"/{i}", location=f"/{i + 1}")
    server.add(f"/{length}", b"here")
    if ends:
        assert client.get(f"{server.url}/0", max_bytes=LIMIT) is not None
    else:
        with pytest.raises(UnsafeInputError, match="10 redirects") as caught:
            client.get(f"{server.url}/0", max_bytes=LIMIT)
        assert caught.value.id == "url-refused"


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "javascript:1"])
def test_x29_no_redirect_out_of_http(client: Client, server: Server, target: str) -> None:
    server.add("/a", location=target)
    with pytest.raises(UnsafeInputError) as caught:
        client.download(f"{server.url}/a", sha256="0" * 64, size=1, name="a.whl")
    assert (caught.value.id, caught.value.exit_code) == ("url-refused", 3)


def test_x29_no_redirect_from_https_to_http(make_client: MakeClient, server: Server, tmp_path: Path) -> None:
    files = tls_files(tmp_path)
    server.add("/b", b"here")
    with Server(tls=files) as secure:
        secure.add("/a", location=f"{server.url}/b")
        with pytest.raises(UnsafeInputError) as caught:
            make_client(ca_bundle=str(files[0])).get(f"{secure.url}/a", max_bytes=LIMIT)
        assert caught.value.id == "url-refused"
        assert server.asked == []
        trusting = make_client(trusted_hosts=(f"127.0.0.1:{server.port}",), ca_bundle=str(files[0]))
        assert trusting.get(f"{secure.url}/a", max_bytes=LIMIT) is not None


def test_credentials_go_to_the_host_they_are_for(make_client: MakeClient, server: Server) -> None:
    """R03: "never sends credentials cross-host"."""
    with Server() as other:
        other.add("/file", b"there")
        server.add("/simple/x/", b"page", credentials=("me", "p@ss/word"))
        server.add("/files/x", b"file", credentials=("me", "p@ss/word"))
        server.add("/files/y", location=f"{other.url}/file")
        index = server.url.replace("http://", "http://me:p%40ss%2Fword@") + "/simple/"
        client = make_client(index_urls=(index,))
        page = client.get(f"{index}x/", max_bytes=LIMIT)
        assert page is not None
        assert page.url == f"{server.url}/simple/x/"
        assert client.get(f"{server.url}/files/x", max_bytes=LIMIT) is not None
        assert client.get(f"{server.url}/files/y", max_bytes=LIMIT) is not None
        assert "Authorization" in server.asked[-1].headers
        assert [("Authorization" in asked.headers) for asked in other.asked] == [False]


def test_of_several_credentials_the_nearest_are_used(make_client: MakeClient, server: Server) -> None:
    server.add("/one/file", b"1", credentials=("one", "1"))
    server.add("/two/file", b"2", credentials=("two", "2"))
    urls = tuple(
        server.url.replace("//", f"//{name}:{word}@") + f"/{name}/simple" for name, word in (("one", "1"), ("two", "2"))
    )
    client = make_client(index_urls=urls)
    for name in ("one", "two"):
        assert client.get(f"{server.url}/{name}/file", max_bytes=LIMIT) is not None


def test_credentials_from_netrc(client: Client, server: Server, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    server.add("/page", b"hello", credentials=("me", "secret"))
    assert client.get(f"{server.url}/page", max_bytes=LIMIT) is not None


def test_no_message_shows_a_password(make_client: MakeClient, server: Server) -> None:
    url = server.url.replace("//", "//me:secret@") + "/page"
    server.add("/page", credentials=("me", "other"))
    client = make_client(retries=0)
    faults: list[BridgeError] = []
    for prepare in (lambda: None, lambda: server.add("/page", statuses=[500]), server.close):
        prepare()
        with pytest.raises(BridgeError) as caught:
            client.get(url, max_bytes=LIMIT)
        faults.append(caught.value)
    assert [fault.id for fault in faults] == ["http-status", "http-status", "not-reached"]
    for fault in faults:
        assert "secret" not in repr((fault.message, fault.context, fault.hint, fault.objects, str(fault)))


WORD = st.text(
    st.characters(codec="ascii", exclude_characters="/?#@ \t\r\n\x0b\x0c\x1c\x1d\x1e\x1f", min_codepoint=33), min_size=6
)


@settings_of_hypothesis(max_examples=80, deadline=None)
@given(user=WORD, password=WORD, scheme=st.sampled_from(["http", "https"]))
def test_user_information_never_survives_masking(user: str, password: str, scheme: str) -> None:
    """RFC 3986, 3.2.1: "Applications should not render as clear text any data after the first colon"."""
    shown = masked(f"cannot reach {scheme}://{user}:{password}@h.example/p?q, sorry")
    assert shown == f"cannot reach {scheme}://***@h.example/p?q, sorry"
    assert masked(shown) == shown


def test_credentials_are_split_off() -> None:
    assert split_credentials("https://a%40b:c%3A@h:1/p#f") == ("https://h:1/p", ("a@b", "c:"))
    assert split_credentials("https://token@h/p") == ("https://h/p", ("token", ""))
    assert split_credentials("https://h/p?x=@y") == ("https://h/p?x=@y", None)


def test_x27_an_untrusted_certificate_is_not_tried_again(make_client: MakeClient, tmp_path: Path) -> None:
    files = tls_files(tmp_path)
    with Server(tls=files) as secure:
        secure.add("/page", b"hello")
        client = make_client(backoff=30)
        with pytest.raises(NetworkError) as caught:
            client.get(f"{secure.url}/page", max_bytes=LIMIT)
        assert caught.value.id == "tls"
        assert caught.value.hint is not None
        assert client.requests == 1
        assert make_client(ca_bundle=str(files[0])).get(f"{secure.url}/page", max_bytes=LIMIT) is not None
        assert make_client(trusted_hosts=("127.0.0.1",)).get(f"{secure.url}/page", max_bytes=LIMIT) is not None
        wrong = secure.url.replace("127.0.0.1", "localhost")  # the certificate is for the address only
        with pytest.raises(NetworkError) as caught:
            make_client(ca_bundle=str(files[0]), backoff=30).get(f"{wrong}/page", max_bytes=LIMIT)
        assert caught.value.id == "tls"


def test_a_missing_certificate_file_is_said_at_once(make_client: MakeClient, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no\.pem"):
        make_client(ca_bundle=str(tmp_path / "no.pem"))


def test_a_proxy(make_client: MakeClient, server: Server) -> None:
    server.add("http://far.invalid/page", b"by proxy")
    page = make_client(proxy=server.url).get("http://far.invalid/page", max_bytes=LIMIT)
    assert page is not None
    assert page.content == b"by proxy"


# Downloads.


def test_a_download_is_verified_and_kept(make_client: MakeClient, server: Server, tmp_path: Path) -> None:
    server.add("/x.whl", BIG)
    for _ in range(2):
        path = make_client().download(f"{server.url}/x.whl", sha256=sha256(BIG), size=len(BIG), name="x.whl")
        assert path.read_bytes() == BIG
    assert path == tmp_path / "cache/artifacts/sha256" / sha256(BIG)[:2] / sha256(BIG) / "x.whl"
    assert len(server.asked) == 1
    assert make_client(offline=True).cached(sha256(BIG), "x.whl") == path
    assert make_client(offline=True).cached(sha256(b""), "x.whl") is None


CUTS = [round(len(BIG) * i / 15.5) for i in range(16)]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("cut", CUTS)
def test_x26_what_breaks_off_is_resumed(
    client: Client, server: Server, cut: int, chunked: bool, tmp_path: Path
) -> None:
    """X26: "resumes with Range+If-Range/ETag, final hash ok -> 0; re-downloaded bytes <= 64 KiB + cut chunk"."""
    server.add("/x.whl", BIG, cuts=[cut], etag='"1"', chunked=chunked)
    path = client.download(f"{server.url}/x.whl", sha256=sha256(BIG), size=len(BIG), name="x.whl")
    assert path.read_bytes() == BIG
    assert cached_files(tmp_path) == [path.relative_to(tmp_path / "cache").as_posix()]
    assert len(server.asked) == 2
    assert sum(asked.sent for asked in server.asked) <= len(BIG) + (64 << 10)
    if cut > 64 << 10:
        assert server.asked[1].headers["If-Range"] == '"1"'
        assert server.asked[1].status == 206


@pytest.mark.parametrize("length", [1, 150_000, 299_999, 300_001, 10**9])
def test_x26_a_content_length_that_lies(client: Client, server: Server, length: int) -> None:
    server.add("/x.whl", BIG, length=length)
    path = client.download(f"{server.url}/x.whl", sha256=sha256(BIG), size=len(BIG), name="x.whl")
    assert path.read_bytes() == BIG


def test_x29_a_server_that_ignores_range(client: Client, server: Server) -> None:
    server.add("/x.whl", BIG, cuts=[200_000], ranges=False, etag='"1"')
    assert client.download(f"{server.url}/x.whl", sha256=sha256(BIG), size=len(BIG), name="x.whl").read_bytes() == BIG
    assert [asked.status for asked in server.asked] == [200, 200]


@pytest.mark.parametrize("etag", ['"2"', None])
def test_x29_the_file_changes_half_way(client: Client, server: Server, etag: str | None) -> None:
    """With a validator the server says so; without one the hash does."""
    other = bytes(reversed(BIG))

    def change(route: Route) -> None:
        if not route.cuts:
            route.body, route.etag = other, etag

    server.add("/x.whl", BIG, cuts=[200_000], etag=etag and '"1"', on_request=change)
    assert (
        client.download(f"{server.url}/x.whl", sha256=sha256(other), size=len(BIG), name="x.whl").read_bytes() == other
    )


def test_x29_the_hash_decides_about_a_wrong_encoding(client: Client, server: Server) -> None:
    server.add("/x.tar.gz", BIG, headers={"Content-Encoding": "gzip"})
    path = client.download(f"{server.url}/x.tar.gz", sha256=sha256(BIG), size=None, name="x.tar.gz")
    assert path.read_bytes() == BIG


@pytest.mark.parametrize("size", [len(BIG), None])
def test_r05_a_wrong_hash_is_tried_once_more_and_never_kept(
    client: Client, server: Server, size: int | None, tmp_path: Path
) -> None:
    server.add("/x.whl", BIG)
    with pytest.raises(IntegrityError) as caught:
        client.download(f"{server.url}/x.whl", sha256="0" * 64, size=size, name="x.whl")
    assert (caught.value.id, caught.value.exit_code) == ("hash-mismatch", 5)
    assert f"found: {sha256(BIG)}" in caught.value.context
    assert [asked.headers.get("Cache-Control") for asked in server.asked] == [None, "no-cache"]
    assert cached_files(tmp_path) == []


def test_r05_a_wrong_answer_of_a_proxy_is_asked_past(client: Client, server: Server) -> None:
    bodies = [b"x" * len(BIG), BIG]
    server.add("/x.whl", on_request=lambda route: setattr(route, "body", bodies.pop(0)))
    assert client.download(f"{server.url}/x.whl", sha256=sha256(BIG), size=len(BIG), name="x.whl").read_bytes() == BIG


def test_r06_no_more_is_read_than_was_promised(client: Client, server: Server, tmp_path: Path) -> None:
    server.add("/x.whl", bytes(30 << 20), drip=0)
    with pytest.raises(IntegrityError) as caught:
        client.download(f"{server.url}/x.whl", sha256=sha256(BIG), size=1000, name="x.whl")
    assert caught.value.id == "size-mismatch"
    assert caught.value.objects["found"] == 65536
    assert cached_files(tmp_path) == []


def test_r06_less_than_was_promised(client: Client, server: Server, tmp_path: Path) -> None:
    server.add("/x.whl", BIG)
    with pytest.raises(IntegrityError) as caught:
        client.download(f"{server.url}/x.whl", sha256=sha256(BIG), size=len(BIG) + 1, name="x.whl")
    assert caught.value.id == "size-mismatch"
    assert cached_files(tmp_path) == []


def test_a_download_that_fails_for_good_is_taken_up_by_the_next_run(
    make_client: MakeClient, server: Server, tmp_path: Path
) -> None:
    body = random.Random(8).randbytes(4 << 20)
    server.add("/x.whl", body, cuts=[3 << 20])
    with pytest.raises(NetworkError):
        make_client(retries=0).download(f"{server.url}/x.whl", sha256=sha256(body), size=len(body), name="x.whl")
    assert cached_files(tmp_path) == [f"artifacts/partial/{sha256(body)}"]
    path = make_client().download(f"{server.url}/x.whl", sha256=sha256(body), size=len(body), name="x.whl")
    assert path.read_bytes() == body
    assert sum(asked.sent for asked in server.asked) <= len(body) + (64 << 10)
    assert cached_files(tmp_path) == [path.relative_to(tmp_path / "cache").as_posix()]


def test_a_wrong_beginning_costs_time_only(client: Client, server: Server, tmp_path: Path) -> None:
    partial = tmp_path / "cache/artifacts/partial" / sha256(BIG)
    partial.parent.mkdir(parents=True)
    for wrong in (b"x" * 1000, b"x" * len(BIG), b"x" * 2 * len(BIG)):
        partial.write_bytes(wrong)
        server.add("/x.whl", BIG)
        path = client.download(f"{server.url}/x.whl", sha256=sha256(BIG), size=len(BIG), name="x.whl")
        assert path.read_bytes() == BIG
        path.unlink()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_x30_a_damaged_artifact_is_fetched_again(make_client: MakeClient, server: Server, damage: str) -> None:
    """X30: "flipped: detected by hash, evicted, offline -> 5"."""
    server.add("/x.whl", BIG)
    wanted = {"sha256": sha256(BIG), "size": len(BIG), "name": "x.whl"}
    path = make_client().download(f"{server.url}/x.whl", **wanted)  # type: ignore[arg-type]
    data = {"flip": BIG[:-1] + bytes([BIG[-1] ^ 1]), "cut": BIG[:-1], "empty": b""}[damage]
    path.write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        make_client(offline=True).download(f"{server.url}/x.whl", **wanted)  # type: ignore[arg-type]
    assert caught.value.exit_code == 5
    assert make_client().download(f"{server.url}/x.whl", **wanted).read_bytes() == BIG  # type: ignore[arg-type]
    assert len(server.asked) == 2
    assert make_client(offline=True).download(f"{server.url}/x.whl", **wanted) == path  # type: ignore[arg-type]


def test_offline_fetches_nothing(make_client: MakeClient, server: Server) -> None:
    server.add("/x.whl", BIG)
    for hashed in (sha256(BIG), None):
        with pytest.raises(NetworkError) as caught:
            make_client(offline=True).download(f"{server.url}/x.whl", sha256=hashed, size=None, name="x.whl")
        assert caught.value.id == "offline"
    with pytest.raises(NetworkError):
        make_client(offline=True).open_remote(f"{server.url}/x.whl")
    assert server.asked == []


def test_x23_many_processes_fill_one_key(server: Server, tmp_path: Path) -> None:
    """X23: "exactly one published, sha256 right; no reader sees partial", and one process is killed on the way."""
    server.add("/x.whl", BIG)
    program = (
        "import sys; from pathlib import Path; from bridge.config import Settings; from bridge.fetch import Client\n"
        "with Client(Settings(cache_dir=Path(sys.argv[1]))) as client:\n"
        "    path = client.download(sys.argv[2], sha256=sys.argv[3], size=None, name='x.whl')\n"
        "    print(path)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache"), f"{server.url}/x.whl", sha256(BIG)]
    root = Path(__file__).parents[1]
    kill = {"BRIDGE_FAILPOINT": "cache.chunk_written:2=kill"}
    assert subprocess.run(command, cwd=root, env=os.environ | kill, check=False).returncode == -9
    assert all(name.endswith(".bridge-tmp") for name in cached_files(tmp_path))
    runs = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    said = [run.communicate(timeout=60)[0].strip() for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0, 0]
    assert len(set(said)) == 1
    assert Path(said[0]).read_bytes() == BIG
    assert [path.name for path in Path(said[0]).parent.iterdir() if not path.name.endswith(".bridge-tmp")] == ["x.whl"]


def test_artifacts_on_the_disk_are_used_where_they_lie(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "x y.whl"
    path.write_bytes(BIG)
    for location in (path.as_uri(), str(path)):
        assert client.download(location, sha256=sha256(BIG), size=len(BIG), name="x y.whl") == path
        assert client.download(location, sha256=None, size=None, name="x y.whl") == path
        with pytest.raises(IntegrityError, match="sha256 differs"):
            client.download(location, sha256="0" * 64, size=None, name="x y.whl")
        with pytest.raises(IntegrityError, match="not as long"):
            client.download(location, sha256=sha256(BIG), size=1, name="x y.whl")
    with pytest.raises(NetworkError, match="there is no file"):
        client.download(str(tmp_path / "none.whl"), sha256=None, size=None, name="none.whl")


@pytest.mark.parametrize("etag", ['"1"', None])
def test_a_url_that_was_typed_needs_no_hash(make_client: MakeClient, server: Server, etag: str | None) -> None:
    server.add("/x.whl", BIG, etag=etag)
    url = f"{server.url}/x.whl"
    path = make_client().download(url, sha256=None, size=None, name="x.whl")
    assert path.read_bytes() == BIG
    assert make_client().download(url, sha256=None, size=None, name="x.whl") == path
    assert [asked.status for asked in server.asked] == [200, 304 if etag else 200]
    assert make_client(offline=True).download(url, sha256=None, size=None, name="x.whl") == path
    server.add("/x.whl", b"new", etag=etag and '"2"')
    assert make_client().download(url, sha256=None, size=None, name="x.whl").read_bytes() == b"new"
    path.write_bytes(b"new!")
    assert make_client().download(url, sha256=None, size=None, name="x.whl").read_bytes() == b"new"


def test_a_typed_url_is_resumed_only_where_the_server_vouches_for_it(client: Client, server: Server) -> None:
    for etag, statuses in (('"1"', [200, 206]), (None, [200, 200])):
        server.asked.clear()
        server.add(f"/{bool(etag)}.whl", BIG, cuts=[200_000], etag=etag)
        path = client.download(f"{server.url}/{bool(etag)}.whl", sha256=None, size=None, name="x.whl")
        assert path.read_bytes() == BIG
        assert [asked.status for asked in server.asked] == statuses


NAMES = ["", ".", "..", "a/b", "/a", "..\\a", "%2e%2e%2fx.conda", "%252e%252e%252fx.conda", "a\nb", "a\x00b", "x" * 256]


@pytest.mark.parametrize("name", NAMES)
def test_r02_names_that_leave_the_folder(client: Client, server: Server, name: str, tmp_path: Path) -> None:
    server.add("/x", BIG)
    with pytest.raises(UnsafeInputError) as caught:
        client.download(f"{server.url}/x", sha256=sha256(BIG), size=None, name=name)
    assert caught.value.exit_code == 3
    assert server.asked == []


@pytest.mark.parametrize("name", ["x-1.0+cpu-py3-none-any.whl", "a%20b.conda", "ü.tar.gz", "x" * 255, "..x"])
def test_names_that_stay(name: str) -> None:
    check_file_name(name)


class Recorder:
    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.sum = 0

    def start(self, task: str, total: int | None) -> None:
        self.calls.append((task, total))

    def advance(self, task: str, n: int) -> None:
        self.sum += n

    def finish(self, task: str) -> None:
        self.calls.append((task, "finished"))


def test_progress_adds_up_also_where_the_download_starts_over(client: Client, server: Server) -> None:
    recorder = Recorder()
    server.add("/x.whl", BIG, cuts=[200_000], ranges=False)
    client.download(f"{server.url}/x.whl", sha256=sha256(BIG), size=len(BIG), name="x.whl", on_progress=recorder)
    assert recorder.calls == [("x.whl", len(BIG)), ("x.whl", "finished")]
    assert recorder.sum == len(BIG)


# Reading in parts.


@settings_of_hypothesis(max_examples=100, deadline=None)
@given(
    data=st.binary(max_size=3000),
    tail=st.integers(0, 3000),
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(-50, 3100), st.integers(-1, 3100)), max_size=12),
)
def test_a_ranged_file_is_the_file(data: bytes, tail: int, steps: list[tuple[int, int, int]]) -> None:
    """`io.RawIOBase`: seek, tell and read as of any file; and nothing is fetched twice."""
    fetched = [0] * len(data)

    def fetch(start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= len(data)
        for i in range(start, stop):
            fetched[i] += 1
        return data[start:stop]

    tail = min(tail, len(data))
    remote, local = RangedFile(fetch, len(data), data[len(data) - tail :]), io.BytesIO(data)
    for whence, offset, size in steps:
        base = {0: 0, 1: local.tell(), 2: len(data)}[whence]
        if base + offset < 0:
            with pytest.raises(ValueError, match="before the start"):
                remote.seek(offset, whence)
            continue
        assert remote.seek(offset, whence) == local.seek(offset, whence)
        assert remote.read(size) == local.read(size)
        assert remote.tell() == local.tell() or local.tell() > len(data)
    assert max(fetched, default=0) <= 1
    assert not tail or sum(fetched[len(data) - tail :]) == 0


def test_a_remote_zip_is_read_in_a_few_requests(client: Client, server: Server, tmp_path: Path) -> None:
    files = {f"x/{i}.bin": random.Random(i).randbytes(3000) for i in range(200)}
    wheel = make_wheel(tmp_path, "x", "1.0", files=files)
    server.add("/x.whl", wheel.read_bytes(), etag='"1"')
    remote = client.open_remote(f"{server.url}/x.whl", wheel.stat().st_size)
    assert remote is not None
    with remote, zipfile.ZipFile(remote) as archive:
        assert archive.read("x-1.0.dist-info/METADATA").startswith(b"Metadata-Version")
        assert client.requests <= 2
        assert archive.testzip() is None
    remote = client.open_remote(f"{server.url}/x.whl")  # without the size, from the end
    assert remote is not None
    assert server.asked[-1].headers["Range"].startswith("bytes=-")
    remote.seek(0)
    assert remote.read(4) == b"PK\x03\x04"


@pytest.mark.parametrize("body", [b"", b"x", BIG])
def test_a_server_without_ranges_is_asked_once(client: Client, server: Server, body: bytes) -> None:
    server.add("/x.whl", body, ranges=False)
    assert client.open_remote(f"{server.url}/x.whl") is None
    assert client.open_remote(f"{server.url}/x.whl") is None
    assert len(server.asked) == 1


def test_a_remote_file_that_changes_is_noticed(client: Client, server: Server) -> None:
    server.add("/x.whl", BIG, etag='"1"')
    remote = client.open_remote(f"{server.url}/x.whl")
    assert remote is not None
    server.add("/x.whl", BIG[:-1], etag='"2"')
    with pytest.raises(NetworkError) as caught:
        remote.read(100)
    assert caught.value.id == "range-refused"


def test_a_range_that_breaks_off_is_asked_again(client: Client, server: Server) -> None:
    server.add("/x.whl", BIG, cuts=[1000, None, 5])
    remote = client.open_remote(f"{server.url}/x.whl")
    assert remote is not None
    assert remote.read() == BIG


def test_a_remote_file_that_is_gone(client: Client, server: Server) -> None:
    with pytest.raises(NetworkError, match="404"):
        client.open_remote(f"{server.url}/none.whl")


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

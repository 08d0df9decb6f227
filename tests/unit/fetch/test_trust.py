"""`bridge.fetch` and `bridge.fetch.urls`: whom a client follows and believes, and whom it tells what."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from bridge.errors import BridgeError, NetworkError, UnsafeInputError, UsageError
from bridge.fetch.client import Client
from bridge.secrets import Address, masked
from tests.support.clients import MakeClient
from tests.support.servers import Server, tls_files

BIG = random.Random(7).randbytes(300_000)
LIMIT = 1 << 20


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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
    assert (Address.of("https://a%40b:c%3A@h:1/p#f").public, Address.of("https://a%40b:c%3A@h:1/p#f").user) == (
        "https://h:1/p",
        ("a@b", "c:"),
    )
    assert (Address.of("https://token@h/p").public, Address.of("https://token@h/p").user) == (
        "https://h/p",
        ("token", ""),
    )
    assert (Address.of("https://h/p?x=@y").public, Address.of("https://h/p?x=@y").user) == ("https://h/p?x=@y", None)


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


NAMES = ["", ".", "..", "a/b", "/a", "..\\a", "%2e%2e%2fx.conda", "%252e%252e%252fx.conda", "a\nb", "a\x00b", "x" * 256]


@pytest.mark.parametrize("name", NAMES)
def test_r02_names_that_leave_the_folder(client: Client, server: Server, name: str, tmp_path: Path) -> None:
    server.add("/x", BIG)
    with pytest.raises(UnsafeInputError) as caught:
        client.download(f"{server.url}/x", sha256=sha256(BIG), size=None, name=name)
    assert caught.value.exit_code == 3
    assert server.asked == []


@pytest.mark.parametrize("name", ["x-1.0+cpu-py3-none-any.whl", "a%20b.conda", "ü.tar.gz", "x" * 255, "..x"])
def test_names_that_stay(client: Client, server: Server, name: str) -> None:
    server.add("/x", BIG)
    path = client.download(f"{server.url}/x", sha256=sha256(BIG), size=None, name=name)
    assert path.name == name
    assert path.read_bytes() == BIG

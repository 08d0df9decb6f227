"""`bridge.secrets`: what a URL holds of secrets, where they go, and that they stay in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.secrets import Secrets, has_secret, masked, public

SPLIT = [
    ("https://me:pw@h.example/simple/", "https://h.example/simple/"),
    ("https://me:p@ss@h.example/simple/", "https://h.example/simple/"),
    ("https://me:pa%2Fss%40%25@h.example/simple/", "https://h.example/simple/"),
    ("https://me@h.example:8443/x", "https://h.example:8443/x"),
    ("https://h.example/t/tk-123-45/main", "https://h.example/main"),
    ("https://h.example/t/tk-123-45", "https://h.example"),
    ("https://h.example/conda/t/0f9-a/main/noarch/tk-1-0.conda", "https://h.example/conda/main/noarch/tk-1-0.conda"),
    ("https://h.example/x.whl?sig=a%2Bb&size=3", "https://h.example/x.whl?size=3"),
    ("https://h.example/x.whl?X-Amz-Signature=1&X-Amz-Credential=2", "https://h.example/x.whl"),
    ("https://h.example/x.whl?AWSAccessKeyId=AKIA&Expires=1#sha256=aa", "https://h.example/x.whl?Expires=1#sha256=aa"),
    ("https://h.example/x.whl?access_token=1", "https://h.example/x.whl"),
    ("https://h.example/x?u=eyJhbGciOi.J9.x", "https://h.example/x"),
    ("https://h.example/x?k=Zm9vYmFyMTIzNDU2Nzg5MA==", "https://h.example/x"),
]
PLAIN = [
    "https://h.example/packages/source/t/tomli/tomli-2.0.tar.gz",
    "https://h.example/t/typing_extensions/typing-extensions-4.0.tar.gz",
    "https://h.example/download?file=demo-1.0-py3-none-any.whl&sha256=" + "0a" * 32,
    "https://h.example/simple/@scope/x",
    "file:///t/folder/x.whl",
    "conda-forge",
    "/t/folder/channel",
]


@pytest.mark.parametrize(("url", "expected"), SPLIT)
def test_a_public_url_has_no_secret_and_gets_it_back(url: str, expected: str) -> None:
    secrets = Secrets()
    assert public(url) == expected
    known = secrets.learn(url)
    assert known == expected.partition("#")[0]
    address = secrets.address(known)
    assert secrets.learn(address.full) == known
    assert address.public == known
    assert repr(address) == f"Address(public={known!r})"
    assert public(expected) == expected


@pytest.mark.parametrize("url", PLAIN)
def test_what_only_looks_like_a_secret_stays(url: str) -> None:
    assert (public(url), masked(url)) == (url, url)
    assert Secrets().learn(url) == url


@pytest.mark.parametrize(
    "url", ["https://me:pa/ss@h.example/x", "https://me:1/ss@h.example/x", "https://me:p?w@h.example/x"]
)
def test_a_password_that_breaks_its_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match="percent-encode"):
        Secrets().learn(url)
    assert "ss" not in masked(f"cannot read {url!r}").replace("cannot", "")
    assert "h.example/x" in masked(url)


def test_a_token_goes_where_it_was_given_for() -> None:
    secrets = Secrets()
    channel = secrets.learn("https://h.example/t/tk-1/team")
    assert secrets.address(f"{channel}/noarch/a.conda").full == "https://h.example/t/tk-1/team/noarch/a.conda"
    for other in ("https://h.example/other/a.conda", "https://h.example/teams/a.conda", "http://h.example/team/a"):
        assert secrets.address(other).full == other


def test_what_a_page_brings_is_for_its_own_url_only() -> None:
    secrets = Secrets()
    secrets.learn("https://evil:planted@h.example/x.whl", is_typed=False)
    assert secrets.address("https://h.example/x.whl").user == ("evil", "planted")
    assert secrets.address("https://h.example/y.whl").user is None


def test_known_words_are_hidden_in_texts_of_others() -> None:
    secrets = Secrets()
    secrets.learn("https://me:s3cr%2Ft@h.example/t/tk-9/x?sig=abcd")
    said = secrets.hide("Max retries exceeded with url: /t/tk-9/x?sig=abcd (me, s3cr/t, s3cr%2Ft)")
    assert not any(word in said for word in ("tk-9", "abcd", "s3cr/t", "s3cr%2Ft"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<a href="../x.whl?sig=abcd&amp;x=1">x</a>', True),
        ('{"url": "https:\\/\\/h\\/t\\/tk-1\\/x.whl"}', True),
        ('<a href="/t/tk-1/files/x.whl">x</a>', True),
        ('<a href="https://u:p@h/x.whl">x</a>', True),
        ('<a href="/packages/t/tomli/tomli-1.whl#sha256=00">x</a>', False),
        ('{"yanked": "use foo@2, see /docs?page=2"}', False),
    ],
)
def test_pages_that_bear_secrets(text: str, expected: bool) -> None:
    assert has_secret(text) is expected


SEGMENT = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6, max_size=20)


@given(user=SEGMENT, password=SEGMENT, token=SEGMENT, value=SEGMENT)
def test_no_secret_survives(user: str, password: str, token: str, value: str) -> None:
    url = f"https://{user}:{password}@h.example/t/0{token}/c/noarch/x-1-0.conda?sig={value}"
    for shown in (masked(f"see {url}."), public(url), Secrets().learn(url)):
        assert not any(
            f"{mark}{word}" in shown for mark, word in (("//", user), (":", password), ("0", token), ("=", value))
        )

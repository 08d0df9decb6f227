"""`bridge.index.simple_api` and `bridge.index.strict_json`: what pages say, and which are refused."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from bridge.errors import UnsafeInputError
from bridge.index.markup import MAX_LINKS
from bridge.index.simple_api import PageListing, Source, parse_page
from bridge.index.strict_json import MAX_DEPTH, parse_json
from bridge.model import IndexFile

HASH = "a" * 64
JSON = "application/vnd.pypi.simple.v1+json"
PAGE = "https://h.example/simple/x/"


def html(text: str, *, url: str = PAGE, project: str | None = "x") -> PageListing:
    return parse_page(text.encode(), "text/html", Source(url=url, origin="o", project=project))


def one(text: str, **options: str) -> IndexFile:
    (file,) = html(text, **options).files
    return file


WHEEL = "x-1.0-py3-none-any.whl"

ANCHORS: list[tuple[str, dict[str, object]]] = [
    (f'<a href="{WHEEL}">', {"url": f"{PAGE}{WHEEL}", "sha256": None, "yanked": None, "has_metadata": False}),
    (f'<A HREF=" /f/{WHEEL}\n">', {"url": f"https://h.example/f/{WHEEL}"}),
    (
        f'<base href="https://b.example/c/"><base href="https://d/"><a href="{WHEEL}">',
        {"url": f"https://b.example/c/{WHEEL}"},
    ),
    (f'<base href="../d/"><a href="{WHEEL}">', {"url": f"https://h.example/simple/d/{WHEEL}"}),
    (f'<a href="//o.example/{WHEEL}">', {"url": f"https://o.example/{WHEEL}"}),
    (f'<a href="{WHEEL}#sha256={HASH.upper()}&amp;egg=x">', {"sha256": HASH}),
    (f'<a href="{WHEEL}#md5=abc">', {"sha256": None}),
    (f'<a href="{WHEEL}#sha256={HASH}&sha256={HASH}">', {"sha256": HASH}),
    (f'<a href="{WHEEL}?a=1&b=2">', {"url": f"{PAGE}{WHEEL}?a=1&b=2"}),
    (f'<a href="{WHEEL}" data-yanked>', {"yanked": ""}),
    (f'<a href="{WHEEL}" data-yanked="">', {"yanked": ""}),
    (f'<a href="{WHEEL}" data-yanked="bad">', {"yanked": "bad"}),
    (f'<a href="{WHEEL}" data-requires-python="&gt;=3.8">', {"requires_python": ">=3.8"}),
    (f'<a href="{WHEEL}" data-core-metadata="true">', {"has_metadata": True, "metadata_sha256": None}),
    (f'<a href="{WHEEL}" data-core-metadata="sha256={HASH}">', {"has_metadata": True, "metadata_sha256": HASH}),
    (f'<a href="{WHEEL}" data-dist-info-metadata="sha256={HASH}">', {"has_metadata": True, "metadata_sha256": HASH}),
    # PEP 714: "the new attribute" wins where both are there.
    (f'<a href="{WHEEL}" data-dist-info-metadata="true" data-core-metadata="false">', {"has_metadata": False}),
    (f'<a href="{WHEEL}" href="y-1.0-py3-none-any.whl">', {"url": f"{PAGE}{WHEEL}"}),
    ('<a href="x-1.0%2Blocal-py3-none-any.whl">', {"version": "1.0+local", "filename": "x-1.0+local-py3-none-any.whl"}),
    ('<a href="x-1.0.0.RC1-1-py3-none-any.whl">', {"version": "1.0.0rc1"}),
    ('<a href="X-1.0.zip">', {"version": "1.0", "filename": "X-1.0.zip"}),
]


@pytest.mark.parametrize(("text", "expected"), ANCHORS)
def test_r19_anchors_are_read_as_html_and_the_peps_say(text: str, expected: dict[str, object]) -> None:
    file = one(text)
    assert {key: getattr(file, key) for key in expected} == expected


DROPPED = [
    '<a name="top">',
    '<a href="javascript:alert(1)//x-1.0-py3-none-any.whl">',
    '<a href="mailto:x-1.0-py3-none-any.whl">',
    '<a href="http://[::1/x-1.0-py3-none-any.whl">',
    f'<a href="{WHEEL}#sha256={HASH}&sha256={"b" * 64}">',
    f'<a href="{WHEEL}#sha256=short">',
    f'<a href="{WHEEL}" data-core-metadata="sha256=short">',
    '<a href="y-1.0-py3-none-any.whl">',
    '<a href="x-one-py3-none-any.whl">',
    '<a href="x-1.0-py3-none.whl">',
    '<a href="x-1.0-build-py3-none-any.whl">',
    '<a href="..%2Fx-1.0.tar.gz">',
    '<a href="%2e%2e%5Cx-1.0.tar.gz">',
    '<a href="%00x-1.0.tar.gz">',
    '<a href=".x-1.0.tar.gz">',
    f'<a href="x-{"1" * 250}-py3-none-any.whl">',
]


@pytest.mark.parametrize("text", DROPPED)
@pytest.mark.parametrize("project", ["x", None])
def test_r19_what_makes_no_sense_is_passed_over_and_noted(text: str, project: str | None) -> None:
    listing = html(f'<a href="https://h.example/x-2.0-py3-none-any.whl">ok</a>{text}', project=project)
    assert listing.files[0].filename == "x-2.0-py3-none-any.whl"
    if project is None and "y-1.0" in text:
        assert len(listing.files) == 2
    else:
        assert len(listing.files) == 1
        assert len(listing.dropped) == 1


@pytest.mark.parametrize("name", ["x-1.0.whl.asc", "../", "", "http://[x/"])
def test_what_is_no_distribution_is_left_out(name: str) -> None:
    assert html(f'<a href="{name}">').files == ()


@pytest.mark.parametrize("name", ["x-1.0.egg", "x-1.0.exe", "x-1.0.tar.bz2"])
def test_what_is_neither_a_wheel_nor_an_sdist_is_left_out_and_told(name: str) -> None:
    reason = "it is neither a wheel nor an sdist (.tar.gz, .zip)"
    assert html(f'<a href="{name}">') == PageListing(files=(), dropped=((name, reason),))


@pytest.mark.parametrize(
    ("page", "link"),
    [
        (PAGE, "http://h.example/"),
        (PAGE, "file:///etc/"),
        ("http://h.example/simple/x/", "file:///etc/"),
    ],
)
def test_r03_a_page_may_not_lead_to_less_than_itself(page: str, link: str) -> None:
    with pytest.raises(UnsafeInputError) as caught:
        html(f'<a href="{link}{WHEEL}">', url=page)
    assert (caught.value.id, caught.value.exit_code) == ("url-refused", 3)
    body = json.dumps({"files": [{"filename": WHEEL, "url": f"{link}{WHEEL}", "hashes": {}}]}).encode()
    with pytest.raises(UnsafeInputError, match="refused"):
        parse_page(body, JSON, Source(url=page, origin="o", project="x"))


@pytest.mark.parametrize(
    ("page", "link", "trusted"),
    [
        (PAGE, "http://h.example/", ("h.example",)),
        ("http://a/", "https://b/", ()),
        ("file:///a/", "file:///b/", ()),
        ("file:///a/", "http://b/", ()),
    ],
)
def test_r03_what_a_page_may_lead_to(page: str, link: str, trusted: tuple[str, ...]) -> None:
    source = Source(url=page, origin="o", project="x", trusted_hosts=trusted)
    assert parse_page(f'<a href="{link}{WHEEL}">'.encode(), "", source).files[0].url == f"{link}{WHEEL}"


@pytest.mark.slow
def test_r19_a_million_anchors_are_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.index.html_pages._SECONDS", 600)  # the links are counted, however busy the machine is
    begin = time.process_time()
    with pytest.raises(UnsafeInputError) as caught:
        html(f'<a href="{WHEEL}">' * 1_000_000)
    assert caught.value.id == "limit-entries"
    assert time.process_time() - begin < 5
    files = [{"filename": WHEEL, "url": WHEEL, "hashes": {}}] * (MAX_LINKS + 1)
    with pytest.raises(UnsafeInputError):
        parse_page(json.dumps({"files": files}).encode(), JSON, Source(url=PAGE, origin="o", project="x"))


def entry(**facts: object) -> dict[str, object]:
    return {"filename": WHEEL, "url": f"https://f.example/{WHEEL}", "hashes": {"sha256": HASH}} | facts


def page(*files: object, **document: object) -> bytes:
    return json.dumps({"meta": {"api-version": "1.0"}, "name": "x", "files": list(files)} | document).encode()


FACTS: list[tuple[dict[str, object], dict[str, object]]] = [
    ({}, {"sha256": HASH, "size": None, "yanked": None, "upload_time": None, "has_metadata": False}),
    ({"size": 12}, {"size": 12}),
    ({"size": -1}, {"size": None}),
    ({"size": True}, {"size": None}),
    ({"size": "12"}, {"size": None}),
    ({"hashes": {"md5": "x"}}, {"sha256": None}),
    ({"hashes": None}, {"sha256": None}),
    ({"yanked": True}, {"yanked": ""}),
    ({"yanked": "why"}, {"yanked": "why"}),
    ({"yanked": False}, {"yanked": None}),
    ({"requires-python": ""}, {"requires_python": None}),
    ({"requires-python": None}, {"requires_python": None}),
    ({"core-metadata": True}, {"has_metadata": True, "metadata_sha256": None}),
    ({"core-metadata": {"sha256": HASH}}, {"has_metadata": True, "metadata_sha256": HASH}),
    ({"core-metadata": False, "dist-info-metadata": True}, {"has_metadata": False}),
    ({"dist-info-metadata": {"sha256": HASH}}, {"has_metadata": True, "metadata_sha256": HASH}),
    ({"upload-time": "2019-11-10T15:57:05.567678Z"}, {"upload_time": 1573401425567}),
    ({"upload-time": "once"}, {"upload_time": None}),
    ({"url": f"../../f/{WHEEL}"}, {"url": f"https://h.example/f/{WHEEL}"}),
    ({"unknown": [[[{}]]]}, {"sha256": HASH}),
]


@pytest.mark.parametrize(("facts", "expected"), FACTS)
def test_json_facts(facts: dict[str, object], expected: dict[str, object]) -> None:
    (file,) = parse_page(page(entry(**facts)), JSON, Source(url=PAGE, origin="o", project="x")).files
    assert {key: getattr(file, key) for key in expected} == expected


@pytest.mark.parametrize(
    "facts", [{"filename": None}, {"url": 1}, {"hashes": {"sha256": "x"}}, {"filename": "../" + WHEEL}]
)
def test_json_entries_that_make_no_sense(facts: dict[str, object]) -> None:
    listing = parse_page(page(entry(**facts), entry()), JSON, Source(url=PAGE, origin="o", project="x"))
    assert (len(listing.files), len(listing.dropped)) == (1, 1)


DEEP = b'{"files": [], "x": ' + b"[" * 70 + b"]" * 70 + b"}"


@pytest.mark.parametrize(
    ("content", "kind", "error_id"),
    [
        (b'{"files": [], "files": []}', JSON, "json-invalid"),
        (b'{"files": [], "x": NaN}', JSON, "json-invalid"),
        (b'{"files": []} x', JSON, "json-invalid"),
        (b'{"files": [], "x": "\xff"}', JSON, "json-invalid"),
        (b"", JSON, "json-invalid"),
        (b"[" * 100_000, JSON, "limit-size"),
        (DEEP, JSON, "limit-size"),
        (b"[]", JSON, "page-unreadable"),
        (b'{"files": {}}', JSON, "page-unreadable"),
        (b'{"files": [1]}', JSON, "page-unreadable"),
        (page(meta={"api-version": "2.0"}), JSON, "page-unreadable"),
        (b"<meta name='pypi:repository-version' content='2.0'>", "text/html", "page-unreadable"),
        (b"PK\x03\x04", "application/zip", "page-unreadable"),
    ],
)
def test_r07_r08_pages_that_are_refused(content: bytes, kind: str, error_id: str) -> None:
    with pytest.raises(UnsafeInputError) as caught:
        parse_page(content, kind, Source(url="https://u:secret@h.example/x/", origin="o", project="x"))
    assert caught.value.id == error_id
    assert "secret" not in caught.value.message


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('[]{}"\\ab\u2028'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("[{ab", max_size=3), inner, max_size=3),
    max_leaves=20,
)


@settings_of_hypothesis(max_examples=100, deadline=None)
@given(JSON_VALUES)
def test_strict_json_is_json(value: object) -> None:
    """RFC 8259, 9: "A JSON parser MUST accept all texts that conform to the JSON grammar"; depth it "may" limit."""
    assert parse_json(json.dumps(value).encode(), "x") == value


@pytest.mark.parametrize("beside", [[], ["]}", "[{"], [1]])
@pytest.mark.parametrize("depth", [0, 1, MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 200])
def test_r07_the_depth_of_json_is_exact(depth: int, beside: list[object]) -> None:
    """Objects and lists count alike; brackets in strings do not."""
    nested: object = "[{]}"
    for level in range(depth):
        nested = {"[": nested} if level % 2 else [*beside, nested, *beside]
    if depth <= MAX_DEPTH:
        assert parse_json(json.dumps(nested).encode(), "x") == nested
    else:
        with pytest.raises(UnsafeInputError) as caught:
            parse_json(json.dumps(nested).encode(), "x")
        assert caught.value.id == "limit-size"


def test_an_attribute_without_a_value_yanks() -> None:
    """PEP 592: "may have" a value. pip 23 takes a file with a bare `data-yanked` for one that is not yanked."""
    (file,) = html(f'<a href="{WHEEL}" data-yanked>').files
    assert file.yanked == ""

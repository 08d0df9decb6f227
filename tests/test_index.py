"""`bridge.index`: who serves a project, what its pages say, and how METADATA is come by."""

from __future__ import annotations

import hashlib
import json
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from bridge import config
from bridge.config import Settings
from bridge.errors import IntegrityError, NetworkError, UnsafeInputError, UsageError
from bridge.fetch import Client
from bridge.index import Index
from bridge.memo import Memo
from bridge.model import IndexFile
from bridge.pool import Pool
from bridge.simple_api import MAX_LINKS, Listing, Source, parse_page
from bridge.strict_json import MAX_DEPTH, parse_json
from tests.builders import make_wheel, metadata_text
from tests.servers import IndexServer, Server

HASH = "a" * 64
JSON = "application/vnd.pypi.simple.v1+json"
PAGE = "https://h.example/simple/x/"

MakeClient = Callable[..., Client]


@pytest.fixture
def make_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeClient]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    clients: list[Client] = []

    def make(**options: object) -> Client:
        settings = replace(Settings(cache_dir=tmp_path / "cache", timeout=3.0), **options)  # type: ignore[arg-type]
        clients.append(Client(settings, backoff=0.01))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def names(files: tuple[IndexFile, ...]) -> list[str]:
    return [file.filename for file in files]


# Who serves a project.


def test_r11_the_first_index_that_has_a_project_serves_it_alone(make_client: MakeClient, tmp_path: Path) -> None:
    """R11: "private idx 1.0, public 99.0: picks 1.0; public never queried for that name"."""
    with IndexServer() as private, IndexServer() as public:
        private.publish(make_wheel(tmp_path / "private", "x", "1.0"))
        public.publish(make_wheel(tmp_path / "public", "x", "99.0"))
        public.publish(make_wheel(tmp_path / "public", "y", "2.0"))
        index = Index(make_client(), (private.simple, public.simple))
        assert names(index.files("x")) == ["x-1.0-py3-none-any.whl"]
        assert public.asked == []
        assert names(index.files("y")) == ["y-2.0-py3-none-any.whl"]
        assert index.files("z") == ()


@pytest.mark.parametrize("spelling", ["my-pkg", "My.Pkg", "my_pkg", "MY--pkg", "my.-_pkg"])
def test_r13_every_spelling_is_one_name(
    make_client: MakeClient, server: IndexServer, tmp_path: Path, spelling: str
) -> None:
    server.publish(make_wheel(tmp_path, "my.pkg", "1.0"))
    (file,) = Index(make_client(), (server.simple,)).files(spelling)
    assert file.project == "my-pkg"
    assert server.asked[0].path == "/simple/my-pkg/"


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_r12_only_not_found_leads_to_the_next_index(make_client: MakeClient, tmp_path: Path, status: int) -> None:
    with IndexServer() as private, IndexServer() as public:
        public.publish(make_wheel(tmp_path, "x", "99.0"))
        private.add("/simple/x/", statuses=[status] * 9)
        index = Index(make_client(retries=1), (private.simple, public.simple))
        with pytest.raises(NetworkError):
            index.files("x")
        assert public.asked == []


def test_r12_an_index_that_does_not_answer(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    server.publish(make_wheel(tmp_path, "x", "99.0"))
    with Server() as silent:
        silent.add("/simple/x/", drip_head=30)
        with pytest.raises(NetworkError):
            Index(make_client(retries=0, timeout=0.3), (silent.url + "/simple", server.simple)).files("x")
    with pytest.raises(NetworkError):
        Index(make_client(retries=0), (silent.url, server.simple)).files("x")
    assert server.asked == []


def test_r12_a_local_index_that_is_gone(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    server.publish(make_wheel(tmp_path, "x", "99.0"))
    with pytest.raises(NetworkError, match="no package index at") as caught:
        Index(make_client(), ((tmp_path / "gone").as_uri(), server.simple)).files("x")
    assert caught.value.id == "index-missing"


def test_a_local_index(make_client: MakeClient, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "files", "x", "1.0", requires=["y"])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    page = tmp_path / "simple/x/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<a href="../../files/{wheel.name}#sha256={digest}">{wheel.name}</a>')
    make_wheel(tmp_path / "simple/z", "z", "1.0")  # a folder of files is a page as well
    for base in ((tmp_path / "simple").as_uri(), str(tmp_path / "simple")):
        index = Index(make_client(offline=True), (base,))
        (file,) = index.files("x")
        assert (file.sha256, file.url, file.origin) == (digest, wheel.as_uri(), base)
        assert index.metadata(file).requires_dist == ("y",)
        assert index.fetch(file) == wheel
        assert names(index.files("Z")) == ["z-1.0-py3-none-any.whl"]
        assert index.files("none") == ()


def test_find_links_are_offered_beside_the_index(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    local = make_wheel(tmp_path / "links", "x", "1.0", tag="py3-none-any")
    (tmp_path / "links" / "x-1.5.tar.gz").write_bytes(b"an sdist")
    (tmp_path / "links" / "notes.txt").write_bytes(b"")
    (tmp_path / "links" / "not_a_wheel.whl").write_bytes(b"")
    server.publish(
        make_wheel(tmp_path / "other", "x", "1.0", requires=["y"]), make_wheel(tmp_path / "other", "x", "2.0")
    )
    server.add(
        "/links.html",
        b'<a href="/files/x-2.0-py3-none-any.whl">x</a><a href="l/w-3.zip">w</a>',
        content_type="text/html",
    )
    index = Index(
        make_client(), (server.simple,), (str(tmp_path / "links"), f"{server.url}/links.html", str(tmp_path / "gone"))
    )
    files = index.files("x")
    assert names(files) == [local.name, "x-1.5.tar.gz", "x-2.0-py3-none-any.whl"]
    assert files[0].url == local.as_uri()
    assert files[2].sha256 is None
    (other,) = index.files("w")
    assert (other.version, other.url) == ("3", f"{server.url}/l/w-3.zip")
    assert set(index.skipped) == {"not_a_wheel.whl", str(tmp_path / "gone")}


def test_find_links_serve_offline(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "links", "x", "1.0")
    index = Index(make_client(offline=True), (server.simple,), (str(wheel.parent),))
    assert names(index.files("x")) == [wheel.name]
    with pytest.raises(NetworkError, match="--offline"):
        index.files("y")


@pytest.mark.parametrize("name", ["", "-x", "a/b", "../x", "x y", "ü"])
def test_what_is_no_project(make_client: MakeClient, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Index(make_client(), ()).files(name)
    assert caught.value.id == "project-name"


def test_credentials_of_an_index(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    """B21: they serve for the index's files too, and are in no record."""
    server.publish(make_wheel(tmp_path, "x", "1.0"), credentials=("me", "secret"), core_metadata=False)
    url = server.simple.replace("//", "//me:secret@")
    index = Index(make_client(), (url,))
    (file,) = index.files("x")
    assert index.metadata(file).version == "1.0"
    assert index.fetch(file).name == file.filename
    assert "secret" not in repr(file)
    assert file.origin == server.simple


# What pages say.


@pytest.mark.parametrize("formats", [("json",), ("html",), ("json", "html")])
def test_json_and_html_say_the_same(
    make_client: MakeClient, server: IndexServer, tmp_path: Path, formats: tuple[str, ...]
) -> None:
    server.formats = formats
    wheel = make_wheel(tmp_path, "x", "1.0+local.1", tag="cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64")
    data = wheel.read_bytes()
    server.publish(
        wheel, facts={"requires-python": ">=3.8,<4", "yanked": "a <reason>", "upload-time": "2024-01-01T00:00:00Z"}
    )
    (file,) = Index(make_client(), (server.simple,)).files("x")
    is_json = "json" in formats
    assert file == IndexFile(
        project="x",
        filename=wheel.name,
        version="1.0+local.1",
        url=f"{server.url}/files/{wheel.name.replace('+', '%2B')}",
        origin=server.simple,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data) if is_json else None,
        requires_python=">=3.8,<4",
        yanked="a <reason>",
        upload_time=1704067200000 if is_json else None,
        has_metadata=True,
        metadata_sha256=hashlib.sha256(metadata_text("x", "1.0+local.1")).hexdigest(),
    )


def html(text: str, *, url: str = PAGE, project: str | None = "x") -> Listing:
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
    assert names(listing.files)[0] == "x-2.0-py3-none-any.whl"
    if project is None and "y-1.0" in text:
        assert len(listing.files) == 2
    else:
        assert len(listing.files) == 1
        assert len(listing.dropped) == 1


@pytest.mark.parametrize("name", ["x-1.0.egg", "x-1.0.exe", "x-1.0.tar.bz2", "x-1.0.whl.asc", "../"])
def test_what_is_neither_a_wheel_nor_an_sdist_is_left_out(name: str) -> None:
    assert html(f'<a href="{name}">') == Listing(files=())


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


def test_r19_a_million_anchors_are_refused_in_time() -> None:
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
@given(JSON_VALUES, st.integers(0, 80))
def test_strict_json_is_json(value: object, depth: int) -> None:
    """RFC 8259, 9: "A JSON parser MUST accept all texts that conform to the JSON grammar"; depth it "may" limit."""
    assert parse_json(json.dumps(value).encode(), "x") == value
    nested: object = "]}" * 3
    for _ in range(depth):
        nested = [nested]
    if depth <= MAX_DEPTH:
        assert parse_json(json.dumps(nested).encode(), "x") == nested
    else:
        with pytest.raises(UnsafeInputError):
            parse_json(json.dumps(nested).encode(), "x")


# Metadata.


def wheels_of(tmp_path: Path, *, pad: int = 0) -> Path:
    """A wheel of more than 64 KiB whose METADATA is not among its last bytes."""
    files = {"x/__init__.py": b"", "x/data.bin": random.Random(3).randbytes(200_000 + pad)}
    return make_wheel(tmp_path, "x", "1.0", files=files, requires=["y>=2"])


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        ({}, 1),  # PEP 658
        ({"core_metadata": False}, 1),  # Range
        ({"core_metadata": False, "sizes": False}, 1),
        ({"core_metadata": False, "ranges": False}, 2),  # asked for a range in vain, then all of it
        ({"core_metadata": False, "hashes": False}, 1),
    ],
)
def test_metadata_costs_few_requests_and_later_none(
    make_client: MakeClient, server: IndexServer, tmp_path: Path, options: dict[str, object], requests: int
) -> None:
    server.publish(wheels_of(tmp_path), **options)
    client = make_client()
    index = Index(client, (server.simple,))
    (file,) = index.files("x")
    before = client.requests
    assert index.metadata(file).requires_dist == ("y>=2",)
    assert index.metadata(file).requires_dist == ("y>=2",)
    assert client.requests - before == requests
    assert index.statistics.pages == 1
    assert index.statistics.metadata_fetched == 1
    if options.get("hashes", True):
        again = make_client(offline=True)
        later = Index(again, (server.simple,))
        assert later.metadata(*later.files("x")) == index.metadata(file)
        assert later.statistics.metadata_fetched == 0
        assert again.requests == 0


def test_metadata_that_is_not_the_promised_one(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    server.publish(wheels_of(tmp_path), core_metadata=HASH)
    index = Index(make_client(), (server.simple,))
    with pytest.raises(IntegrityError) as caught:
        index.metadata(*index.files("x"))
    assert (caught.value.id, caught.value.exit_code) == ("hash-mismatch", 5)


def test_metadata_that_is_promised_and_missing(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    wheel = wheels_of(tmp_path)
    server.publish(wheel)
    del server.routes[f"/files/{wheel.name}.metadata"]
    index = Index(make_client(), (server.simple,))
    assert index.metadata(*index.files("x")).requires_dist == ("y>=2",)


def test_metadata_of_a_wheel_in_the_cache(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    server.publish(wheels_of(tmp_path), core_metadata=False)
    index = Index(make_client(), (server.simple,))
    (file,) = index.files("x")
    index.fetch(file)
    client = make_client(offline=True)
    assert Index(client, (server.simple,)).metadata(file).requires_dist == ("y>=2",)


def test_what_a_verified_wheel_says_takes_the_place_of_what_was_read_before(
    make_client: MakeClient, server: IndexServer, tmp_path: Path
) -> None:
    """Ranges are not covered by the hash: a lie told there is found by who compares, and does not outlast the wheel."""
    honest, lying = wheels_of(tmp_path / "a"), make_wheel(tmp_path / "b", "x", "1.0", requires=["evil"])
    route = server.publish(honest, core_metadata=False, sizes=False)
    index = Index(make_client(), (server.simple,))
    (file,) = index.files("x")
    route.body, truth = lying.read_bytes(), route.body
    assert index.metadata(file).requires_dist == ("evil",)
    route.body = truth
    index.fetch(file)
    assert Index(make_client(offline=True), ()).metadata(file).requires_dist == ("y>=2",)


@pytest.mark.parametrize("ranges", [True, False])
def test_w59_metadata_that_contradicts_the_name(
    make_client: MakeClient, server: IndexServer, tmp_path: Path, ranges: bool
) -> None:
    wheel = make_wheel(tmp_path, "x", "1.0", metadata=metadata_text("x", "2.0"))
    server.publish(wheel, core_metadata=False, ranges=ranges)
    index = Index(make_client(), (server.simple,))
    with pytest.raises(UnsafeInputError) as caught:
        index.metadata(*index.files("x"))
    assert caught.value.id == "wheel-name"


@pytest.mark.parametrize("body", [b"", b"PK", b"no zip at all" * 1000, b"\0" * 100_000])
def test_what_is_no_wheel_at_all(make_client: MakeClient, server: IndexServer, tmp_path: Path, body: bytes) -> None:
    wheel = make_wheel(tmp_path, "x", "1.0")
    server.publish(wheel, core_metadata=False)
    wheel.write_bytes(body)
    server.add(f"/files/{wheel.name}", body)
    index = Index(make_client(), (server.simple,))
    with pytest.raises(UnsafeInputError) as caught:
        index.metadata(*index.files("x"))
    assert caught.value.id == "zip-frame"


def test_a_damaged_metadata_cache_is_no_matter(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    server.publish(wheels_of(tmp_path))
    index = Index(make_client(), (server.simple,))
    (file,) = index.files("x")
    index.metadata(file)
    (kept,) = (path for path in (tmp_path / "cache/metadata").rglob("*") if path.is_file())
    kept.write_bytes(kept.read_bytes().replace(b"y>=2", b"y>=3"))
    assert Index(make_client(), (server.simple,)).metadata(file).requires_dist == ("y>=2",)


def test_r04_a_file_without_a_hash_is_not_fetched(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    server.publish(wheels_of(tmp_path), hashes=False)
    index = Index(make_client(), (server.simple,))
    with pytest.raises(UnsafeInputError) as caught:
        index.fetch(index.files("x")[0])
    assert (caught.value.id, caught.value.exit_code) == ("hash-missing", 3)


def test_sdists_have_no_metadata_yet(make_client: MakeClient, tmp_path: Path) -> None:
    (tmp_path / "x-1.0.tar.gz").write_bytes(b"")
    index = Index(make_client(), (), (str(tmp_path),))
    (file,) = index.files("x")
    assert not file.is_wheel
    index.prefetch_metadata([file])
    with pytest.raises(ValueError, match="sdist"):
        index.metadata(file)


# Ahead of time.


def test_prefetching(make_client: MakeClient, server: IndexServer, tmp_path: Path) -> None:
    projects = [f"p{i}" for i in range(30)]
    for name in projects:
        server.publish(make_wheel(tmp_path, name, "1.0"))
    server.add("/simple/broken/", statuses=[500] * 8)
    index = Index(make_client(retries=0), (server.simple,))
    index.prefetch_files([*projects, "broken", "missing"])
    files = [file for name in projects for file in index.files(name)]
    index.prefetch_metadata(files)
    assert [index.metadata(file).name for file in files] == projects
    assert all(server.count(f"/simple/{name}/") == 1 for name in projects)
    assert index.statistics.metadata_fetched == 30
    assert index.files("missing") == ()
    for _ in range(2):  # an error is not kept: who asks again asks the server again
        with pytest.raises(NetworkError):
            index.files("broken")


def test_a_result_is_computed_once_whoever_asks() -> None:
    computed: list[int] = []
    started = threading.Barrier(8)

    def compute(key: int) -> int:
        computed.append(key)
        time.sleep(0.01)
        return -key

    with Pool() as pool:
        memo: Memo[int, int] = Memo(compute, pool)
        found: list[list[int]] = []

        def ask() -> None:
            started.wait()
            found.append([memo.get(key) for key in range(20)])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for key in range(20):
            memo.begin(key)
        for thread in threads:
            thread.join()
    assert sorted(computed) == list(range(20))
    assert found == [[-key for key in range(20)]] * 8
    assert memo.get(3) == -3  # also when the threads are gone


@pytest.mark.network
def test_the_default_index(make_client: MakeClient) -> None:
    """The real thing, once: its pages, and METADATA of a real wheel."""
    settings = config.load({}, os.environ)
    url = config.default_index() if not settings.index_urls else settings.index_urls[-1]
    client = make_client(ca_bundle=settings.ca_bundle, proxy=settings.proxy, timeout=20.0, retries=1)
    index = Index(client, (url,))
    try:
        files = index.files("Packaging")
    except NetworkError as error:
        pytest.skip(f"no package index answers: {error}")
    wheel = next(file for file in files if file.filename == "packaging-24.0-py3-none-any.whl")
    assert wheel.sha256 is not None
    assert index.metadata(wheel).requires_python == ">=3.7"
    assert index.fetch(wheel).stat().st_size == wheel.size
    assert Index(make_client(offline=True), (url,)).files("packaging") == files

"""`bridge.index`: who serves a project, what its pages say, and how METADATA is come by."""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bridge import config
from bridge.errors import IntegrityError, NetworkError, UnsafeInputError, UsageError
from bridge.fetch.memo import Memo
from bridge.fetch.pool import Pool
from bridge.index import Index
from bridge.model import IndexFile
from tests.support.builders import make_wheel, metadata_text
from tests.support.clients import MakeClient
from tests.support.servers import IndexServer, Server

HASH = "a" * 64


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as running:
        yield running


def names(files: Sequence[IndexFile]) -> list[str]:
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


def test_by_the_best_strategy_all_indexes_serve(make_client: MakeClient, tmp_path: Path) -> None:
    with IndexServer() as first, IndexServer() as second:
        first.publish(make_wheel(tmp_path / "first", "x", "1.0"))
        second.publish(make_wheel(tmp_path / "second", "x", "99.0"), make_wheel(tmp_path / "first", "x", "1.0"))
        second.publish(make_wheel(tmp_path / "second", "y", "2.0"))
        index = Index(make_client(), (first.simple, second.simple), strategy="best")
        assert names(index.files("x")) == ["x-1.0-py3-none-any.whl", "x-99.0-py3-none-any.whl"]
        assert [file.origin for file in index.files("x")] == [first.simple, second.simple]
        assert names(index.files("y")) == ["y-2.0-py3-none-any.whl"]
        second.publish(make_wheel(tmp_path / "other", "x", "1.0", requires=["z"]))
        both = Index(make_client(), (first.simple, second.simple), strategy="best").files("x")
        # A --hash may name either of two files of one name.
        assert len({file.sha256 for file in both if file.version == "1.0"}) == 2


def test_a_project_bound_to_an_index_comes_from_there_alone(make_client: MakeClient, tmp_path: Path) -> None:
    make_wheel(tmp_path / "links", "x", "3.0")
    with IndexServer() as main, IndexServer() as other:
        main.publish(make_wheel(tmp_path / "main", "x", "1.0"), make_wheel(tmp_path / "main", "y", "1.0"))
        other.publish(make_wheel(tmp_path / "other", "x", "2.0"))
        for strategy in ("first", "best"):
            index = Index(
                make_client(),
                (main.simple,),
                (str(tmp_path / "links"),),
                strategy=strategy,
                of_projects={"x": other.simple, "z": other.simple},
            )
            assert names(index.files("X")) == ["x-2.0-py3-none-any.whl"]
            assert names(index.files("y")) == ["y-1.0-py3-none-any.whl"]
            assert index.files("z") == ()
        assert {asked.path for asked in main.asked} == {"/simple/y/"}


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


def test_r12_what_is_forbidden_is_absent_if_the_list_of_projects_lacks_it(
    make_client: MakeClient, tmp_path: Path
) -> None:
    """Object stores answer 403 for what they do not have."""
    with IndexServer() as store, IndexServer() as public:
        public.publish(make_wheel(tmp_path, "x", "1.0"))
        store.add("/simple/x/", statuses=[403] * 9)
        index = Index(make_client(), (store.simple, public.simple))
        with pytest.raises(NetworkError):
            index.files("x")  # no list
        store.add("/simple/", b'<a href="/simple/X/">X</a>', content_type="text/html")
        with pytest.raises(NetworkError):
            Index(make_client(), (store.simple, public.simple)).files("x")  # listed: the answer is about credentials
        page = b'{"meta": {"api-version": "1.0"}, "projects": [{"name": "y"}]}'
        store.add("/simple/", page, content_type="application/vnd.pypi.simple.v1+json")
        (file,) = Index(make_client(), (store.simple, public.simple)).files("x")
        assert file.origin == public.simple


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
    """They serve for the index's files too, and are in no record."""
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
    if options.get("hashes", True):
        again = make_client(offline=True)
        later = Index(again, (server.simple,))
        assert later.metadata(*later.files("x")) == index.metadata(file)
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


def test_what_one_index_states_does_not_serve_another(
    make_client: MakeClient, server: IndexServer, tmp_path: Path
) -> None:
    """PEP 658 metadata is not covered by the wheel's hash, so it is believed for its own index alone."""
    wheel = wheels_of(tmp_path)
    server.publish(wheel)
    with IndexServer() as other:
        other.publish(wheel)
        other.projects["x"].core_metadata = hashlib.sha256(metadata_text("x", "1.0")).hexdigest()
        other.add(f"/files/{wheel.name}.metadata", metadata_text("x", "1.0"))
        lying = Index(make_client(), (other.simple,))
        assert lying.metadata(*lying.files("x")).requires_dist == ()
    honest = Index(make_client(), (server.simple,))
    assert honest.metadata(*honest.files("x")).requires_dist == ("y>=2",)


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


def test_an_sdist_that_is_none(make_client: MakeClient, tmp_path: Path) -> None:
    (tmp_path / "x-1.0.tar.gz").write_bytes(b"")
    index = Index(make_client(), (), (str(tmp_path),))
    (file,) = index.files("x")
    assert not file.is_wheel
    index.prefetch_metadata([file])
    with pytest.raises(UnsafeInputError) as caught:
        index.metadata(file)
    assert caught.value.id == "sdist-layout"


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

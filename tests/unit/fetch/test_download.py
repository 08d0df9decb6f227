"""`bridge.fetch`: downloads and remote files, from servers that fail in every way that servers do."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from bridge.errors import IntegrityError, NetworkError
from bridge.fetch import artifacts
from bridge.fetch.artifacts import ArtifactStore
from bridge.fetch.client import Client
from bridge.fetch.ranged import RangedFile
from tests.support.builders import make_wheel
from tests.support.clients import MakeClient, cached_files
from tests.support.servers import Route, Server

BIG = random.Random(7).randbytes(300_000)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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


@pytest.mark.slow
def test_x23_many_processes_fill_one_key(server: Server, tmp_path: Path) -> None:
    """X23: "exactly one published, sha256 right; no reader sees partial", and one process is killed on the way."""
    server.add("/x.whl", BIG)
    program = (
        "import sys; from pathlib import Path; from bridge.config import Settings\n"
        "from bridge.fetch.client import Client\n"
        "with Client(Settings(cache_dir=Path(sys.argv[1]))) as client:\n"
        "    path = client.download(sys.argv[2], sha256=sys.argv[3], size=None, name='x.whl')\n"
        "    print(path)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cache"), f"{server.url}/x.whl", sha256(BIG)]
    root = Path(__file__).parents[3]
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
        with pytest.raises(IntegrityError, match="does not have the size"):
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


def test_a_closed_client_does_not_wait_for_a_server(make_client: MakeClient, server: Server, tmp_path: Path) -> None:
    """Ctrl-C is obeyed at once, and what has come so far is kept for the next run."""
    client = make_client(timeout=60)
    body = random.Random(9).randbytes(3 << 20)
    server.add("/x.whl", body, stall=2 << 20)
    future = client.submit(
        lambda path: client.download(f"{server.url}{path}", sha256=sha256(body), size=len(body), name="x.whl"), "/x.whl"
    )
    while not server.stalled.wait(0.05):
        pass
    time.sleep(0.2)
    begin = time.monotonic()
    client.close()
    assert time.monotonic() - begin < 5
    assert isinstance(future.exception(), NetworkError)
    assert cached_files(tmp_path) == [f"artifacts/partial/{sha256(body)}"]


def test_a_large_local_artifact_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again when it changed, or may have: it is known by what `stat` says of it."""
    path, body = tmp_path / "x.whl", b"x" * (2 << 20)
    path.write_bytes(body)
    hashed: list[Path] = []

    def counted(path: Path) -> str:
        hashed.append(path)
        return sha256(Path(path).read_bytes())

    monkeypatch.setattr(artifacts, "sha256_of", counted)

    def local() -> None:
        store = ArtifactStore(tmp_path / "cache/artifacts", None, root=tmp_path / "cache")
        store.local(path, path.as_uri(), sha256=sha256(body), size=None, name="x.whl")

    local()
    local()
    assert len(hashed) == 2  # It was too new.
    monkeypatch.setattr(artifacts, "is_settled", lambda *_: True)
    local()
    local()
    assert len(hashed) == 3
    path.write_bytes(body[:-1] + b"y")
    with pytest.raises(IntegrityError):
        local()


def test_a_folder_of_archives_may_be_the_package_cache_of_conda(tmp_path: Path) -> None:
    """Its unpacked packages, of which a cache has a hundred thousand files, are not looked through."""
    pkgs = tmp_path / "pkgs"
    for path, data in {
        "https/channel/noarch/a-1-0.conda": b"a",
        "a-1-0/info/index.json": b"{}",
        "a-1-0/share/b-1-0.conda": b"b",
        "c-1-0.conda/directory": b"c",
    }.items():
        (pkgs / path).parent.mkdir(parents=True, exist_ok=True)
        (pkgs / path).write_bytes(data)
    os.mkfifo(pkgs / "d-1-0.conda")
    store = ArtifactStore(tmp_path / "cache", None, folders=[pkgs, tmp_path / "absent"])
    found = {name: store.find(sha256(name.encode()), f"{name}-1-0.conda") for name in "abcd"}
    assert found == {"a": pkgs / "https/channel/noarch/a-1-0.conda", "b": None, "c": None, "d": None}

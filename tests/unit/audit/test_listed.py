"""What an earlier audit listed spares a listing, and never hides a change."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.audit.look import walker
from bridge.audit.look.listed import file_name, keeps_times, packed, read_listed
from bridge.audit.look.walker import Group, Reader
from bridge.fs.unchanged import is_settled

LATER = 10_000_000_000  # ns
ODD = ("a", "b", "c d", "\udcff", "ü\n", "-", "..a", "e")


def fill(root: Path, rng: random.Random, depth: int = 0) -> None:
    root.mkdir(exist_ok=True)
    for name in rng.sample(ODD, rng.randrange(len(ODD) + 1)):
        if depth < 5 and rng.random() < 0.5:
            fill(root / name, rng, depth + 1)
        else:
            (root / name).write_bytes(rng.randbytes(rng.randrange(9)))


def rows_of(reader: Reader) -> list[Group]:
    return [reader(number) for number in range(len(reader))]


def keep(root: Path, cache: Path, started: int | None = None) -> None:
    """Keep what a walk lists, as if it had started ten seconds later, or then."""
    cache.mkdir(exist_ok=True)
    rows = ((path, names, own) for group in rows_of(Reader(str(root))) for path, names, _, own in group)
    moment = time.time_ns() + LATER if started is None else started
    (cache / file_name(str(root))).write_bytes(packed(rows, str(root), lambda time: is_settled(time, moment)))


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The directories that a walk lists."""
    found: list[str] = []
    names_in = walker._names_in

    def note(descriptor: int, directory: str) -> object:
        found.append(directory)
        return names_in(descriptor, directory)

    monkeypatch.setattr(walker, "_names_in", note)
    return found


def swap(path: Path) -> None:
    """Another directory with the same names and times."""
    copy = path.parent / "copy"
    shutil.copytree(path, copy, symlinks=True)
    shutil.rmtree(path)
    copy.rename(path)


def come_and_go(path: Path) -> None:
    (path / "x").mkdir()
    (path / "x").rmdir()
    os.utime(path, ns=(0, 0))


def empty(path: Path) -> None:
    for each in path.iterdir():
        if each.is_file():
            each.unlink()


EDITS: list[Callable[[Path], object]] = [
    lambda path: (path / "new").write_bytes(b""),
    lambda path: (path / "new").mkdir(),
    lambda path: (path / "new").symlink_to("nowhere"),
    empty,
    lambda path: [each.rename(each.with_name("moved")) for each in list(path.iterdir())[:1]],
    swap,
    lambda path: [each.write_bytes(b"changed") for each in path.iterdir() if each.is_file()],
    come_and_go,
    lambda path: path.chmod(0o711),
]


@pytest.mark.parametrize("seed", range(8))
def test_a_walk_with_names_reads_what_one_without_reads(seed: int, tmp_path: Path, lists: list[str]) -> None:
    """MUST: a directory whose names changed is listed."""
    rng, root, cache = random.Random(seed), tmp_path / "env", tmp_path / "cache"
    fill(root, rng)
    fill(root / "more", rng)
    for _ in range(6):
        keep(root, cache)
        known = read_listed(str(cache), str(root))
        lists.clear()
        assert rows_of(Reader(str(root), known)) == rows_of(Reader(str(root)))
        assert len(lists) == len(known)  # those of the walk without names
        time.sleep(0.02)  # one tick of the clock of the file system
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        rng.choice(EDITS)(rng.choice(folders))
        assert rows_of(Reader(str(root), known)) == rows_of(Reader(str(root)))


def test_what_changed_just_now_or_lies_on_another_device_is_not_kept(tmp_path: Path) -> None:
    root, cache = tmp_path / "env", tmp_path / "cache"
    (root / "a").mkdir(parents=True)
    keep(root, cache, time.time_ns())
    assert set(read_listed(str(cache), str(root)).values()) <= {(b"", b"")}
    keep(root, cache)
    assert {"", "a"} <= read_listed(str(cache), str(root)).keys()
    elsewhere = ((path, b"x", b"99999 1 0 0") for path in ("", "a"))
    assert packed(elsewhere, str(root), lambda _: True) == packed((), str(root), lambda _: True)


def test_of_a_damaged_file_nothing_is_read(tmp_path: Path) -> None:
    root, cache, rng = tmp_path / "env", tmp_path / "cache", random.Random(3)
    fill(root, rng)
    expected = rows_of(Reader(str(root)))
    keep(root, cache)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    for _ in range(300):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data if rng.random() < 0.8 else whole[: rng.randrange(len(whole))])
        assert read_listed(str(cache), str(root)) == {}
    path.write_bytes(whole)
    known = read_listed(str(cache), str(root))
    assert known
    assert rows_of(Reader(str(root), known)) == expected


def test_only_a_file_of_this_account_is_read(tmp_path: Path) -> None:
    root, cache = tmp_path / "env", tmp_path / "cache"
    root.mkdir()
    assert read_listed(str(cache), str(root)) == {}
    keep(root, cache)
    (path,) = cache.iterdir()
    assert read_listed(str(cache), str(root)).keys() == {""}
    (tmp_path / "link").symlink_to(cache)
    assert read_listed(str(tmp_path / "link"), str(root)) == {}
    path.rename(tmp_path / "away")
    path.symlink_to(tmp_path / "away")
    assert read_listed(str(cache), str(root)) == {}
    path.unlink()
    os.mkfifo(path)
    assert read_listed(str(cache), str(root)) == {}
    path.unlink()
    if os.geteuid() == 0:
        shutil.copy(tmp_path / "away", path)
        assert read_listed(str(cache), str(root)).keys() == {""}
        os.chown(path, 12345, -1)
        assert read_listed(str(cache), str(root)) == {}


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="only Linux tells its file systems there")
def test_file_systems_whose_directories_have_no_true_times_are_left_out() -> None:
    assert not keeps_times("/proc")
    assert not keeps_times("/proc/self/fd")


@pytest.mark.parametrize(("prefix", "is_kept"), [
    ("/", True), ("/home/env", True), ("/data/env", False), ("/data", False), ("/database", True),
    ("/data/fast disk/env", True), ("/data/fast", False), ("/layers/env", False), ("/over", False),
])  # fmt: skip
def test_the_last_mount_above_a_prefix_counts(prefix: str, is_kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = """\
22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:40 / /data rw - fuse.sshfs host: rw
24 23 253:1 / /data/fast\\040disk rw - xfs /dev/vdb rw
25 22 0:41 / /layers rw master:1 shared:2 - overlay overlay rw
26 22 253:2 / /over rw - ext4 /dev/vdc rw
27 26 0:42 / /over rw - fuse x rw
"""
    monkeypatch.setattr("builtins.open", lambda *_, **__: io.StringIO(lines))
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    assert keeps_times(prefix) is is_kept


def test_the_command_lists_again_what_changed(tmp_path: Path) -> None:
    """Of enough directories that the walk starts before imports; a new file in an old directory is found."""
    root, cache = tmp_path / "env", tmp_path / "cache"
    for number in range(80):
        (root / f"lib/python3.12/site-packages/p{number}").mkdir(parents=True)
        (root / f"lib/python3.12/site-packages/p{number}/m.py").write_bytes(b"")
    (root / "conda-meta").mkdir()

    def files() -> int:
        words = [sys.executable, "-m", "bridge", "audit", "-p", str(root), "--json", "--fail-on", "never"]
        environ = {**os.environ, "BRIDGE_CACHE_DIR": str(cache)}
        done = subprocess.run(words, env=environ, capture_output=True, text=True, check=True)
        return int(json.loads(done.stdout)["summary"]["files"])

    time.sleep(2.1)
    assert files() == 80
    if not any(cache.glob("audit/*.listed")):
        assert not keeps_times(str(root)) or (os.cpu_count() or 1) == 1
        pytest.skip("this file system's times are not relied on")
    assert files() == 80
    (root / "lib/python3.12/site-packages/p7/new.py").write_bytes(b"")
    assert files() == 81
    (root / "lib/python3.12/site-packages/p8/m.py").unlink()
    assert files() == 80

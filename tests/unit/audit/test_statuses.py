"""The statuses of a directory: `statx` into columns says what `os.stat` says."""

from __future__ import annotations

import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from bridge.audit.look import statuses
from bridge.audit.look.statuses import Statuses, statuses_of

HAS_STATX = sys.platform == "linux" and statuses._statx() is not None
MOMENTS = (-5_000_000_001, 0, 1, 999_999_999, 1_700_000_000_123_456_789, 4_300_000_000_000_000_007)  # ns


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def fill(folder: Path, rng: random.Random, count: int) -> list[bytes]:
    """Entries of each kind and with odd names; return the names in any order."""
    for number in range(count):
        path = os.fsencode(folder) + b"/" + rng.choice([b"n%d", b"\xff%d", b"a b\n%d", "ü%d".encode()]) % number
        kind = rng.choice(["file", "file", "directory", "link", "pipe", "dead"])
        if kind == "file":
            with open(path, "wb") as stream:
                stream.truncate(rng.choice([0, 1, 4096, 5 << 32]))
        elif kind == "directory":
            os.mkdir(path)
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            os.symlink(b"." if kind == "link" else b"nowhere", path)
        if kind in {"file", "directory", "pipe"}:
            os.chmod(path, rng.choice([0o644, 0o755, 0o000, 0o4711, 0o1777]))
        os.utime(path, ns=(0, rng.choice(MOMENTS)), follow_symlinks=False)
    names = os.listdir(os.fsencode(folder))
    rng.shuffle(names)
    return names


@pytest.mark.skipif(not HAS_STATX, reason="this system has no statx")
@pytest.mark.parametrize("count", [0, 1, 40, statuses._AT_FIRST, statuses._AT_FIRST + 7])
def test_both_readers_say_the_same(count: int, tmp_path: Path) -> None:
    """MUST: what is kept with one of them holds for the other."""
    names = fill(tmp_path, random.Random(count), count)
    with opened(tmp_path) as folder:
        quick = statuses_of(folder, names)
        with mock.patch.object(statuses, "_statx", return_value=None):
            assert statuses_of(folder, names) == quick
    assert quick[0] == names


@pytest.mark.parametrize(
    "is_quick", [pytest.param(True, marks=pytest.mark.skipif(not HAS_STATX, reason="no statx")), False]
)
def test_statuses_are_those_of_lstat(is_quick: bool, tmp_path: Path) -> None:
    names = fill(tmp_path, random.Random(7), 600)
    with opened(tmp_path) as folder, closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(f"/proc/self/fd/{folder}/socket" if sys.platform == "linux" else str(tmp_path / "socket"))
        names.append(b"socket")
        os.link(tmp_path / "socket", tmp_path / "second")
        with mock.patch.object(statuses, "_statx", statuses._statx if is_quick else lambda: None):
            found = Statuses(statuses_of(folder, names)[1])
    expected = [os.lstat(os.fsencode(tmp_path) + b"/" + name) for name in names]
    rows = [row for row, each in enumerate(expected) if each.st_mode & 0o170000 == 0o040000]
    files = [each for row, each in enumerate(expected) if row not in rows]
    assert found.directories == rows
    assert found.modes.tolist() == [each.st_mode for each in expected]
    assert found.links.tolist() == [each.st_nlink for each in expected]
    assert found.sizes.tolist() == [0 if row in rows else each.st_size for row, each in enumerate(expected)]
    assert found.newest == max(each.st_ctime_ns for each in files)


def test_names_that_are_gone_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"x")
    with opened(tmp_path) as folder:
        names, packed = statuses_of(folder, [b"a", b"b", b"c"])
        assert (names, packed) == statuses_of(folder, [b"b"])
        assert statuses_of(folder, [b"a"]) == ([], b"")
    assert Statuses(b"").newest == 0


CHANGES = ("content", "mode", "owner", "link", "time")


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_changes_them(change: str, tmp_path: Path) -> None:
    """MUST: a change of content is seen by the change time, which no program can set."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    was = path.stat()
    with opened(tmp_path) as folder:
        before = statuses_of(folder, [b"file"])
        assert statuses_of(folder, [b"file"]) == before
        path.read_bytes()
        assert statuses_of(folder, [b"file"]) == before, "reading is no change"
        while path.stat().st_ctime_ns == was.st_ctime_ns:  # until the next tick of the file system's clock
            if change == "content":
                path.write_bytes(b"behind")
                os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
            elif change == "mode":
                path.chmod(0o600)
            elif change == "owner":
                os.chown(path, was.st_uid, was.st_gid)
            elif change == "link":
                os.link(path, tmp_path / "other")
                (tmp_path / "other").unlink()
            else:
                os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
        assert statuses_of(folder, [b"file"]) != before

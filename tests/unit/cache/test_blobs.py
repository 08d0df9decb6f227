"""Small values of a cache: read through a directory that stays open, and never through a symlink."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from bridge.cache.blobs import BlobStore
from bridge.fs import system
from bridge.fs.regular import _MOST_OPEN

KEYS = [f"key {number}" for number in range(300)]  # more than there are subdirectories


def store_of(root: Path) -> BlobStore:
    return BlobStore(root / "values", root=root)


def pipe(path: Path, away: Path) -> None:
    path.rename(away)
    os.mkfifo(path)


def path_of(root: Path, key: str) -> Path:
    return store_of(root)._path(key)


@pytest.mark.parametrize("renames_in_use", [True, False])
def test_values_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, renames_in_use: bool) -> None:
    monkeypatch.setattr(system, "RENAMES_IN_USE", renames_in_use)
    values = store_of(tmp_path)
    assert values.get(KEYS[0]) is None
    for key in KEYS:
        values.set(key, key.encode() * 1000)
    assert [values.get(key) for key in KEYS] == [store_of(tmp_path).get(key) for key in KEYS]
    assert [values.get(key) for key in KEYS] == [key.encode() * 1000 for key in KEYS]


@pytest.mark.parametrize("remove", [shutil.rmtree, lambda path: path.rename(path.with_name("away"))])
def test_a_cache_that_is_removed_and_made_again_is_read(tmp_path: Path, remove: Callable[[Path], object]) -> None:
    values, other = store_of(tmp_path / "cache"), store_of(tmp_path / "cache")
    values.set("a", b"1")
    assert values.get("a") == b"1"
    remove(tmp_path / "cache")
    assert values.get("a") is None
    other.set("a", b"2")
    assert values.get("a") == b"2"
    values.set("a", b"3")
    assert values.get("a") == other.get("a") == b"3"


@pytest.mark.parametrize(
    "replace",
    [
        lambda path, away: (path.rename(away), path.symlink_to(away)),
        lambda path, away: (path.parent.rename(away), path.parent.symlink_to(away)),
        pipe,
        lambda path, away: (path.rename(away), path.mkdir()),
        lambda path, _: path.write_bytes(path.read_bytes()[:-1]),
        lambda path, _: path.write_bytes(b""),
    ],
    ids=["symlink", "directory is a symlink", "pipe", "directory", "cut", "empty"],
)
def test_what_is_no_regular_file_or_is_damaged_is_absent(
    tmp_path: Path, replace: Callable[[Path, Path], object]
) -> None:
    values = store_of(tmp_path)
    values.set("a", b"secret")
    values.set("b", b"other")
    assert values.get("a") == b"secret"
    replace(path_of(tmp_path, "a"), tmp_path / "away")
    assert values.get("a") is None
    assert store_of(tmp_path).get("a") is None
    assert values.get("b") == b"other"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to another account")
@pytest.mark.parametrize("level", [0, 1, 2], ids=["file", "directory", "store"])
def test_what_another_account_owns_is_absent(tmp_path: Path, level: int) -> None:
    values = store_of(tmp_path)
    values.set("a", b"1")
    path = path_of(tmp_path, "a")
    os.chown([path, *path.parents][level], 12345, -1)
    assert values.get("a") is None
    assert store_of(tmp_path).get("a") is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are listed by Linux alone")
def test_a_process_keeps_few_directories_open(tmp_path: Path) -> None:
    for number in range(3 * _MOST_OPEN):
        for _ in range(2):  # two stores of one directory
            values = store_of(tmp_path / str(number))
            values.set("a", b"1")
            assert values.get("a") == b"1"
    assert len(opened(tmp_path)) == _MOST_OPEN
    assert str(tmp_path / str(number) / "values") in opened(tmp_path)


def test_threads_read_what_others_let_go(tmp_path: Path) -> None:
    stores = [store_of(tmp_path / str(number)) for number in range(2 * _MOST_OPEN)]
    for number, values in enumerate(stores):
        values.set("a", b"%d" % number)
    with ThreadPoolExecutor(8) as pool:
        numbers = [number for _ in range(40) for number in range(len(stores))]
        assert list(pool.map(lambda number: stores[number].get("a"), numbers)) == [b"%d" % each for each in numbers]


def opened(root: Path) -> list[str]:
    """The paths below a directory that this process has open."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            found.append(os.readlink(each))
    return [path for path in found if path.startswith(str(root))]

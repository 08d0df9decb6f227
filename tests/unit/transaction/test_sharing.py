"""Readers of a prefix wait for a change, and see that one began."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from bridge.errors import PrefixLockedError
from bridge.transaction.guard import LOCK
from bridge.transaction.sharing import share


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / LOCK
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def test_readers_do_not_wait_for_each_other(tmp_path: Path, lock: Path) -> None:
    both = share(tmp_path, timeout=0), share(tmp_path, timeout=0)
    with both[0], both[1], lock.open("r+") as stream, pytest.raises(BlockingIOError):
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_reader_waits_for_a_change_and_no_longer_than_told(tmp_path: Path, lock: Path) -> None:
    with lock.open("r+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(PrefixLockedError) as caught, share(tmp_path, timeout=0):
            raise AssertionError("it was not waited for")
    assert caught.value.id == "prefix-locked"


def test_a_prefix_without_a_lock_file_gets_none(tmp_path: Path) -> None:
    with share(tmp_path, timeout=0):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["a link", "a pipe"])
def test_what_is_no_lock_file_is_not_followed_nor_waited_for(tmp_path: Path, lock: Path, kind: str) -> None:
    lock.unlink()
    if kind == "a link":
        (tmp_path / "other").touch()
        lock.symlink_to(tmp_path / "other")
    else:
        os.mkfifo(lock)
    with share(tmp_path, timeout=0), (tmp_path / "other").open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert os.path.lexists(lock)

"""Signals during a change, and the lock, where another process or the file system interferes."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge import faults
from bridge.errors import FaultError
from bridge.fs import WritableTree
from bridge.paths import OWN
from bridge.transaction.commit import change
from bridge.transaction.creation import create
from bridge.transaction.guard import LOCK, Interrupted, Signals
from tests.fault.workloads import MEMORY, OLD, build, observe, own


@pytest.fixture
def prefix() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        build(Path(folder, "env"), OLD)
        yield Path(folder, "env")


@pytest.fixture
def received() -> Iterator[list[int]]:
    """The signals that the handler of the surrounding program receives."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


def test_a_signal_before_the_first_step_is_deferred(received: list[int]) -> None:
    with Signals() as signals:
        signal.raise_signal(signal.SIGTERM)
        assert received == []
        with pytest.raises(Interrupted):
            signals.check()
    assert received == [signal.SIGTERM]


def test_a_second_signal_does_not_interrupt_the_undoing(received: list[int]) -> None:
    undone: list[bool] = []

    def work(signals: Signals) -> None:
        with signals.interruptible():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                signal.raise_signal(signal.SIGTERM)
                undone.append(True)

    with Signals() as signals, pytest.raises(Interrupted):
        work(signals)
    assert undone == [True]
    assert received == [signal.SIGTERM]


def test_a_lock_that_its_owner_removes_meanwhile_is_created_again(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_lock, opened = WritableTree.open_lock, 0

    def racing(tree: WritableTree, path: str) -> int:
        nonlocal opened
        opened += 1
        if opened == 1:
            (prefix / OWN).rmdir()
        return open_lock(tree, path)

    monkeypatch.setattr(WritableTree, "open_lock", racing)
    with change(prefix, lock_timeout=30):
        assert (prefix / LOCK).is_file()
    assert opened == 2


def test_without_locks_nothing_is_left_open(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    before, descriptors = observe(prefix, identity=True), os.listdir("/dev/fd")
    with pytest.raises(FaultError) as caught, change(prefix):
        pass
    assert caught.value.id == "lock-unsupported"
    assert len(os.listdir("/dev/fd")) == len(descriptors)
    assert observe(prefix, identity=True) == before
    assert own(prefix) == []


@pytest.mark.parametrize("failpoint", ["commit.written", "commit.synced"])
def test_a_new_prefix_that_cannot_be_synced_is_taken_back(prefix: Path, failpoint: str) -> None:
    new = prefix.parent / "new"

    def work() -> None:
        with create(new) as creation:
            (creation.root / "file").write_bytes(b"x")
            creation.publish()

    faults.arm(f"{failpoint}=eio")
    try:
        with pytest.raises(FaultError):
            work()
    finally:
        faults.arm(None)
    assert [path.name for path in new.parent.iterdir()] == ["env"]

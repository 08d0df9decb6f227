"""Give tasks to forked copies of this process as they appear.

Copies that are made early are small: what this process reads later is not copied. They are told of each task by a token
in a pipe, which says where the data of the task are in a file that all share.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from bridge.fs.copies import OWN_ENDS, Copy, close, collected, fork, killed, may_fork, work

__all__ = ["Crew", "crew"]

_Result = TypeVar("_Result")

_ADDED = struct.Struct("=IQI")  # the number of a task, and where its data are


class Crew(Generic[_Result]):
    """Copies of this process that run tasks as these are added, while it goes on."""

    def __init__(self, task: Callable[[bytes], _Result]) -> None:
        self._task = task
        self._tasks: list[bytes] = []
        self._waiting: list[tuple[bytes, bool]] = []  # tokens that no pipe had room for
        self._size = 0
        self._copies: list[Copy] = []
        self._data = self._small = self._large = -1
        self._adding: dict[bool, int] = {}

    def start(self, jobs: int) -> None:
        """Make the copies. Without them, `results` runs all tasks."""
        try:
            self._data = _shared_file()
            self._small, self._adding[False] = os.pipe()
            self._large, self._adding[True] = os.pipe()
        except OSError:
            return
        OWN_ENDS.update(self._adding.values())
        for end in (self._large, *self._adding.values()):
            os.set_blocking(end, False)

        def run(answering: int, parent: int) -> None:
            work(lambda token: self._task(os.pread(self._data, token[2], token[1])), self._added(), answering, parent)

        with contextlib.suppress(OSError):
            self._copies.extend(fork(run) for _ in range(jobs))

    def add(self, data: bytes, *, is_large: bool = False) -> None:
        """Add a task. A large one is taken before others."""
        token = _ADDED.pack(len(self._tasks), self._size, len(data))
        self._tasks.append(data)
        with contextlib.suppress(OSError):  # A copy is not told of what the file has no room for.
            if self._copies and os.pwrite(self._data, data, self._size) == len(data):
                self._waiting.append((token, is_large))
                self._offer()
        self._size += len(data)

    def results(self) -> list[_Result]:
        """The results in the order of the tasks, with the help of this process. Raises the error of a task."""
        results: dict[tuple[int, int, int], _Result] = {}
        while self._waiting and self._copies:
            token = _ADDED.unpack(self._waiting.pop()[0])
            results[token] = self._task(self._tasks[token[0]])
            self._offer()
        if self._copies:
            self._end()
            results.update((token, self._task(self._tasks[token[0]])) for token in self._added())
            results.update(collected(self._copies))
        known = {token[0]: result for token, result in results.items()}
        tasks = enumerate(self._tasks)
        return [known[number] if number in known else self._task(data) for number, data in tasks]

    def _offer(self) -> None:
        """Give the copies as many of the waiting tasks as the pipes hold."""
        with contextlib.suppress(BlockingIOError):
            while self._waiting:
                token, is_large = self._waiting[0]
                os.write(self._adding[is_large], token)
                del self._waiting[0]

    def _added(self) -> Iterator[tuple[int, int, int]]:
        """The tasks that nobody else has taken, until no more are added."""
        while token := self._large_one() or os.read(self._small, _ADDED.size) or self._large_one():
            yield _ADDED.unpack(token)

    def _large_one(self) -> bytes:
        try:
            return os.read(self._large, _ADDED.size)
        except BlockingIOError:
            return b""

    def _end(self) -> None:
        """Add no more."""
        while self._adding:
            close(self._adding.popitem()[1])

    def abandon(self) -> None:
        """Kill the copies that are not done."""
        killed(self._copies)
        self._end()
        for end in (self._data, self._small, self._large):
            if end >= 0:
                os.close(end)


@contextmanager
def crew(task: Callable[[bytes], _Result], jobs: int) -> Iterator[Crew[_Result]]:
    """A crew of `jobs` processes, of which this one is the last; it is told of its tasks later, each some bytes.

    So the copies can be made before this process has read much: what it writes to later is not copied. Otherwise as
    `spread`.
    """
    made = Crew(task)
    try:
        if jobs > 1 and may_fork():
            made.start(jobs - 1)
        yield made
    finally:
        made.abandon()


def _shared_file() -> int:
    """A file without a name, for data that copies read. Raises `OSError`."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("bridge")
    path = os.path.join(os.environ.get("TMPDIR") or "/tmp", f"bridge-{os.getpid()}-{time.time_ns()}")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return file

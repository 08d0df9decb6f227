"""Distribute many small tasks over forked copies of this process.

To read an environment of 50,000 files, new interpreters would take longer to start than the work takes. Threads would
wait for each other: opening, reading and hashing a small file takes 20 µs, half of it with the interpreter locked. A
fork costs 2 ms and needs no arguments passed. Tasks read files, compute, or write new files: if a copy fails (killed,
out of memory, an error), this process repeats its tasks and raises the error, so a task must not mind that.

`multiprocessing` is not used: its import alone takes a third of a warm audit.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Generic, TypeVar

from bridge.fs.copies import OWN_ENDS, Brief, Copy, collected, fork, killed, may_fork, processors, received, work

__all__ = ["Spread", "apart", "processors", "spread"]

_Result = TypeVar("_Result")

_TOKEN = struct.Struct("=II")  # the first task, and the one after the last
_MAX_TOKENS = 1024  # all are in one pipe at once; the smallest pipe holds 8 kB


class Spread(Generic[_Result]):
    """Running tasks. `results` waits for them."""

    def __init__(
        self,
        task: Callable[[int], _Result],
        count: int,
        copies: tuple[Copy, ...],
        tokens: int | None,
        brief: Brief[_Result] | None,
    ) -> None:
        """:param tokens: the pipe of the tasks that nobody has taken yet; `None`: this process takes none."""
        self._task = task
        self._count = count
        self._copies = list(copies)
        self._tokens = tokens
        self._brief = brief
        self._results: dict[int, _Result] = {}
        self.is_forked = bool(copies)

    def results(self) -> list[_Result]:
        """The results in the order of the tasks. Raises the error of a task."""
        self.briefs  # noqa: B018 - copies tell these first
        self._results.update(collected(self._copies))
        return [self._result(number) for number in range(self._count)]

    @cached_property
    def briefs(self) -> list[Any]:
        """What `brief` makes of each result, in the order of the tasks. Raises the error of a task."""
        if self._tokens is not None:
            self._results.update((number, self._task(number)) for number in _taken(self._tokens))
        if self._brief is None:
            return []
        briefs: dict[int, Any] = {number: self._brief(result) for number, result in self._results.items()}
        for copy in self._copies:
            briefs.update(received(copy))
        numbers = range(self._count)
        return [briefs[each] if each in briefs else self._brief(self._result(each)) for each in numbers]

    def _result(self, number: int) -> _Result:
        if number not in self._results:  # No copy had it.
            self._results[number] = self._task(number)
        return self._results[number]

    def abandon(self) -> None:
        """Kill the copies that are not done."""
        if self._tokens is not None:
            os.close(self._tokens)
            self._tokens = None
        killed(self._copies)


@contextmanager
def spread(
    task: Callable[[int], _Result],
    count: int,
    jobs: int,
    *,
    takes_part: bool = False,
    brief: Brief[_Result] | None = None,
) -> Iterator[Spread[_Result]]:
    """Run `task` for each of `range(count)` in `jobs` copies of this process, while this one continues.

    A free copy takes the next task, so long tasks should come first. Results are pickled. With one job, or if a fork is
    unsafe (a copy inherits the locks of threads) or impossible, `results` runs the tasks in this process. On exit from
    the block, unfinished tasks are abandoned.

    :param takes_part: this process is one of the `jobs`: there is a copy less, and `results` runs tasks that are left.
    :param brief: makes something small of a result, which may be all that is needed (`briefs`).
    """
    jobs = min(jobs, count)
    copies, tokens = _start(task, count, jobs - takes_part, brief) if jobs > 1 and may_fork() else ((), None)
    if tokens is not None and not takes_part:
        os.close(tokens)
        tokens = None
    running = Spread(task, count, copies, tokens, brief)
    try:
        yield running
    finally:
        running.abandon()


@contextmanager
def continued(
    task: Callable[[int], _Result],
    count: int,
    copies: Collection[tuple[int, int]],
    tokens: int,
    brief: Brief[_Result],
) -> Iterator[Spread[_Result]]:
    """As `spread` of which this process is one, with copies that were made elsewhere.

    :param copies: processes, and the ends at which they answer. `tokens`: the pipe of the tasks.
    """
    OWN_ENDS.update(answers for _, answers in copies)
    running = Spread(task, count, tuple(Copy(*each) for each in copies), tokens, brief)
    try:
        yield running
    finally:
        running.abandon()


def apart(task: Callable[[], _Result]) -> Spread[_Result]:
    """Run one task in a copy of this process, as `spread`; get its `results`, or `abandon` it.

    If a fork is impossible or unsafe, it runs when it is asked for its results.
    """

    def one(_: int) -> _Result:
        return task()

    copies, tokens = _start(one, 1, 1, None) if may_fork() else ((), None)
    if tokens is not None:
        os.close(tokens)
    return Spread(one, 1, copies, None, None)


def _start(
    task: Callable[[int], _Result], count: int, jobs: int, brief: Brief[_Result] | None
) -> tuple[tuple[Copy, ...], int | None]:
    """The copies, and the pipe of their tasks; none if the system allows no more processes or open files."""
    step = -(-count // _MAX_TOKENS)
    copies: list[Copy] = []
    try:
        tokens, issuing = os.pipe()
    except OSError:
        return (), None
    with os.fdopen(issuing, "wb") as stream:
        stream.writelines(_TOKEN.pack(start, min(start + step, count)) for start in range(0, count, step))

    def run(answering: int, parent: int) -> None:
        work(task, _taken(tokens), answering, parent, brief)

    with contextlib.suppress(OSError):  # A failed fork must not stop the copies made before.
        copies.extend(fork(run) for _ in range(jobs))
    return tuple(copies), tokens


def _taken(tokens: int) -> Iterator[int]:
    """The numbers of tasks, each taken when nobody else has."""
    while token := os.read(tokens, _TOKEN.size):
        yield from range(*_TOKEN.unpack(token))

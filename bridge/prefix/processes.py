"""Many small tasks, spread over copies of this process (`fork`), which know all that this one knows.

Where an environment of 50,000 files is read, fresh interpreters would take longer to start than the work does, and
threads would wait for each other: a small file is opened, read and hashed in 20 µs, half of it with the interpreter
locked. A copy costs 2 ms, and nothing has to be handed to it. Its tasks must be of the kind that a copy may do: they
read files and compute. What a copy cannot do, because it was killed, ran out of memory or met an error, is done again
by this process, where the error can be told.

Python's own `multiprocessing` is not used: its import alone takes as long as a third of a warm audit.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Spread", "processors", "spread"]

_Result = TypeVar("_Result")

_TOKEN = struct.Struct("=I")
_MAX_TOKENS = 2048  # all of them lie in one pipe at once, and the smallest pipe holds 16 kB

# The ends at which this process reads answers. A copy closes what it inherits of them: were its own end open, or that
# of another copy, whoever writes more than a pipe holds would wait for ever once the parent was killed.
_reading: set[int] = set()


@dataclass(frozen=True, slots=True)
class _Copy:
    process: int
    answers: int


class Spread(Generic[_Result]):
    """Tasks under way. `results` waits for them."""

    def __init__(self, task: Callable[[int], _Result], count: int, copies: tuple[_Copy, ...]) -> None:
        self._task = task
        self._count = count
        self._copies = list(copies)

    def results(self) -> list[_Result]:
        """What the tasks returned, in their order. Raises what a task raises."""
        found: dict[int, _Result] = {}
        while self._copies:
            copy = self._copies[-1]
            found.update(_answers(copy))
            self._copies.pop()
            _close(copy.answers)
            _reap(copy)
        return [found[number] if number in found else self._task(number) for number in range(self._count)]

    def abandon(self) -> None:
        """End the copies that are not done."""
        while self._copies:
            copy = self._copies.pop()
            with contextlib.suppress(ProcessLookupError):
                os.kill(copy.process, signal.SIGKILL)
            _close(copy.answers)
            _reap(copy)


def processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def spread(task: Callable[[int], _Result], count: int, jobs: int) -> Iterator[Spread[_Result]]:
    """Have `task` done for each of `range(count)`, by `jobs` copies of this process, while this one goes on.

    Whoever is free takes the next task, so those that take long should come first. Results are pickled. With one job,
    and where a copy would be unsafe (there are threads, whose locks it would inherit) or impossible, the tasks are done
    here, when the results are asked for. When the block is left, what is not done is abandoned.
    """
    jobs = min(jobs, count)
    running = Spread(task, count, _start(task, count, jobs) if jobs > 1 and _may_fork() else ())
    try:
        yield running
    finally:
        running.abandon()


def _may_fork() -> bool:
    if not hasattr(os, "fork") or threading.active_count() > 1:
        return False
    try:  # Libraries may have started threads of which Python does not know.
        return sys.platform != "linux" or len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return True


def _start(task: Callable[[int], object], count: int, jobs: int) -> tuple[_Copy, ...]:
    """The copies; none where the system allows no more processes or open files."""
    step = -(-count // _MAX_TOKENS)
    copies: list[_Copy] = []
    with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
        tokens, issuing = os.pipe()
        closing.callback(os.close, tokens)
        with os.fdopen(issuing, "wb") as stream:
            stream.writelines(_TOKEN.pack(start) for start in range(0, count, step))

        def work(answering: int, parent: int) -> None:
            _work(task, range(count), step, tokens, answering, parent)

        # A copy that cannot be made must not keep those from working that were.
        copies.extend(_fork(work) for _ in range(jobs))
    return tuple(copies)


def _fork(work: Callable[[int, int], None]) -> _Copy:
    answers, answering = os.pipe()
    _reading.add(answers)
    try:
        parent, process = os.getpid(), os.fork()
        if process == 0:
            for end in _reading:
                os.close(end)
            work(answering, parent)
    except OSError:
        _close(answers)
        raise
    finally:  # The next copy must not hold it too: these answers would never end then.
        os.close(answering)
    return _Copy(process, answers)


def _close(answers: int) -> None:
    _reading.discard(answers)
    os.close(answers)


def _work(task: Callable[[int], object], numbers: range, step: int, tokens: int, answering: int, parent: int) -> None:
    """All that a copy does. It never returns: what this process has open is not the copy's to close."""
    try:
        gc.disable()  # A collection would touch, and so duplicate, all memory that is shared with the parent.
        found: dict[int, object] = {}
        # Without a parent nobody wants the answers.
        while (token := os.read(tokens, _TOKEN.size)) and os.getppid() == parent:
            (start,) = _TOKEN.unpack(token)
            for number in numbers[start : start + step]:
                try:
                    found[number] = task(number)
                except Exception:  # noqa: BLE001 - the parent does it again, and meets the same
                    continue
        with os.fdopen(answering, "wb") as stream:
            pickle.dump(found, stream, pickle.HIGHEST_PROTOCOL)
        os._exit(0)
    finally:
        os._exit(1)


def _answers(copy: _Copy) -> dict[int, _Result]:
    try:
        with os.fdopen(copy.answers, "rb", closefd=False) as stream:
            found: dict[int, _Result] = pickle.load(stream)
    except (EOFError, pickle.UnpicklingError):
        return {}
    return found


def _reap(copy: _Copy) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(copy.process, 0)

"""Distribute many small tasks over forked copies of this process.

To read an environment of 50,000 files, new interpreters would take longer to start than the work takes. Threads would
wait for each other: opening, reading and hashing a small file takes 20 µs, half of it with the interpreter locked. A
fork costs 2 ms and needs no arguments passed. Tasks read files, compute, or write new files: if a copy fails (killed,
out of memory, an error), this process repeats its tasks and raises the error, so a task must not mind that.

`multiprocessing` is not used: its import alone takes a third of a warm audit.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Crew", "Spread", "apart", "crew", "processors", "spread"]

_Result = TypeVar("_Result")
_Token = TypeVar("_Token", bound=Hashable)

_TOKEN = struct.Struct("=II")  # the first task, and the one after the last
_ADDED = struct.Struct("=IQI")  # the number of a task, and where its data are
_MAX_TOKENS = 1024  # all are in one pipe at once; the smallest pipe holds 8 kB
_HARMLESS = {"rich.live"}  # modules of threads that only draw on the terminal, and hold no lock that a task takes
_ENDING = 10  # times a millisecond is waited for threads that were joined, which leave the process a little later

# The ends of pipes that this process alone holds: at which it reads answers, and at which it adds tasks. A copy closes
# those that it inherits: it, or another copy, would wait for ever for an end that does not come.
_own: set[int] = set()


@dataclass(frozen=True, slots=True)
class _Copy:
    process: int
    answers: int


class Spread(Generic[_Result]):
    """Running tasks. `results` waits for them."""

    def __init__(
        self, task: Callable[[int], _Result], count: int, copies: tuple[_Copy, ...], tokens: int | None
    ) -> None:
        """:param tokens: the pipe of the tasks that nobody has taken yet; `None`: this process takes none."""
        self._task = task
        self._count = count
        self._copies = list(copies)
        self._tokens = tokens
        self.is_forked = bool(copies)

    def results(self) -> list[_Result]:
        """The results in the order of the tasks. Raises the error of a task."""
        results: dict[int, _Result] = {}
        if self._tokens is not None:
            results.update((number, self._task(number)) for number in _taken(self._tokens))
        results.update(_collected(self._copies))
        return [results[number] if number in results else self._task(number) for number in range(self._count)]

    def abandon(self) -> None:
        """Kill the copies that are not done."""
        if self._tokens is not None:
            os.close(self._tokens)
            self._tokens = None
        _killed(self._copies)


class Crew(Generic[_Result]):
    """Copies of this process that run tasks as these are added, while it goes on."""

    def __init__(self, task: Callable[[bytes], _Result]) -> None:
        self._task = task
        self._tasks: list[bytes] = []
        self._waiting: list[tuple[bytes, bool]] = []  # tokens that no pipe had room for
        self._size = 0
        self._copies: list[_Copy] = []
        self._data = self._small = self._large = -1
        self._adding: dict[bool, int] = {}

    def start(self, jobs: int) -> None:
        """Make the copies. Without them, `results` runs all tasks."""
        import pickle  # noqa: F401, PLC0415 - the copies share the module

        try:
            self._data = _shared_file()
            self._small, self._adding[False] = os.pipe()
            self._large, self._adding[True] = os.pipe()
        except OSError:
            return
        _own.update(self._adding.values())
        for end in (self._large, *self._adding.values()):
            os.set_blocking(end, False)

        def work(answering: int, parent: int) -> None:
            _work(lambda token: self._task(os.pread(self._data, token[2], token[1])), self._added(), answering, parent)

        with contextlib.suppress(OSError):
            self._copies.extend(_fork(work) for _ in range(jobs))

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
            results.update(_collected(self._copies))
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
            _close(self._adding.popitem()[1])

    def abandon(self) -> None:
        """Kill the copies that are not done."""
        _killed(self._copies)
        self._end()
        for end in (self._data, self._small, self._large):
            if end >= 0:
                os.close(end)


def processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def spread(
    task: Callable[[int], _Result], count: int, jobs: int, *, takes_part: bool = False
) -> Iterator[Spread[_Result]]:
    """Run `task` for each of `range(count)` in `jobs` copies of this process, while this one continues.

    A free copy takes the next task, so long tasks should come first. Results are pickled. With one job, or if a fork is
    unsafe (a copy inherits the locks of threads) or impossible, `results` runs the tasks in this process. On exit from
    the block, unfinished tasks are abandoned.

    :param takes_part: this process is one of the `jobs`: there is a copy less, and `results` runs tasks that are left.
    """
    jobs = min(jobs, count)
    copies, tokens = _start(task, count, jobs - takes_part) if jobs > 1 and _may_fork() else ((), None)
    if tokens is not None and not takes_part:
        os.close(tokens)
        tokens = None
    running = Spread(task, count, copies, tokens)
    try:
        yield running
    finally:
        running.abandon()


@contextmanager
def crew(task: Callable[[bytes], _Result], jobs: int) -> Iterator[Crew[_Result]]:
    """A crew of `jobs` processes, of which this one is the last; it is told of its tasks later, each some bytes.

    So the copies can be made before this process has read much: what it writes to later is not copied. Otherwise as
    `spread`.
    """
    made = Crew(task)
    try:
        if jobs > 1 and _may_fork():
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


def apart(task: Callable[[], _Result]) -> Spread[_Result]:
    """Run one task in a copy of this process, as `spread`; get its `results`, or `abandon` it.

    If a fork is impossible or unsafe, it runs when it is asked for its results.
    """

    def one(_: int) -> _Result:
        return task()

    copies, tokens = _start(one, 1, 1) if _may_fork() else ((), None)
    if tokens is not None:
        os.close(tokens)
    return Spread(one, 1, copies, None)


def _may_fork() -> bool:
    if not hasattr(os, "fork"):
        return False
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    if threading.current_thread() is not threading.main_thread():
        return False
    if any(type(each).__module__ not in _HARMLESS for each in others):
        return False
    try:  # Libraries may have started threads that Python does not know.
        for _ in range(_ENDING if sys.platform == "linux" else 0):
            if len(os.listdir("/proc/self/task")) <= 1 + len(others):
                return True
            time.sleep(0.001)
        return sys.platform != "linux"
    except OSError:
        return True


def _start(task: Callable[[int], object], count: int, jobs: int) -> tuple[tuple[_Copy, ...], int | None]:
    """The copies, and the pipe of their tasks; none if the system allows no more processes or open files."""
    import pickle  # noqa: F401, PLC0415 - the copies share the module

    step = -(-count // _MAX_TOKENS)
    copies: list[_Copy] = []
    try:
        tokens, issuing = os.pipe()
    except OSError:
        return (), None
    with os.fdopen(issuing, "wb") as stream:
        stream.writelines(_TOKEN.pack(start, min(start + step, count)) for start in range(0, count, step))

    def work(answering: int, parent: int) -> None:
        _work(task, _taken(tokens), answering, parent)

    with contextlib.suppress(OSError):  # A failed fork must not stop the copies made before.
        copies.extend(_fork(work) for _ in range(jobs))
    return tuple(copies), tokens


def _taken(tokens: int) -> Iterator[int]:
    """The numbers of tasks, each taken when nobody else has."""
    while token := os.read(tokens, _TOKEN.size):
        yield from range(*_TOKEN.unpack(token))


def _fork(work: Callable[[int, int], None]) -> _Copy:
    answers, answering = os.pipe()
    _own.add(answers)
    try:
        parent, process = os.getpid(), os.fork()
        if process == 0:
            for end in _own:
                os.close(end)
            work(answering, parent)
    except OSError:
        _close(answers)
        raise
    finally:  # If the next copy held it too, these answers would never end.
        os.close(answering)
    return _Copy(process, answers)


def _close(end: int) -> None:
    _own.discard(end)
    os.close(end)


def _work(task: Callable[[_Token], object], tokens: Iterable[_Token], answering: int, parent: int) -> None:
    """The work of a copy. It never returns: the copy must not close what its parent has open."""
    try:
        gc.disable()  # A collection would write to, and so copy, all memory shared with the parent.
        results: dict[_Token, object] = {}
        for token in tokens:
            if os.getppid() != parent:  # Nobody reads the answers.
                break
            try:
                results[token] = task(token)
            except Exception:  # noqa: BLE001 - the parent repeats it and raises the same
                continue
        import pickle  # noqa: PLC0415 - only copies answer in pickles

        with os.fdopen(answering, "wb") as stream:
            pickle.dump(results, stream, pickle.HIGHEST_PROTOCOL)
        os._exit(0)
    finally:
        os._exit(1)


def _collected(copies: list[_Copy]) -> dict[_Token, _Result]:
    """Wait for the results of all copies, which end."""
    results: dict[_Token, _Result] = {}
    while copies:
        copy = copies[-1]
        answers: dict[_Token, _Result] = _answers(copy)
        results.update(answers)
        copies.pop()
        _close(copy.answers)
        _reap(copy)
    return results


def _killed(copies: list[_Copy]) -> None:
    while copies:
        copy = copies.pop()
        with contextlib.suppress(ProcessLookupError):
            os.kill(copy.process, signal.SIGKILL)
        _close(copy.answers)
        _reap(copy)


def _answers(copy: _Copy) -> dict[_Token, _Result]:
    import pickle  # noqa: PLC0415

    try:
        with os.fdopen(copy.answers, "rb", closefd=False) as stream:
            results: dict[_Token, _Result] = pickle.load(stream)
    except (EOFError, pickle.UnpicklingError):
        return {}
    return results


def _reap(copy: _Copy) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(copy.process, 0)

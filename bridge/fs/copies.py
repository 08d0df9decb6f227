"""Forked copies of this process, which run tasks and answer through a pipe.

A copy only reads and computes, or writes new files. If it fails, its parent repeats its tasks.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from converters.deferred import NamedTuple

__all__ = [
    "OWN_ENDS",
    "Brief",
    "Copy",
    "close",
    "collected",
    "fork",
    "killed",
    "may_fork",
    "processors",
    "received",
    "work",
]

_Result = TypeVar("_Result")
_Token = TypeVar("_Token", bound=Hashable)
Brief = Callable[[_Result], Any]

_LENGTH = struct.Struct("=Q")  # the length of answers of a copy
_BLOCK = 1 << 18  # bytes read at once
_KILL = 9  # SIGKILL: `signal` takes 0.4 ms to import
_HARMLESS = {"bridge-progress"}  # names of threads that only draw on the terminal, and hold no lock that a task takes
_ENDING = 10  # times a millisecond is waited for threads that were joined, which leave the process a little later

OWN_ENDS: set[int] = set()
"""The ends of pipes that this process alone holds: at which it reads answers, and at which it adds tasks. A copy closes
those that it inherits: it, or another copy, would wait for ever for an end that does not come.
"""


class Copy(NamedTuple):
    process: int
    answers: int


def processors() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def may_fork() -> bool:
    if not hasattr(os, "fork"):
        return False
    others = [each for each in threading.enumerate() if each is not threading.main_thread()]
    if threading.current_thread() is not threading.main_thread():
        return False
    if any(each.name not in _HARMLESS for each in others):
        return False
    try:  # Libraries may have started threads that Python does not know.
        for _ in range(_ENDING if sys.platform == "linux" else 0):
            if len(os.listdir("/proc/self/task")) <= 1 + len(others):
                return True
            time.sleep(0.001)
        return sys.platform != "linux"
    except OSError:
        return True


def fork(work: Callable[[int, int], None]) -> Copy:
    answers, answering = os.pipe()
    OWN_ENDS.add(answers)
    try:
        parent, process = os.getpid(), os.fork()
        if process == 0:
            for end in OWN_ENDS:
                os.close(end)
            work(answering, parent)
    except OSError:
        close(answers)
        raise
    finally:  # If the next copy held it too, these answers would never end.
        os.close(answering)
    return Copy(process, answers)


def close(end: int) -> None:
    OWN_ENDS.discard(end)
    os.close(end)


def work(
    task: Callable[[_Token], _Result],
    tokens: Iterable[_Token],
    answering: int,
    parent: int,
    brief: Brief[_Result] | None = None,
) -> None:
    """The work of a copy. It never returns: the copy must not close what its parent has open."""
    try:
        gc.disable()  # A collection would write to, and so copy, all memory shared with the parent.
        results: dict[_Token, _Result] = {}
        for token in tokens:
            if os.getppid() != parent:  # Nobody reads the answers.
                break
            try:
                results[token] = task(token)
            except Exception:  # noqa: BLE001 - the parent repeats it and raises the same
                continue
        with os.fdopen(answering, "wb") as stream:
            if brief is not None:
                stream.write(_packed({token: brief(result) for token, result in results.items()}))
                stream.flush()
            stream.write(_packed(results))
        os._exit(0)
    finally:
        os._exit(1)


def collected(copies: list[Copy]) -> dict[_Token, _Result]:
    """Wait for the results of all copies, which end."""
    results: dict[_Token, _Result] = {}
    while copies:
        copy = copies[-1]
        answers: dict[_Token, _Result] = received(copy)
        results.update(answers)
        copies.pop()
        close(copy.answers)
        _reap(copy)
    return results


def killed(copies: list[Copy]) -> None:
    while copies:
        copy = copies.pop()
        with contextlib.suppress(ProcessLookupError):
            os.kill(copy.process, _KILL)
        close(copy.answers)
        _reap(copy)


def received(copy: Copy) -> dict[_Token, _Result]:
    """The next answers of a copy; none if it was killed."""
    length = _read(copy.answers, _LENGTH.size)
    packed = _read(copy.answers, *_LENGTH.unpack(length)) if length else b""
    results: dict[_Token, _Result] = _unpacked(packed) if packed else {}
    return results


def _read(end: int, size: int) -> bytes:
    """So many bytes of a pipe, or none."""
    parts, left = [], size
    while left and (part := os.read(end, min(left, _BLOCK))):
        parts.append(part)
        left -= len(part)
    return b"" if left else b"".join(parts)


def _packed(results: Any) -> bytes:  # noqa: ANN401 - typeshed has no public name for what marshal takes
    """Answers of a copy, after their length. Plain values need no pickle, whose import takes 2 ms."""
    try:
        data = b"m" + marshal.dumps(results)
    except ValueError:
        import pickle  # noqa: PLC0415

        data = b"p" + pickle.dumps(results, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(data)) + data


def _unpacked(packed: bytes) -> dict[_Token, _Result]:
    results: dict[_Token, _Result]
    if packed[:1] == b"m":
        results = marshal.loads(memoryview(packed)[1:])
        return results
    import pickle  # noqa: PLC0415

    results = pickle.loads(memoryview(packed)[1:])
    return results


def _reap(copy: Copy) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(copy.process, 0)

"""Deadlines for blocking reads: a server that sends one byte a second resets every socket timeout."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

__all__ = ["Watchdog"]

_LINGER = 2.0  # seconds without guards after which the thread ends


class Guard:
    """A reusable context that gives one read a deadline. Leaving it late raises `TimeoutError`."""

    __slots__ = ("abort", "deadline", "expired", "seconds")

    def __init__(self, seconds: float, abort: Callable[[], None]) -> None:
        self.seconds = seconds
        self.abort = abort
        self.expired = False
        self.deadline = math.inf

    def __enter__(self) -> None:
        self.deadline = time.monotonic() + self.seconds

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.deadline = math.inf
        if self.expired and (error is None or isinstance(error, Exception)):
            raise TimeoutError(f"received next to nothing in {self.seconds:g} s") from error


class Watchdog:
    """A thread that aborts reads past their deadline, at most a quarter of it late."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._guards: set[Guard] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def guard(self, abort: Callable[[], None]) -> Iterator[Guard]:
        """A `Guard` for the reads of one response; the thread calls `abort` once to end a late read."""
        guard = Guard(self._seconds, abort)
        with self._lock:
            self._guards.add(guard)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="bridge-watchdog", daemon=True)
                self._thread.start()
        try:
            yield guard
        finally:
            with self._lock:
                self._guards.discard(guard)

    def abort(self) -> None:
        """Abort every read now."""
        self._expire(math.inf)

    def _expire(self, now: float) -> None:
        with self._lock:
            late = [guard for guard in self._guards if guard.deadline <= now and not guard.expired]
            for guard in late:
                guard.expired = True
        for guard in late:
            with suppress(Exception):  # a closed socket needs no abort
                guard.abort()

    def _watch(self) -> None:
        needed = time.monotonic()
        while True:
            time.sleep(min(0.5, self._seconds / 4))
            now = time.monotonic()
            with self._lock:
                if self._guards:
                    needed = now
                elif now - needed > _LINGER:
                    self._thread = None
                    return
            self._expire(now)

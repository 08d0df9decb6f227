"""Deadlines for reads that block: a server that sends a byte a second resets every timeout of the socket."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

__all__ = ["Guard", "Watchdog"]

_LINGER = 2.0  # seconds without anything to guard, after which the thread ends


class Guard:
    """A context in which one read has a deadline; it may be entered again and again.

    Leaving it raises `TimeoutError` where the deadline has passed, whatever the read made of being aborted.
    """

    __slots__ = ("abort", "deadline", "expired", "seconds")

    def __init__(self, seconds: float, abort: Callable[[], None]) -> None:
        self.seconds = seconds
        self.abort = abort
        self.expired = False
        self.deadline = math.inf

    def __enter__(self) -> None:
        self.deadline = time.monotonic() + self.seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.deadline = math.inf
        if self.expired and (error is None or isinstance(error, Exception)):
            raise TimeoutError(f"nothing, or next to nothing, came in {self.seconds:g} s") from error


class Watchdog:
    """One thread that aborts reads which outlast their deadline, at the latest a quarter of it later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._guards: set[Guard] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def guard(self, abort: Callable[[], None]) -> Iterator[Guard]:
        """A `Guard` for the reads of one answer; `abort` is called from another thread, once, to end a read."""
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
        """End every read that is under way, now."""
        with self._lock:
            guards = [guard for guard in self._guards if not guard.expired]
            for guard in guards:
                guard.expired = True
        for guard in guards:
            with suppress(Exception):  # a socket that is gone already needs no abort
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
                late = [guard for guard in self._guards if guard.deadline <= now and not guard.expired]
                for guard in late:
                    guard.expired = True
            for guard in late:
                with suppress(Exception):  # a socket that is gone already needs no abort
                    guard.abort()

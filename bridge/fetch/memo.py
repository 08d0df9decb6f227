"""Results computed once, in the background or by the first caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from bridge.fetch.pool import Pool

__all__ = ["Memo"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Memo(Generic[Key, Value]):
    """Computes each key once, for many threads. An error is raised to the caller and then forgotten."""

    def __init__(self, compute: Callable[[Key], Value], pool: Pool) -> None:
        self._compute = compute
        self._pool = pool
        self._lock = threading.Lock()
        self._results: dict[Key, Future[Value]] = {}

    def begin(self, key: Key) -> None:
        """Start computing `key` in the background."""
        with self._lock:
            if key in self._results:
                return
            future = self._results[key] = Future[Value]()
        self._pool.submit(lambda wanted: self._run(wanted, future), key)

    def get(self, key: Key) -> Value:
        """Return the result, computed here if no thread has started: a caller never waits for the queue."""
        with self._lock:
            future = self._results.setdefault(key, Future())
        self._run(key, future)
        try:
            return future.result()
        except BaseException:
            with self._lock:
                if self._results.get(key) is future:
                    del self._results[key]
            raise

    def _run(self, key: Key, future: Future[Value]) -> None:
        with self._lock:
            if future.running() or future.done():
                return
            future.set_running_or_notify_cancel()
        try:
            future.set_result(self._compute(key))
        except BaseException as error:  # noqa: BLE001 - raised to the caller
            future.set_exception(error)

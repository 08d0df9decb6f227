"""Results computed once, in the background or by the first caller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from bridge.fetch.pool import Pool

__all__ = ["Memo"]

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Result(Generic[Value]):
    """The result of one key. Who holds the lock computes it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.values: list[Value] = []
        self.error: BaseException | None = None


class Memo(Generic[Key, Value]):
    """Computes each key once, for many threads. An error is raised to the caller and then forgotten."""

    def __init__(self, compute: Callable[[Key], Value], pool: Pool) -> None:
        self._compute = compute
        self._pool = pool
        self._lock = threading.Lock()
        self._results: dict[Key, _Result[Value]] = {}

    def begin(self, key: Key) -> None:
        """Start computing `key` in the background."""
        with self._lock:
            if key in self._results:
                return
            result = self._results[key] = _Result()
        self._pool.submit(lambda wanted: self._run(wanted, result), key)

    def get(self, key: Key) -> Value:
        """Return the result, computed here if no thread has started: a caller never waits for the queue."""
        with self._lock:
            result = self._results.setdefault(key, _Result())
        self._run(key, result)
        if result.error is not None:
            with self._lock:
                if self._results.get(key) is result:
                    del self._results[key]
            raise result.error
        return result.values[0]

    def _run(self, key: Key, result: _Result[Value]) -> None:
        with result.lock:
            if result.values or result.error is not None:
                return
            try:
                result.values.append(self._compute(key))
            except BaseException as error:  # noqa: BLE001 - raised to the caller
                result.error = error

"""A thread pool for network requests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from typing_extensions import Self

__all__ = ["THREADS", "Pool"]

THREADS = 16

Item = TypeVar("Item")
Result = TypeVar("Result")


class Pool:
    """Threads started with the first call. A call must not wait for another call of the same pool."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Call `function(item)` in a thread."""
        with self._lock:
            if self._executor is None:
                from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - imports logging; pages are kept

                self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="bridge-fetch")
            return self._executor.submit(function, item)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """Map `function` over the items. The first error cancels calls that have not started, and is raised."""
        from concurrent.futures import FIRST_EXCEPTION, wait  # noqa: PLC0415 - as above

        futures = [self.submit(function, item) for item in items]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future in done and future.exception() is not None:
                    future.result()
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def rest(self) -> None:
        """Wait for the calls and end the threads; the next call starts others. Without threads a process may fork."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)

    def close(self) -> None:
        """Cancel calls that have not started, and wait for the others."""
        with self._lock:
            if self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
                self._executor = None

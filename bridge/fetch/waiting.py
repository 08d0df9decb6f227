"""What a run waits for: requests to servers, and steps. For people who wait, and for those who want to know."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from bridge.fetch.responses import Progress

__all__ = ["RequestLog", "shown", "step"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class _WithProgress(Protocol):
    progress: Progress | None


Owner = TypeVar("Owner", bound=_WithProgress)


@contextmanager
def shown(progress: Progress | None, name: str) -> Iterator[None]:
    """Show a step of unknown length as progress while the block runs."""
    if progress is None:
        yield
        return
    progress.start(name, None)
    try:
        yield
    finally:
        progress.finish(name)


def step(
    name: str,
) -> Callable[[Callable[Concatenate[Owner, Parameters], Result]], Callable[Concatenate[Owner, Parameters], Result]]:
    """Decorate a method that is such a step."""

    def decorate(
        method: Callable[Concatenate[Owner, Parameters], Result],
    ) -> Callable[Concatenate[Owner, Parameters], Result]:
        @wraps(method)
        def shown_method(self: Owner, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            with shown(self.progress, name):
                return method(self, *args, **kwargs)

        return shown_method

    return decorate


class RequestLog:
    """The requests of one run, by URLs without secrets. Thread-safe.

    :ivar tell: receives a line for each answer; called from any thread.
    """

    def __init__(self) -> None:
        self.tell: Callable[[str], None] | None = None
        self.hosts: Counter[str] = Counter()
        self._running: dict[int, str] = {}
        self._lock = threading.Lock()
        self._last = 0

    @contextmanager
    def running(self, url: str) -> Iterator[None]:
        """While the block runs, this URL is waited for."""
        with self._lock:
            self._last += 1
            number = self._last
            self._running[number] = url
        try:
            yield
        finally:
            with self._lock:
                del self._running[number]

    @contextmanager
    def request(self, url: str) -> Iterator[Callable[[int], None]]:
        """Note one request; the block passes the status of the answer."""
        statuses: list[int] = []
        started = time.monotonic()
        try:
            yield statuses.append
        finally:
            with self._lock:
                self.hosts[urlsplit(url).netloc] += 1
            if self.tell is not None:
                answer = str(statuses[0]) if statuses else "no answer"
                self.tell(f"GET {url}: {answer} after {time.monotonic() - started:.2f} s")

    def cached(self, url: str) -> None:
        """Note an answer from the cache of pages."""
        if self.tell is not None:
            self.tell(f"GET {url}: from the cache")

    @property
    def summary(self) -> str:
        """How many requests each host got: `34 requests: 30 to one.example, 4 to other.example`."""
        with self._lock:
            hosts = ", ".join(f"{count} to {host}" for host, count in self.hosts.most_common())
            return f"{self.hosts.total()} requests: {hosts}"

    @property
    def oldest(self) -> str | None:
        """The URL that has been waited for longest."""
        with self._lock:
            return next(iter(self._running.values()), None)

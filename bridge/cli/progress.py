"""Progress bars of rich, for the port of `bridge.fetch`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bridge.cli.texts import safe

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Bars"]


class Bars:
    """One bar for each task. Thread-safe."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def start(self, task: str, total: int | None) -> None:
        with self._lock:
            self._tasks[task] = self._bars.add_task(safe(task), total=total)

    def advance(self, task: str, n: int) -> None:
        if (known := self._tasks.get(task)) is not None:
            self._bars.advance(known, n)

    def finish(self, task: str) -> None:
        with self._lock:
            known = self._tasks.pop(task, None)
        if known is not None:
            self._bars.remove_task(known)

"""The progress of a run: a line for each phase on a terminal, and how long each phase took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.cli.tables import cut
from bridge.cli.texts import printable, size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

__all__ = ["FETCHING", "SOLVING", "Phases", "ProgressDisplay"]

SOLVING, FETCHING = "solving", "fetching"

_PER_SECOND = 8  # frames
_BAR = 20  # columns
_NARROW = 64  # columns of a terminal without room for a bar


class _Transfer:
    __slots__ = ("done", "total")

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done = 0


class Phases:
    """What a run is doing; the port `bridge.fetch.responses.Progress`. Thread-safe.

    Steps of unknown length are phases of their own; all transfers together are one.

    :ivar expected: the bytes of all transfers to come, as far as they are known.
    :ivar waiting: returns the URL that is waited for.
    :ivar begun: called when a task starts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.expected = 0
        self.waiting: Callable[[], str | None] = lambda: None
        self.begun: Callable[[], None] = lambda: None
        self._clock = clock
        self._lock = threading.Lock()
        self._steps: dict[str, float] = {}
        self._transfers: dict[str, _Transfer] = {}
        self._begun: float | None = None
        self._arrived, self._files, self._rounds = 0, 0, 0
        self._took: dict[str, float] = {}

    def start(self, task: str, total: int | None) -> None:
        self.begun()
        with self._lock:
            if total is None and not _is_file(task):
                self._steps[task] = self._clock()
                return
            if self._begun is None:
                self._begun = self._clock()
            self._transfers[task] = _Transfer(total)

    def advance(self, task: str, n: int) -> None:
        with self._lock:
            if (known := self._transfers.get(task)) is not None:
                known.done += n
                self._arrived += n

    def finish(self, task: str) -> None:
        with self._lock:
            now = self._clock()
            if (started := self._steps.pop(task, None)) is not None:
                self._took[task] = self._took.get(task, 0.0) + now - started
            elif self._transfers.pop(task, None) is not None and self._begun is not None:
                self._files += 1
                self._took[FETCHING] = now - self._begun

    def pinned(self, name: str, rounds: int) -> None:  # noqa: ARG002 - `bridge.resolve.search.joint.Watcher`
        """The solve has come to this round."""
        self._rounds = rounds

    @property
    def took(self) -> str:
        """How long each finished phase took: `solving 1.2 s, fetching 3.4 s (45.0 MB)`."""
        with self._lock:
            parts = [
                f"{name} {seconds:.1f} s" + (f" ({size(self._arrived)})" if name == FETCHING else "")
                for name, seconds in self._took.items()
            ]
        return ", ".join(parts)

    def lines(self, width: int, *, is_unicode: bool = True) -> list[str]:
        """One line for each running phase, none wider than the terminal."""
        with self._lock:
            now = self._clock()
            steps = [self._step(name, now - started) for name, started in self._steps.items()]
            if self._transfers and self._begun is not None:
                steps.append(self._fetching(width, now - self._begun, is_unicode=is_unicode))
        return [cut(printable(line), width - 1, "…" if is_unicode else "~") for line in steps]

    def _step(self, name: str, seconds: float) -> str:
        if name != SOLVING:
            return f"{name}  {seconds:.1f} s"
        url = self.waiting()
        rounds = f"{self._rounds} round{'s' * (self._rounds > 1)}, " if self._rounds else ""
        return f"{name}  {rounds}{seconds:.1f} s" + (f", waiting for {url}" if url else "")

    def _fetching(self, width: int, seconds: float, *, is_unicode: bool) -> str:
        known = self._arrived + sum(max((each.total or 0) - each.done, 0) for each in self._transfers.values())
        total = max(self.expected, known)
        done, rate = self._arrived, self._arrived / seconds if seconds > 0 else 0.0
        amount = f"{size(done)} of {size(total)}  {size(int(rate))}/s  {self._files} files"
        if width < _NARROW:
            return f"{FETCHING}  {amount}"
        full = min(int(_BAR * done / total), _BAR) if total else 0
        mark, rest = ("━", "─") if is_unicode else ("#", "-")
        return f"{FETCHING}  {mark * full}{rest * (_BAR - full)}  {amount}"


def _is_file(task: str) -> bool:
    """Whether a task without a size is a transfer: steps have several words or are lower-case words."""
    return "." in task and " " not in task


class ProgressDisplay:
    """The lines of `phases`, drawn anew at the bottom of the terminal until `end`.

    A message of another thread goes through `print`: rich takes a display's height from the frame drawn last, so a
    message that is laid out before a frame and written after it would continue the frame's line.
    """

    def __init__(self, phases: Phases, console: Callable[[], Console], *, is_unicode: bool) -> None:
        self._phases, self._console, self._is_unicode = phases, console, is_unicode
        self._live: Live | None = None
        self._writing = threading.RLock()
        phases.begun = self.begin

    def begin(self) -> None:
        """Show the lines from now on; again without effect."""
        from rich.live import Live

        with self._writing:
            if self._live is not None:
                return
            self._live = live = Live(
                console=self._console(),
                get_renderable=self._frame,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            live.start()
        # By this name, `bridge.fs.copies` knows that it may fork beside this thread.
        threading.Thread(target=self._redraw, args=[live], name="bridge-progress", daemon=True).start()

    def _redraw(self, live: Live) -> None:
        while True:
            with self._writing:
                if live is not self._live:
                    return
                live.refresh()
            time.sleep(1 / _PER_SECOND)

    def print(self, markup: str) -> None:
        """Print a message above the lines."""
        with self._writing:
            self._console().print(markup, markup=True)

    def end(self) -> None:
        """Take the lines off the terminal."""
        with self._writing:
            live, self._live = self._live, None
            if live is not None:
                live.stop()

    def _frame(self) -> Text:
        from rich.text import Text

        lines = self._phases.lines(self._console().width, is_unicode=self._is_unicode)
        return Text("\n".join(lines), no_wrap=True, overflow="crop", end="" if not lines else "\n")

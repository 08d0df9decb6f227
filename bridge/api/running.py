"""One call of a function: its session, its progress, and its end by cancellation."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import final

from bridge import config
from bridge.api.options import Options
from bridge.channels.panics import is_panic
from bridge.cli.commands.request import Request
from bridge.cli.failure import unforeseen
from bridge.cli.opening import open_session
from bridge.cli.session import Session
from bridge.errors import BridgeError, CancelledError
from bridge.install.sources import equivalent

__all__ = ["Call", "Progress", "ProgressCallback", "call"]

_FIRST = {"audit": "auditing", "convert": "converting", "sync": "reading the lock", "remove": "planning"}
_BEAT = 0.05  # seconds between two reports of a step that counts nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A step of a call. The texts are for people and change between versions.

    :param done: bytes of a transfer, 0 for other steps; `total`: its size, if known.
    """

    task: str
    done: int = 0
    total: int | None = None


ProgressCallback = Callable[[Progress], object]
"""Receives the progress of a call, from one thread at a time but not always the same. To cancel return `False`, or
raise: the call then undoes what it did and raises `CancelledError`, or the exception of the callback."""


@final
class Reporter:
    """Hands progress to a callback, and ends the call that the callback cancels (`bridge.fetch.responses.Progress`)."""

    def __init__(self, callback: ProgressCallback | None, first: str) -> None:
        self._callback = callback
        self._lock = threading.RLock()
        self._last = Progress(task=first)
        self._tasks: dict[str, Progress] = {}
        self._told = 0.0
        self.is_cancelled = False
        self.failure: BaseException | None = None

    def start(self, task: str, total: int | None) -> None:
        """Report a new step."""
        self._tell(Progress(task=task, total=total), is_known=True)

    def advance(self, task: str, n: int) -> None:
        """Report `n` more bytes of a step."""
        with self._lock:
            before = self._tasks.get(task, Progress(task=task))
            self._tell(Progress(task=task, done=before.done + n, total=before.total), is_known=True)

    def finish(self, task: str) -> None:
        """Forget a step. It tells nothing: a step may end after its change is complete."""
        with self._lock:
            self._tasks.pop(task, None)

    def check(self) -> None:
        """Give the callback the occasion to cancel, some times a second. Raises `CancelledError`."""
        if self.is_cancelled or time.monotonic() - self._told >= _BEAT:
            self._tell(self._last)

    def _tell(self, progress: Progress, *, is_known: bool = False) -> None:
        if self._callback is None:
            return
        with self._lock:
            if is_known:
                self._tasks[progress.task] = self._last = progress
            if not self.is_cancelled:
                try:
                    self.is_cancelled = self._callback(progress) is False
                except BaseException as error:  # noqa: BLE001 - the call raises it when all is undone
                    self.is_cancelled, self.failure = True, error
                self._told = time.monotonic()
            if self.is_cancelled:
                raise CancelledError("cancelled", f"cancelled while {progress.task}; nothing was changed")


@dataclass(slots=True, kw_only=True)
class Call:
    """The sessions of one call; `command` does the same on the command line."""

    options: Options
    reporter: Reporter
    parameters: Mapping[str, object]
    warnings: list[str] = field(default_factory=list)

    @contextmanager
    def session(self, request: Request | None = None, **others: object) -> Iterator[Session]:
        """Open a session. `others` are parameters of `bridge.config.load` beside the options."""
        self.reporter.check()
        settings = config.load({**self.parameters, **others}, os.environ)
        self.warn((*settings.warnings, *(request.warnings if request is not None else ())))
        with open_session(
            settings, request, self.reporter, tell=lambda text: self.warn([text]), check=self.reporter.check
        ) as session:
            try:
                yield session
            finally:
                self.warn(session.warnings)

    def warn(self, warnings: Sequence[str]) -> None:
        """Keep warnings for the result, each once."""
        self.warnings += [each for each in dict.fromkeys(warnings) if each not in self.warnings]


@contextmanager
def call(words: Sequence[str], options: Options | None, progress: ProgressCallback | None) -> Iterator[Call]:
    """Run one call. It raises only errors of bridge, the callback's own exception, and what interrupts the process;
    `TypeError` for options that are none.

    :param words: the command that does the same, without `bridge` and the options.
    """
    options = Options() if options is None else options
    if not isinstance(options, Options):
        raise TypeError(f"options: {options!r} is not a bridge.api.Options")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress: {progress!r} is not callable")
    parameters = options.parameters()
    reporter = Reporter(progress, _FIRST.get(words[0], "solving"))
    try:
        with equivalent((*words, *_words(parameters))):
            yield Call(options=options, reporter=reporter, parameters=parameters)
    except CancelledError:
        if reporter.failure is not None:
            raise reporter.failure from None
        raise
    except BridgeError:
        raise
    except SystemExit as end:
        # A signal undid the change, and its handler returned.
        raise CancelledError("interrupted", "a signal interrupted the call; nothing was changed") from end
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        raise unforeseen(error) from error


def _words(parameters: Mapping[str, object]) -> Iterator[str]:
    """The options of a command line."""
    for name, value in parameters.items():
        option = "--" + name.replace("_", "-")
        if name == "compile":
            yield option if value == "yes" else "--no-compile"
        elif value is True:
            yield option
        elif isinstance(value, tuple):
            yield from (word for each in value for word in (option, str(each)))
        elif name != "cache_dir":
            yield from (option, str(value))

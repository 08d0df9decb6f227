"""A standard stream that takes lines with markup of rich. Files and pipes get their text, and need no rich for it."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from bridge.cli.texts import unmarked

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output"]

_FORCING = ("FORCE_COLOR", "TTY_COMPATIBLE")  # variables by which rich takes a pipe for a terminal
_NO_EDGE = 10_000  # columns of files and pipes: nothing is wrapped or shortened there


class Output:
    """Standard output or standard error.

    :param forced: whether there are colours; `None` leaves it to rich.
    """

    def __init__(self, *, is_error: bool, forced: bool | None) -> None:
        self._is_error, self._forced = is_error, forced

    @property
    def stream(self) -> TextIO:
        return sys.stderr if self._is_error else sys.stdout

    @property
    def is_plain(self) -> bool:
        """Whether the stream takes neither colours nor anything else of a terminal."""
        return not self._forced and not self.stream.isatty() and not any(map(os.environ.get, _FORCING))

    @property
    def width(self) -> int:
        return self.console.width if self.stream.isatty() else _NO_EDGE

    def print(self, markup: str) -> None:
        """Write one line."""
        if self.is_plain:
            self.stream.write(f"{unmarked(markup)}\n")
        else:
            self.console.print(markup)

    @cached_property
    def console(self) -> Console:
        from rich.console import Console

        console = Console(
            stderr=self._is_error,
            force_terminal=self._forced,
            highlight=False,
            emoji=False,  # `:x:` in a foreign text is no sign
            soft_wrap=True,
            no_color=True if self._forced is False else None,
        )
        if not self.stream.isatty():
            console.width = _NO_EDGE
        return console

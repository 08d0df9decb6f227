"""Where the archives of a plan come from, and the command line for conda's history."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from bridge.secrets import masked
from converters.deferred import dataclass

if TYPE_CHECKING:
    from bridge.channels.sources import Channels
    from bridge.resolve.ports import RunPort
    from converters.names import NameMap

__all__ = ["Sources", "command_line", "equivalent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The sources of a plan's archives: the session, its channels, and the name map used for solving.

    `is_exact`: a lock, a snapshot or another environment states the packages; no channel or index was asked.
    `opened`: returns the channels and the names, the same each time.
    """

    session: RunPort
    opened: Callable[[], tuple[Channels, NameMap]]
    is_exact: bool = False

    @classmethod
    def of(cls, session: RunPort, channels: Channels, names: NameMap) -> Sources:
        """Return sources that are open already."""
        return cls(session=session, opened=lambda: (channels, names))

    @property
    def channels(self) -> Channels:
        return self.opened()[0]

    @property
    def names(self) -> NameMap:
        return self.opened()[1]


_EQUIVALENT: ContextVar[tuple[str, ...] | None] = ContextVar("equivalent", default=None)


@contextmanager
def equivalent(words: Sequence[str]) -> Iterator[None]:
    """Within the block, `command_line` returns this command, which does what the caller of `bridge.api` asked for."""
    token = _EQUIVALENT.set(tuple(words))
    try:
        yield
    finally:
        _EQUIVALENT.reset(token)


def command_line() -> str:
    """Return the command line without the credentials of URLs in it."""
    stated = _EQUIVALENT.get()
    return masked(shlex.join(["bridge", *(sys.argv[1:] if stated is None else stated)]))

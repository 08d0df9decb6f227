"""Where the archives of a plan come from, and how the history names the command that changes an environment."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.secrets import masked

if TYPE_CHECKING:
    from bridge.channels.sources import Channels
    from bridge.resolve.ports import RunPort
    from converters.names import NameMap

__all__ = ["Sources", "command_line"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a plan's archives come from: the session, its channels, and the names it was solved with."""

    session: RunPort
    channels: Channels
    names: NameMap


def command_line() -> str:
    """The command line as the history shows it, without the credentials that URLs in it may hold."""
    return masked(shlex.join(["bridge", *sys.argv[1:]]))

"""Where the archives of a plan come from, and the command line for conda's history."""

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
    """The sources of a plan's archives: the session, its channels, and the name map used for solving."""

    session: RunPort
    channels: Channels
    names: NameMap


def command_line() -> str:
    """Return the command line without the credentials of URLs in it."""
    return masked(shlex.join(["bridge", *sys.argv[1:]]))

"""The name map of a network channel: its noarch repodata says in `info` that it has one, and what the file is called.

The key is bridge's own; other clients ignore it. A channel without it is not asked for a map.
"""

from __future__ import annotations

import re
from pathlib import Path

from bridge.paths import NAMES_KEY
from converters.deferred import regex

__all__ = ["stated", "stated_in"]

_START = 4096  # bytes of repodata.json; bridge and conda-index write `info` first
_PLAIN = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\Z", re.ASCII)
_STATED = regex(rb'"%b"\s*:\s*"([^"\\]{1,64})"' % NAMES_KEY.encode())


def stated(name: object) -> str | None:
    """Return the file name that `info` states; `None` if it is missing, or no plain name."""
    return name if isinstance(name, str) and _PLAIN.match(name) else None


def stated_in(path: Path) -> str | None:
    """Return the file name that a repodata.json states, whatever its size."""
    with path.open("rb") as stream:
        start = stream.read(_START)
    match = _STATED.search(start) if NAMES_KEY.encode() in start else None
    return stated(match[1].decode("ascii", "replace")) if match else None

"""The lines of `conda-meta/pinned`: one MatchSpec each, with `#` comments (conda's documentation)."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.paths import META
from bridge.prefix.records import content

__all__ = ["PINNED", "pinned_lines"]

PINNED = f"{META}/pinned"
_MAX_SIZE = 1 << 20  # bytes


def pinned_lines(prefix: Path) -> list[tuple[str, str]]:
    """Return each line with its MatchSpec, which is empty for a comment; none if there is no file.

    Raises `OSError` and `ValueError` for a file that cannot be read.
    """
    path = prefix / PINNED
    if not os.path.lexists(path):
        return []
    lines = content(str(path), _MAX_SIZE).decode("utf-8-sig").splitlines()
    return [(line, _without_comment(line)) for line in lines]


def _without_comment(line: str) -> str:
    """Remove a `#` comment, as conda's MatchSpec does, except for the hash of a URL."""
    return (line if "://" in line and not line.lstrip().startswith("#") else line.partition("#")[0]).strip()

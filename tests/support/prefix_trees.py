"""All files of a prefix, to compare prefixes with each other."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["tree"]

_OF_TIME = {"conda-meta/history"}


def tree(prefix: Path) -> dict[str, bytes]:
    """Path → content, or the text of a link; without bridge's own files and conda's history, which tell of time."""
    found = {}
    for folder, directories, names in os.walk(prefix):
        if Path(folder) == prefix / "conda-meta":
            directories.remove(".bridge")
        for name in [*names, *(each for each in directories if Path(folder, each).is_symlink())]:
            path = Path(folder, name)
            key = path.relative_to(prefix).as_posix()
            if key not in _OF_TIME:
                found[key] = os.fsencode(os.readlink(path)) if path.is_symlink() else path.read_bytes()
    return found

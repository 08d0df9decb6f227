"""Find programs on a PATH (`shutil.which`; its module also changes files, which only `bridge.fs` may)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["find_program"]


def find_program(name: str, path: str) -> str | None:
    """Return the file that a command runs, as the system finds it; `None` if there is none.

    :param path: the variable PATH.
    """
    if os.path.dirname(name):
        return name if _is_program(name) else None
    endings = os.environ.get("PATHEXT", ".EXE").split(os.pathsep) if sys.platform == "win32" else []
    places = (os.path.join(directory, name) for directory in path.split(os.pathsep) if directory)
    return next((program for place in places for program in _spellings(place, endings) if _is_program(program)), None)


def _spellings(place: str, endings: list[str]) -> list[str]:
    return [place, *(place + ending for ending in endings)]


def _is_program(path: str) -> bool:
    return Path(path).is_file() and os.access(path, os.X_OK)

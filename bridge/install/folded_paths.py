"""Names that a file system takes for one: by letter case, and by Unicode normalisation. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

__all__ = ["FoldedPaths", "compose", "fold"]


class FoldedPaths:
    """The names of files and of directories by what a file system takes for one name: for each, how it is spelled."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._files: dict[str, str] = {}
        self._directories: dict[str, str] = {}

    def add(self, path: str, *, is_directory: bool) -> None:
        """Add a path, and the directories it lies in."""
        (self._directories if is_directory else self._files).setdefault(self._fold(path), path)
        directory = path.rpartition("/")[0]
        while directory and (folded := self._fold(directory)) not in self._directories:
            self._directories[folded] = directory
            directory = directory.rpartition("/")[0]

    def other(self, path: str, *, is_directory: bool) -> str | None:
        """What is there under another spelling and cannot be there at the same time; an equal spelling is no matter."""
        found = [self._files.get(self._fold(path))]
        if not is_directory:
            found.append(self._directories.get(self._fold(path)))
        directory = path.rpartition("/")[0]
        while directory:
            found.append(self._files.get(self._fold(directory)))
            if found[-1] == directory:
                found[-1] = None
            directory = directory.rpartition("/")[0]
        return next((other for other in found if other is not None and other != path), None)


def fold(path: str) -> str:
    """`path` as a file system that ignores case compares names."""
    return path.lower() if path.isascii() else compose(path).casefold()


def compose(path: str) -> str:
    """`path` in Unicode normalisation form C, as most file systems get it."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)

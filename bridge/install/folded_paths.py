"""Paths that a file system treats as equal: by letter case, and by Unicode normalisation. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from bridge.paths import ancestors

__all__ = ["FoldedPaths", "compose", "fold"]


class FoldedPaths:
    """The paths of files and of directories, by their folded form."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._files: dict[str, str] = {}
        self._directories: dict[str, str] = {}

    def add(self, path: str, *, is_directory: bool) -> None:
        """Add a path and its parent directories."""
        (self._directories if is_directory else self._files).setdefault(self._fold(path), path)
        directory = path.rpartition("/")[0]
        while directory and (folded := self._fold(directory)) not in self._directories:
            self._directories[folded] = directory
            directory = directory.rpartition("/")[0]

    def other(self, path: str, *, is_directory: bool) -> str | None:
        """Return an added path that conflicts with `path` under another spelling, if any."""
        candidates = [self._files.get(self._fold(path))]
        if not is_directory:
            candidates.append(self._directories.get(self._fold(path)))
        for directory in ancestors(path):
            other = self._files.get(self._fold(directory))
            candidates.append(other if other != directory else None)
        return next((other for other in candidates if other is not None and other != path), None)


def fold(path: str) -> str:
    """Return `path` as a case-insensitive file system compares it."""
    return path.lower() if path.isascii() else compose(path).casefold()


def compose(path: str) -> str:
    """Return `path` in Unicode normalisation form C, which most file systems receive."""
    return path if path.isascii() else unicodedata.normalize("NFC", path)

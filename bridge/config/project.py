"""The project that the working directory is in: its pyproject.toml, and the `[tool.bridge]` tables of it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

from bridge.config.files import read_named
from bridge.errors import UsageError
from converters.deferred import dataclass, regex

__all__ = ["MAX_TOML", "ProjectFiles", "ProjectTable", "mentions_table", "parse_toml", "project_table", "read_toml"]

MAX_TOML = 4 << 20
"""The most bytes of a file of settings."""

# A TOML text without this has no table [tool.bridge]. Most projects are not parsed.
_HAS_TABLE = regex(rb"""^\s*\[{0,2}\s*["']?tool["']?\s*(?:\.\s*["']?bridge\b|[\]=])""", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTable:
    """A table of a pyproject.toml; paths in it start from the folder of the file."""

    file: Path
    values: Mapping[str, object]


class ProjectFiles:
    """The pyproject.toml files of a directory and of those above it, each read once in a run."""

    def __init__(self, directory: Path | None = None) -> None:
        """:param directory: where the search starts (default: the working directory)."""
        self._directory = directory
        self._contents: dict[Path, bytes] = {}

    @property
    def folders(self) -> tuple[Path, ...]:
        """The directory and those above it, the nearest first; empty if the working directory is gone."""
        try:
            start = self._directory or Path.cwd()
        except OSError:
            return ()
        return (start, *start.parents)

    def __iter__(self) -> Iterator[Path]:
        return (path for folder in self.folders if os.path.isfile(path := folder / "pyproject.toml"))

    def content(self, path: Path) -> bytes:
        """The content of one of these files, at most one byte above `MAX_TOML`. Raises `OSError`."""
        if path not in self._contents:
            self._contents[path] = read_named(path, limit=MAX_TOML)
        return self._contents[path]


def mentions_table(data: bytes) -> bool:
    """Whether a TOML text may have a table `[tool.bridge]`."""
    return _HAS_TABLE.search(data) is not None


def project_table(directory: Path, name: str) -> ProjectTable | None:
    """`[tool.bridge.NAME]` of the nearest pyproject.toml, in `directory` or above; `None`: there is none.

    :raises UsageError: `project-file`: the file cannot be read, or is no TOML.
    """
    file = next(iter(ProjectFiles(directory)), None)
    if file is None:
        return None
    table: object = read_toml(file, "project-file", only_if=mentions_table)
    for key in ("tool", "bridge", name):
        table = table.get(key) if isinstance(table, Mapping) else None
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise UsageError("project-file", f"{file}: tool.bridge.{name} is not a table")
    return ProjectTable(file=file, values=table)


def read_toml(file: Path, error_id: str, *, only_if: Callable[[bytes], bool] = lambda _: True) -> Mapping[str, object]:
    """A TOML document, empty if its text is not wanted.

    Raises `UsageError` (`error_id`): the file cannot be read, is too large, or is no TOML.
    """
    try:
        data = read_named(file, limit=MAX_TOML)
    except OSError as error:
        raise UsageError(error_id, f"{file} cannot be read: {error.strerror}") from error
    if len(data) > MAX_TOML:
        raise UsageError(error_id, f"{file} is larger than {MAX_TOML >> 20} MB")
    try:
        return parse_toml(data) if only_if(data) else {}
    except ValueError as error:
        raise UsageError(error_id, f"{file} is not TOML: {error}") from error


def parse_toml(data: bytes) -> Mapping[str, object]:
    """The document of a TOML file with this content. Raises `ValueError`."""
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")  # most runs read no such file
    try:
        document: Mapping[str, object] = tomllib.loads(data.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return document

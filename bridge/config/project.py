"""The `[tool.bridge]` tables of the project that the working directory is in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from bridge.config.files import read_named
from bridge.errors import UsageError
from converters.deferred import dataclass

__all__ = ["ProjectTable", "project_table", "read_toml"]

_LIMIT = 4 << 20  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTable:
    """A table of a pyproject.toml; paths in it start from the folder of the file."""

    file: Path
    values: Mapping[str, object]


def project_table(directory: Path, name: str) -> ProjectTable | None:
    """`[tool.bridge.NAME]` of the nearest pyproject.toml, in `directory` or above; `None`: there is none.

    :raises UsageError: `project-file`: the file cannot be read, or is no TOML.
    """
    for folder in (directory, *directory.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        table: object = read_toml(file, "project-file")
        for key in ("tool", "bridge", name):
            table = table.get(key) if isinstance(table, Mapping) else None
        if table is None:
            return None
        if not isinstance(table, Mapping):
            raise UsageError("project-file", f"{file}: tool.bridge.{name} is not a table")
        return ProjectTable(file=file, values=table)
    return None


def read_toml(file: Path, error_id: str) -> Mapping[str, object]:
    """A TOML document. Raises `UsageError` (`error_id`): the file cannot be read, is too large, or is no TOML."""
    if sys.version_info >= (3, 11):
        import tomllib  # noqa: PLC0415 - most runs read no such file
    else:
        import tomli as tomllib  # noqa: PLC0415

    try:
        data = read_named(file, limit=_LIMIT)
    except OSError as error:
        raise UsageError(error_id, f"{file} cannot be read: {error.strerror}") from error
    if len(data) > _LIMIT:
        raise UsageError(error_id, f"{file} is larger than {_LIMIT >> 20} MB")
    try:
        document: Mapping[str, object] = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UsageError(error_id, f"{file} is not TOML: {error}") from error
    return document

"""The value of a field, of the type that its format says. Each raises `UsageError` (`requirement-file`) for another."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from bridge.config.moments import parse_cutoff
from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, parse_pypi
from bridge.requirements.files.values import wrong
from converters.projects import canonicalize_name

__all__ = ["cutoff", "cutoffs", "flag", "items", "pypi", "table", "text", "texts"]


def text(value: object, path: Path, where: str) -> str:
    if not isinstance(value, str):
        raise wrong(path, where, "a text was expected")
    return value


def items(value: object, path: Path, where: str) -> list[object]:
    """Return the items of a list; none for `None`."""
    if not isinstance(value, (list, type(None))):
        raise wrong(path, where, "a list was expected")
    return value or []


def texts(value: object, path: Path, where: str) -> tuple[str, ...]:
    """Return the texts of a list; none for `None`."""
    return tuple(text(each, path, f"{where}[{place}]") for place, each in enumerate(items(value, path, where)))


def flag(value: object, path: Path, where: str) -> bool:
    """Return a truth value; `False` for `None`."""
    if not isinstance(value, (bool, type(None))):
        raise wrong(path, where, "true or false was expected")
    return bool(value)


def number(value: object, path: Path, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise wrong(path, where, "a number was expected")
    return value


def table(value: object, path: Path, where: str) -> Mapping[str, object]:
    """Return a table; an empty one for `None`."""
    if not isinstance(value, (dict, type(None))):
        raise wrong(path, where, "a table was expected")
    return value or {}


def pypi(value: object, path: Path, where: str) -> Requirement:
    """Return a PEP 508 requirement."""
    try:
        return parse_pypi(text(value, path, where))
    except UsageError as error:
        if error.id == "requirement-file":
            raise
        raise wrong(path, where, error.message, context=error.context) from error


def cutoff(value: object, path: Path, where: str) -> int | None:
    """Return a date, a date-time or a duration before now as milliseconds since the epoch; `None` for `None`."""
    if value is None:
        return None
    try:
        return parse_cutoff(value if isinstance(value, str) else str(value), time.time())
    except ValueError as error:
        raise wrong(path, where, f"{error} was expected") from error


def cutoffs(value: object, path: Path, where: str) -> dict[str, int | None]:
    """Return a table of packages and their cutoffs; `false` is none."""
    entries = table(value, path, where)
    return {
        canonicalize_name(name): None if moment is False else cutoff(moment, path, f"{where}.{name}")
        for name, moment in entries.items()
    }

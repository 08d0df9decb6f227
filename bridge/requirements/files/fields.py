"""A value of a file with its place in it: read as what its format says, or refused with that place."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bridge.config.moments import parse_cutoff
from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, conda_requirement, parse_pypi
from bridge.requirements.files.values import wrong
from converters.projects import canonicalize_name

__all__ = ["Field"]


class Field:
    """A value of a file. Each method raises `UsageError` (`requirement-file`) for a value of another type.

    Not a dataclass: a lock has tens of thousands of them.

    :param value: `None` where the file has none.
    :param where: its name, from the top of the file; empty for the whole document.
    """

    __slots__ = ("path", "value", "where")

    def __init__(self, value: object, path: Path, where: str = "") -> None:
        self.value, self.path, self.where = value, path, where

    def wrong(self, problem: str, *, context: Iterable[str] = (), hint: str | None = None) -> UsageError:
        """Return the error for this value."""
        return wrong(self.path, self.where or None, problem, context=context, hint=hint)

    def holding(self, value: object) -> Field:
        """Return another value at the same place."""
        return Field(value, self.path, self.where)

    def or_empty(self) -> Field:
        """Return an empty table in the place of `None`."""
        return self if self.value is not None else self.holding({})

    def spelled_out(self, key: str) -> Field:
        """Return the table `{key: text}` that a text stands for; another value as it is."""
        return self.holding({key: self.value}) if isinstance(self.value, str) else self

    def __getitem__(self, key: str) -> Field:
        return Field(self.table().get(key), self.path, f"{self.where}.{key}" if self.where else str(key))

    def __contains__(self, key: str) -> bool:
        return key in self.table()

    def entries(self) -> Iterator[tuple[str, Field]]:
        """Yield the entries of a table."""
        return ((key, self[key]) for key in self.table())

    def items(self) -> list[Field]:
        """Return the items of a list; none for `None`."""
        if not isinstance(self.value, (list, type(None))):
            raise self.wrong("a list was expected")
        return [Field(each, self.path, f"{self.where}[{place}]") for place, each in enumerate(self.value or ())]

    def table(self) -> Mapping[str, object]:
        """Return a table; an empty one for `None`."""
        if not isinstance(self.value, (dict, type(None))):
            raise self.wrong("a table was expected")
        return self.value or {}

    def tables(self) -> tuple[Mapping[str, object], ...]:
        """Return the tables of a list; none for `None`."""
        if isinstance(self.value, list) and all(isinstance(each, dict) for each in self.value):
            return tuple(self.value)
        return tuple(each.table() for each in self.items())

    def text(self) -> str:
        if not isinstance(self.value, str):
            raise self.wrong("a text was expected")
        return self.value

    def text_or_none(self) -> str | None:
        return None if self.value is None else self.text()

    def texts(self) -> tuple[str, ...]:
        """Return the texts of a list; none for `None`."""
        return tuple(each.text() for each in self.items())

    def flag(self) -> bool:
        """Return a truth value; `False` for `None`."""
        if not isinstance(self.value, (bool, type(None))):
            raise self.wrong("true or false was expected")
        return bool(self.value)

    def number(self) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or self.value < 0:
            raise self.wrong("a number was expected")
        return self.value

    def pypi(self) -> Requirement:
        """Return a PEP 508 requirement."""
        text = self.text()
        try:
            return parse_pypi(text)
        except UsageError as error:
            raise self.wrong(error.message, context=error.context) from error

    def conda(self) -> Requirement:
        """Return a MatchSpec."""
        text = self.text()
        try:
            return conda_requirement(text)
        except UsageError as error:
            raise self.wrong(error.message, context=error.context) from error

    def cutoff(self) -> int | None:
        """Return a date, a date-time or a duration before now as milliseconds since the epoch; `None` for `None`."""
        if self.value is None:
            return None
        try:
            return parse_cutoff(self.value if isinstance(self.value, str) else str(self.value), time.time())
        except ValueError as error:
            raise self.wrong(f"{error} was expected") from error

    def cutoffs(self) -> dict[str, int | None]:
        """Return a table of packages and their cutoffs; `false` is none."""
        return {
            canonicalize_name(name): None if each.value is False else each.cutoff() for name, each in self.entries()
        }

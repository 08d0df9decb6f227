"""Versions in conda's order, and the clauses of MatchSpecs on them.

Those of numbers and dots are compared here; rattler, which takes 15 ms to import, compares all others (`1.0rc1`).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import cache, total_ordering
from typing import TYPE_CHECKING

from bridge.channels.panics import as_value_error
from converters.deferred import regex

if TYPE_CHECKING:
    from rattler import Version, VersionSpec

__all__ = ["CondaVersion", "VersionClauses", "conda_version", "read_plain_clauses"]

_NUMBERS = r"[0-9]{1,18}(?:\.[0-9]{1,18})*"
_PLAIN = regex(_NUMBERS)
_CLAUSE = regex(rf"(?P<operator>[=!<>]=|[<>])(?P<version>{_NUMBERS})|=(?P<start>{_NUMBERS})|(?P<prefix>{_NUMBERS})\.\*")
_Numbers = tuple[int, ...]


@total_ordering
class CondaVersion:
    """A version in conda's order. Raises `ValueError` for a text that rattler cannot read."""

    __slots__ = ("_parsed", "_text", "numbers", "order")
    __hash__ = None  # type: ignore[assignment]  # `1.0` equals `0!1`, of which only rattler knows

    def __init__(self, text: str) -> None:
        """:ivar numbers: of a version of numbers and dots; `order` has no zeros at the end, which do not count."""
        self._text = text
        self._parsed: Version | None = None
        self.numbers: _Numbers | None = None
        self.order: _Numbers | None = None
        if _PLAIN.fullmatch(text):
            self.numbers = self.order = tuple(map(int, text.split(".")))
            while self.order and not self.order[-1]:
                self.order = self.order[:-1]
        else:
            self._parsed = _by_rattler(text)

    @property
    def parsed(self) -> Version:
        """The same as rattler reads it."""
        if self._parsed is None:
            self._parsed = _by_rattler(self._text)
        return self._parsed

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CondaVersion):
            return NotImplemented
        if self.order is not None and other.order is not None:
            return self.order == other.order
        return bool(self.parsed == other.parsed)

    def __lt__(self, other: CondaVersion) -> bool:
        if self.order is not None and other.order is not None:
            return self.order < other.order
        return bool(self.parsed < other.parsed)


def _by_rattler(text: str) -> Version:
    from rattler.version import Version  # noqa: PLC0415 - slow to import; most versions are numbers and dots

    with as_value_error():
        return Version(text)


@cache
def conda_version(text: str) -> CondaVersion | None:
    """Parse a version in conda's order; `None` if rattler cannot read it."""
    try:
        return CondaVersion(text)
    except ValueError:
        return None


class VersionClauses:
    """The clauses of a MatchSpec on the version (`>=1.2,<2`). Raises `ValueError` if rattler cannot read them."""

    __slots__ = ("_accepts", "_parsed", "_text")

    def __init__(self, text: str, accepts: tuple[Callable[[CondaVersion], bool | None], ...] = ()) -> None:
        """:param accepts: what each clause says of a version of numbers and dots; `None`: rattler has to say it."""
        self._text, self._accepts = text, accepts
        self._parsed: VersionSpec | None = None
        if not accepts:
            self._parsed = _spec_by_rattler(text)

    def match(self, version: CondaVersion) -> bool:
        """Return whether all clauses accept a version."""
        if self._accepts and version.order is not None:
            verdicts = [accepts(version) for accepts in self._accepts]
            if None not in verdicts:
                return all(verdicts)
        if self._parsed is None:
            self._parsed = _spec_by_rattler(self._text)
        return self._parsed.matches(version.parsed)


def _spec_by_rattler(text: str) -> VersionSpec:
    from rattler.version import VersionSpec  # noqa: PLC0415 - as above

    with as_value_error():
        return VersionSpec(text)


_OPERATORS: dict[str, Callable[[_Numbers, _Numbers], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def read_plain_clauses(text: str) -> VersionClauses | None:
    """Parse clauses on versions of numbers and dots (`>=1.2,<2`, `=1.2`, `1.2.*`); `None` for all others."""
    accepts = [_plain_clause(each) for each in text.split(",")]
    known = tuple(each for each in accepts if each is not None)
    return VersionClauses(text, known) if len(known) == len(accepts) else None


def _plain_clause(text: str) -> Callable[[CondaVersion], bool | None] | None:
    found = _CLAUSE.fullmatch(text)
    if found is None:
        return None
    if found["version"] is not None:
        compare, bound = _OPERATORS[found["operator"]], CondaVersion(found["version"]).order
        assert bound is not None
        return lambda version: None if version.order is None else compare(version.order, bound)
    start = tuple(map(int, (found["start"] or found["prefix"]).split(".")))

    def starts(version: CondaVersion) -> bool | None:
        if version.numbers is None or len(version.numbers) < len(start):
            return None
        return version.numbers[: len(start)] == start

    return starts

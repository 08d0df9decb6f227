"""Map conda package names to the PyPI projects they provide, and back (docs/decisions/0002-identity.md).

The relation is n:m. Each answer names its evidence; without evidence the answer is "unknown", never a guess.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from typing import Literal

from converters.deferred import dataclass, regex
from converters.errors import UnsafeInputError
from converters.projects import canonicalize_name
from converters.rules import DependencyRules

__all__ = ["Evidence", "NameMap", "Provided", "projects_of_purls"]

Evidence = Literal["purl", "name-map", "default-map", "same-name-python", "none", "unknown"]

_PROJECT = regex(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_CONDA_NAME = regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")  # CEP 26, and names of old channels
_NORMALISED = regex(r"(?![0-9a-f]{39})[a-z0-9]{1,40}(-[a-z0-9]{1,40}){0,2}\Z")  # short names; no hash
_HASH_LIKE = regex(r"[0-9a-f]{40,}\Z")
_MAX_PROJECT = 128
_UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """The PyPI projects that a conda package provides (normalised), with the evidence.

    `none`: the package is known to provide no project. `unknown`: no evidence, and no dependency on python.
    """

    projects: tuple[str, ...]
    evidence: Evidence


def _no_row(_: str) -> tuple[str, ...] | None:
    """Stand for no lookup; a function of the module, because maps cross processes."""
    return None


class NameMap:
    """An immutable table of conda name → PyPI names. `source` says where it was read."""

    __slots__ = ("_defaults", "_lookup", "_providers", "_rows", "_rules", "_unconfirmed", "rejected", "source")

    def __init__(
        self, table: Mapping[str, object], source: str, *, defaults: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Read `table`, in the form of `--name-map`: lists of names, `None` or `[]` for "provides no project".

        A row `{"unconfirmed": [PROJECT]}` is no evidence for what a conda package provides (`unconfirmed`).
        Invalid rows (a malformed name, a list of numbers, a hash as a name) are skipped and listed in `rejected`.
        `defaults` are rows for names that the table lacks. Raises `UnsafeInputError` (`name-map`) if `table` is not a
        mapping.
        """
        if not isinstance(table, Mapping):
            raise UnsafeInputError("name-map", f"{source}: a name map is an object of conda name -> list of PyPI names")
        rows: dict[str, tuple[str, ...]] = {}
        unconfirmed: dict[str, tuple[str, ...]] = {}
        rejected: list[str] = []
        for conda_name, value in table.items():
            is_unconfirmed = isinstance(value, Mapping) and value.keys() == {_UNCONFIRMED}
            row = _row(value[_UNCONFIRMED] if is_unconfirmed else value)  # type: ignore[index]
            if row is None or not _CONDA_NAME.match(str(conda_name)):
                rejected.append(str(conda_name)[:_MAX_PROJECT])
            else:
                (unconfirmed if is_unconfirmed else rows)[str(conda_name).lower()] = row
        added = {name: tuple(row) for name, row in (defaults or {}).items() if name not in rows}
        self._defaults = frozenset(added)
        self._lookup: Callable[[str], tuple[str, ...] | None] = _no_row
        self._rules = DependencyRules()
        rows |= added
        self._rows = rows
        self._unconfirmed = {name: row for name, row in unconfirmed.items() if name not in rows}
        self.source = source
        self.rejected = tuple(sorted(rejected))
        providers: dict[str, list[str]] = {}
        for conda_name, row in rows.items():
            for project in row:
                providers.setdefault(project, []).append(conda_name)
        self._providers = {project: tuple(sorted(names)) for project, names in providers.items()}

    def part(
        self, names: Collection[str], projects: Collection[str]
    ) -> tuple[dict[str, object], dict[str, Sequence[str]]]:
        """Return the rows of these names and the rows that list these projects, as (table, defaults)."""
        rows = {name: row for name, row in self._rows.items() if name in names or not set(row).isdisjoint(projects)}
        rows |= {name: row for name in names if name not in rows and (row := self._lookup(name)) is not None}
        table: dict[str, object] = {name: row for name, row in rows.items() if name not in self._defaults}
        table |= {name: {_UNCONFIRMED: row} for name, row in self._unconfirmed.items() if name in names}
        return table, {name: row for name, row in rows.items() if name in self._defaults}

    @classmethod
    def empty(cls) -> NameMap:
        """Return a map without rows."""
        return cls({}, "no name map")

    def digest(self) -> str:
        """Return a hash of all rows."""
        rows = (sorted(self._rows.items()), self._rules.digest())
        return hashlib.sha256(repr(rows if rows[1] else rows[0]).encode()).hexdigest()

    def row(self, conda_name: str) -> tuple[str, ...] | None:
        """Return the projects listed for a conda name; `()`: known to provide none; `None`: no row."""
        return self._rows[conda_name] if conda_name in self._rows else self._lookup(conda_name)

    def unconfirmed(self, conda_name: str) -> tuple[str, ...] | None:
        """Return the projects that a conda name stands for where no channel has a package of that name; else `None`.

        A converted package depends on a name that its project is presumed to have in conda. This says which project was
        meant, and nothing about a conda package that has the name.
        """
        if self.row(conda_name) is not None:
            return None
        return () if self._rules.is_of_no_project(conda_name) else self._unconfirmed.get(conda_name)

    def with_lookup(self, lookup: Callable[[str], tuple[str, ...] | None]) -> NameMap:
        """Return the same map, which asks `lookup` for the names that it lacks."""
        more = copy(self)
        more._lookup = lookup
        return more

    def with_rules(self, rules: DependencyRules) -> NameMap:
        """Return the same map, in which `rules` give names first, and the packages that they add stand for no project.

        Raises `UnsafeInputError` (`name-map`) for rows that are invalid.
        """
        if rules == DependencyRules():
            return self
        rows: dict[str, list[str]] = {}
        for project, name in rules.renames:
            if _is_project(project) and "\\" not in name:
                rows.setdefault(name, []).append(project)
        own = {name for name, projects in rows.items() if self._rows.get(name) != tuple(projects)}
        table, defaults = self.part({*self._rows, *self._unconfirmed}, ())
        kept = {name: row for name, row in defaults.items() if name not in own}
        more = NameMap({**table, **rows}, self.source, defaults=kept)
        more._lookup, more._rules = self._lookup, rules
        return more

    def providers(self, project: str) -> tuple[str, ...]:
        """Return the conda names whose row lists `project` (normalised), sorted."""
        return self._providers.get(project, ())

    def provides(self, conda_name: str, *, purls: Iterable[str] | None = None, is_python: bool) -> Provided:
        """Return what a conda record provides, by the artifact's purls, else the table, else the equal name.

        :param purls: those in the artifact's own record.
        :param is_python: whether the record depends on `python`; only then can the equal name be evidence.
        """
        named = projects_of_purls(purls or ())
        if named:
            return Provided(projects=named, evidence="purl")
        row = self._rows.get(conda_name)
        if row is not None:
            evidence: Evidence = "default-map" if conda_name in self._defaults else "name-map"
            return Provided(projects=row, evidence=evidence if row else "none")
        if is_python:
            return Provided(projects=(canonicalize_name(conda_name),), evidence="same-name-python")
        return Provided(projects=(), evidence="unknown")

    def is_known(self, project: str) -> bool:
        """Return whether a row says what the conda name of `project` is, or what the equal name means."""
        return (
            self._rules.renamed(project) is not None or bool(self.providers(project)) or self.row(project) is not None
        )

    def extended(self, rows: Mapping[str, object]) -> NameMap:
        """Return this map with `rows`, in the form of `NameMap`, for names that it lacks."""
        table, defaults = self.part({*self._rows, *(self._unconfirmed.keys() - rows.keys())}, ())
        return NameMap({**rows, **table}, self.source, defaults=defaults) if rows else self

    def native_name(self, project: str) -> str:
        """Return the conda name under which a wheel of `project` is recorded.

        This is the name that a rule gives; otherwise that of the one conda package that provides only this project;
        otherwise the project's own name; otherwise, if the table maps that name to other projects or it is the
        interpreter's, `pypi-PROJECT`, since a name must have one meaning.
        """
        ruled = self._rules.renamed(project)
        if ruled is not None:
            return ruled
        exclusive = [name for name in self.providers(project) if len(self._rows[name]) == 1]
        if len(exclusive) == 1:
            return exclusive[0]
        row = self._rows.get(project)
        is_free = project != "python" and (row is None or project in row)
        return project if is_free else f"pypi-{project}"


def projects_of_purls(purls: Iterable[str]) -> tuple[str, ...]:
    """Return the PyPI projects of package URLs (`pkg:pypi/NAME@VERSION?…`), normalised and sorted."""
    projects = set()
    for purl in purls:
        if purl.startswith("pkg:pypi/"):
            name = purl.removeprefix("pkg:pypi/").split("?")[0].split("#")[0].split("@")[0]
            if _is_project(name):
                projects.add(canonicalize_name(name))
    return tuple(sorted(projects))


def _row(value: object) -> tuple[str, ...] | None:
    """Return a table's value as normalised names; `None`: invalid."""
    if value is None:
        return ()
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str) and _NORMALISED.match(value[0]):
        return (value[0],)  # nearly all rows
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) and _is_project(name) for name in value):
        return None
    return tuple(sorted({canonicalize_name(name) for name in value}))


def _is_project(name: str) -> bool:
    return len(name) <= _MAX_PROJECT and bool(_PROJECT.match(name)) and not _HASH_LIKE.match(name)

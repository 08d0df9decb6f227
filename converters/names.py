"""Names across the two ecosystems, by evidence: which PyPI projects a conda package carries, and the reverse.

The relation is n:m. Every answer says on what it rests, and "unknown" is an answer: a name that nobody vouches for is
never guessed (docs/decisions/0002-identity.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from packaging.utils import canonicalize_name

from converters.errors import UnsafeInputError

__all__ = ["Evidence", "NameMap", "Provided", "projects_of_purls"]

Evidence = Literal["purl", "name-map", "default-map", "same-name-python", "none", "unknown"]

_PROJECT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
_CONDA_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")  # CEP 26, and what old channels hold
_HASH_LIKE = re.compile(r"[0-9a-f]{40,}\Z")
_MAX_PROJECT = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Provided:
    """PyPI projects that a conda package carries (normalised), and on what the answer rests.

    `none`: known to carry no project. `unknown`: nobody says anything, and the package does not depend on python.
    """

    projects: tuple[str, ...]
    evidence: Evidence


class NameMap:
    """conda name → PyPI names, as a table with its origin. Immutable."""

    __slots__ = ("_defaults", "_providers", "_rows", "rejected", "source")

    def __init__(
        self, table: Mapping[str, object], source: str, *, defaults: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Take `table` as the JSON of `--name-map` has it: a list of names, `None` or `[]` for "known to have none".

        Rows that make no sense (a name of the wrong form, a list of numbers, a name that is a hash) are left out and
        named in `rejected`. `defaults` are rows for names of which the table has none. Raises `UnsafeInputError`
        (`name-map`) if `table` is no mapping.
        """
        if not isinstance(table, Mapping):
            raise UnsafeInputError("name-map", f"{source}: a name map is an object of conda name -> list of PyPI names")
        rows: dict[str, tuple[str, ...]] = {}
        rejected: list[str] = []
        for conda_name, value in table.items():
            row = _row(value)
            if row is None or not _CONDA_NAME.match(str(conda_name)):
                rejected.append(str(conda_name)[:_MAX_PROJECT])
            else:
                rows[str(conda_name).lower()] = row
        added = {name: tuple(row) for name, row in (defaults or {}).items() if name not in rows}
        self._defaults = frozenset(added)
        rows |= added
        self._rows = rows
        self.source = source
        self.rejected = tuple(sorted(rejected))
        providers: dict[str, list[str]] = {}
        for conda_name, row in rows.items():
            for project in row:
                providers.setdefault(project, []).append(conda_name)
        self._providers = {project: tuple(sorted(names)) for project, names in providers.items()}

    def part(
        self, names: Collection[str], projects: Collection[str]
    ) -> tuple[dict[str, Sequence[str]], dict[str, Sequence[str]]]:
        """The rows of these names and those that list one of these projects: of the table, and of its defaults."""
        rows = {name: row for name, row in self._rows.items() if name in names or not set(row).isdisjoint(projects)}
        table: dict[str, Sequence[str]] = {name: row for name, row in rows.items() if name not in self._defaults}
        return table, {name: row for name, row in rows.items() if name in self._defaults}

    @classmethod
    def empty(cls) -> NameMap:
        """The map that knows nothing."""
        return cls({}, "no name map")

    def digest(self) -> str:
        """A hash of all rows: equal maps have equal ones."""
        return hashlib.sha256(repr(sorted(self._rows.items())).encode()).hexdigest()

    def row(self, conda_name: str) -> tuple[str, ...] | None:
        """The projects the table gives for a conda name; `()`: known to have none; `None`: no row."""
        return self._rows.get(conda_name)

    def providers(self, project: str) -> tuple[str, ...]:
        """The conda names whose row names `project` (normalised), sorted."""
        return self._providers.get(project, ())

    def provides(self, conda_name: str, *, purls: Iterable[str] | None = None, is_python: bool) -> Provided:
        """What a conda record carries. The artifact's purls beat the table; the table beats the equal name.

        :param purls: of the artifact itself, where its record has any.
        :param is_python: whether the record depends on `python`: without a row, only then is its own name a project.
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

    def native_name(self, project: str) -> str:
        """The conda name under which a wheel of `project` is recorded.

        It is the one conda package that carries this project and nothing else; else the project's own name, unless the
        table says that this conda name is something else: then `pypi-PROJECT`, so that two things never share a name.
        """
        alone = [name for name in self.providers(project) if len(self._rows[name]) == 1]
        if len(alone) == 1:
            return alone[0]
        row = self._rows.get(project)
        return project if row is None or project in row else f"pypi-{project}"


def projects_of_purls(purls: Iterable[str]) -> tuple[str, ...]:
    """The PyPI projects named by package URLs (`pkg:pypi/NAME@VERSION?…`), normalised and sorted."""
    found = set()
    for purl in purls:
        if purl.startswith("pkg:pypi/"):
            name = purl.removeprefix("pkg:pypi/").split("?")[0].split("#")[0].split("@")[0]
            if _is_project(name):
                found.add(canonicalize_name(name))
    return tuple(sorted(found))


def _row(value: object) -> tuple[str, ...] | None:
    """A table's value as normalised names; `None` where it makes no sense."""
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) and _is_project(name) for name in value):
        return None
    return tuple(sorted({canonicalize_name(name) for name in value}))


def _is_project(name: str) -> bool:
    return len(name) <= _MAX_PROJECT and bool(_PROJECT.match(name)) and not _HASH_LIKE.match(name)

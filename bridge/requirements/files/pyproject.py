"""pyproject.toml: what a project requires (PEP 621), its extras by name, its dependency groups by name (PEP 735)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement as Pep508
from packaging.utils import canonicalize_name

from bridge.errors import UsageError
from bridge.requirements.algebra import MAX_TEXT, Requirement, parse_pypi
from bridge.requirements.files.values import FileRequirements, unique, wrong

__all__ = ["read_pyproject"]

MAX_EXTRAS = 1_000  # that one asks for, by way of others and under whatever conditions

_GROUPS = "dependency-groups"
_EXTRAS = "project.optional-dependencies"


def read_pyproject(
    path: Path, document: Mapping[str, object], extras: Sequence[str], groups: Sequence[str]
) -> FileRequirements:
    """What the tables of a pyproject.toml ask for. Raises `UsageError` (`requirement-file`)."""
    project = document.get("project")
    if project is None and not groups:
        raise wrong(
            path,
            None,
            "it has no [project] table, so it says nothing of what it requires in a way that every tool can read",
            hint="add [project] with its dependencies (PEP 621), or name a dependency group",
        )
    if not isinstance(project, (dict, type(None))):
        raise wrong(path, "project", "a table was expected")
    # PEP 735: a group stands beside the project, and is had without it.
    is_asked = project is not None and (extras or not groups)
    found = list(_Project(path, project).requirements(extras)) if project is not None and is_asked else []
    if project is None and extras:
        raise wrong(path, None, f"it has no [project] table, hence no extra {extras[0]!r}")
    found += _Groups(path, document.get(_GROUPS, {})).requirements(groups)
    requires_python = None if project is None else project.get("requires-python")
    if not isinstance(requires_python, (str, type(None))):
        raise wrong(path, "project.requires-python", "a text was expected")
    return FileRequirements(requirements=unique(found), requires_python=requires_python)


def parse(text: object, path: Path, where: str) -> Requirement:
    """One requirement. Raises `UsageError` (`requirement-file`)."""
    if not isinstance(text, str):
        raise wrong(path, where, "a requirement was expected: a text")
    try:
        return parse_pypi(text)
    except UsageError as error:
        raise wrong(path, where, error.message, context=error.context) from error


def _texts(value: object, path: Path, where: str) -> list[object]:
    if not isinstance(value, list):
        raise wrong(path, where, "a list was expected")
    return value


class _Project:
    """The [project] table, and its extras, which may name one another through the project itself."""

    def __init__(self, path: Path, table: Mapping[str, object]) -> None:
        self._path = path
        self._table = table
        name = table.get("name")
        self._name = canonicalize_name(name) if isinstance(name, str) else None
        dynamic = table.get("dynamic", [])
        self._dynamic = set(map(str, dynamic)) if isinstance(dynamic, list) else set()
        optional = table.get("optional-dependencies", {})
        if not isinstance(optional, dict):
            raise wrong(path, _EXTRAS, "a table was expected")
        self._extras = {canonicalize_name(extra): (extra, value) for extra, value in optional.items()}

    def requirements(self, extras: Sequence[str]) -> Iterator[Requirement]:
        """What the project requires, with these extras of its own."""
        self._check_static("dependencies")
        yield from self._read(self._table.get("dependencies", []), "project.dependencies", "", set())
        for extra in extras:
            yield from self._extra(extra, "", set())

    def _check_static(self, field: str) -> None:
        if field in self._dynamic:
            hint = "build the project's wheel (python -m build --wheel), and require that by its path"
            raise wrong(self._path, "project.dynamic", f"its {field} are known only once it is built", hint=hint)

    def _extra(self, extra: str, marker: str, seen: set[str]) -> Iterator[Requirement]:
        wanted = canonicalize_name(extra)
        if wanted not in self._extras:
            self._check_static("optional-dependencies")
            known = ", ".join(sorted(spelled for spelled, _ in self._extras.values())) or "none"
            raise wrong(self._path, _EXTRAS, f"there is no extra {extra!r}", context=(f"extras: {known}",))
        if f"{wanted};{marker}" not in seen:
            seen.add(f"{wanted};{marker}")
            spelled, value = self._extras[wanted]
            yield from self._read(value, f"{_EXTRAS}.{spelled}", marker, seen)

    def _read(self, value: object, where: str, marker: str, seen: set[str]) -> Iterator[Requirement]:
        """The requirements of one list; what names the project itself stands for the extras it asks of it."""
        for place, text in enumerate(_texts(value, self._path, where)):
            here = f"{where}[{place}]"
            requirement = parse(text, self._path, here)
            conditions = [part for part in (marker, str(requirement.marker or "")) if part]
            condition = " and ".join(f"({part})" for part in conditions) if len(conditions) > 1 else "".join(conditions)
            if len(condition) > MAX_TEXT or len(seen) > MAX_EXTRAS:
                raise wrong(self._path, here, "its extras lead to one another without an end")
            if requirement.name == self._name:
                for extra in requirement.extras:
                    yield from self._extra(extra, condition, seen)
            elif marker:
                bare = Pep508(requirement.text.removeprefix("pypi:"))
                bare.marker = None
                yield parse(f"{bare} ; {condition}", self._path, here)
            else:
                yield requirement


class _Groups:
    """The [dependency-groups] table (PEP 735)."""

    def __init__(self, path: Path, table: object) -> None:
        self._path = path
        if not isinstance(table, dict):
            raise wrong(path, _GROUPS, "a table was expected")
        self._groups: dict[str, tuple[str, object]] = {}
        for group, value in table.items():
            normal = canonicalize_name(group)
            if normal in self._groups:
                raise wrong(path, _GROUPS, f"{self._groups[normal][0]!r} and {group!r} are one name, given twice")
            self._groups[normal] = (group, value)
        self._done: set[str] = set()

    def requirements(self, groups: Sequence[str]) -> list[Requirement]:
        """What these groups hold, what they include included, each group once."""
        return [requirement for group in groups for requirement in self._read(group, _GROUPS, ())]

    def _read(self, group: str, where: str, including: tuple[str, ...]) -> Iterator[Requirement]:
        wanted = canonicalize_name(group)
        if wanted not in self._groups:
            known = ", ".join(sorted(spelled for spelled, _ in self._groups.values())) or "none"
            raise wrong(self._path, where, f"there is no dependency group {group!r}", context=(f"groups: {known}",))
        if wanted in including:
            chain = " -> ".join((*including[including.index(wanted) :], wanted))
            raise wrong(self._path, where, f"dependency groups include one another in a circle: {chain}")
        if wanted in self._done:
            return
        if len(including) > 100:
            raise wrong(self._path, where, "dependency groups include one another more than 100 deep")
        spelled, value = self._groups[wanted]
        for place, entry in enumerate(_texts(value, self._path, f"{_GROUPS}.{spelled}")):
            here = f"{_GROUPS}.{spelled}[{place}]"
            if isinstance(entry, dict):
                included = entry.get("include-group")
                if list(entry) != ["include-group"] or not isinstance(included, str):
                    raise wrong(self._path, here, 'a requirement, or {include-group = "NAME"}, was expected')
                yield from self._read(included, here, (*including, wanted))
            else:
                yield parse(entry, self._path, here)
        self._done.add(wanted)

"""[project] of a pyproject.toml (PEP 621) with its extras, and [dependency-groups] (PEP 735)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement as Pep508

from bridge.requirements.algebra import MAX_TEXT, Requirement, split_binding
from bridge.requirements.files import fields
from bridge.requirements.files.constructs import Section, describes, honoured
from bridge.requirements.files.values import wrong
from converters.projects import canonicalize_name

__all__ = ["GROUP_ENTRY", "PROJECT", "Groups", "Project"]

MAX_EXTRAS = 1_000  # that one asks for, by way of others and under whatever conditions

_GROUPS = "dependency-groups"
_EXTRAS = "project.optional-dependencies"
_METADATA = describes("metadata of the project")

PROJECT = Section(
    name="project",
    keys={
        "dependencies": honoured("what the project requires"),
        "optional-dependencies": honoured("its extras, where `--extra` asks for them"),
        "requires-python": honoured("the python must fit"),
        "dynamic": honoured("dependencies and extras that it names are read from the metadata that a build writes"),
        "name": honoured("an extra may name others through it"),
        **dict.fromkeys(
            (
                "version", "description", "readme", "license", "license-files", "authors", "maintainers", "keywords",
                "classifiers", "urls", "scripts", "gui-scripts", "entry-points", "import-names", "import-namespaces",
            ),
            _METADATA,
        ),
    },
)  # fmt: skip
GROUP_ENTRY = Section(
    name="dependency-groups entry",
    keys={"include-group": honoured("another group")},
    unknown="refused",
)


def _list(value: object, path: Path, where: str) -> list[object]:
    if value is None:
        raise wrong(path, where, "a list was expected")
    return fields.items(value, path, where)


class Project:
    """The [project] table and its extras, which may name one another through the project itself."""

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

    def is_dynamic(self, extras: Sequence[str]) -> bool:
        """Return whether only a build tells what the project requires with these extras."""
        unknown = any(canonicalize_name(extra) not in self._extras for extra in extras)
        return "dependencies" in self._dynamic or (unknown and "optional-dependencies" in self._dynamic)

    def itself(self, extras: Sequence[str]) -> Requirement:
        """Return the requirement of the project in its folder."""
        if self._name is None:
            raise wrong(self._path, "project.name", "a project has a name (PEP 621)")
        bracketed = f"[{','.join(extras)}]" if extras else ""
        url = self._path.absolute().parent.as_uri()
        return fields.pypi(f"{self._name}{bracketed} @ {url}", self._path, "project.name")

    def requirements(self, extras: Sequence[str], *, is_whole: bool = True) -> Iterator[Requirement]:
        """Yield what the project requires (unless `is_whole` is false), and what these extras of its own do."""
        if is_whole:
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
        """Yield the requirements of one list; an entry that names the project itself stands for its extras."""
        for place, text in enumerate(_list(value, self._path, where)):
            here = f"{where}[{place}]"
            requirement = fields.pypi(text, self._path, here)
            conditions = [part for part in (marker, str(requirement.marker or "")) if part]
            condition = " and ".join(f"({part})" for part in conditions) if len(conditions) > 1 else "".join(conditions)
            if len(condition) > MAX_TEXT or len(seen) > MAX_EXTRAS:
                raise wrong(self._path, here, "its extras lead to one another without an end")
            if requirement.name == self._name:
                for extra in requirement.extras:
                    yield from self._extra(extra, condition, seen)
            elif marker:
                bare = Pep508(split_binding(requirement.text)[1])
                bare.marker = None
                yield fields.pypi(f"{bare} ; {condition}", self._path, here)
            else:
                yield requirement


class Groups:
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
        """Return what these groups and the groups in them hold, each group once."""
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
        for place, entry in enumerate(_list(value, self._path, f"{_GROUPS}.{spelled}")):
            here = f"{_GROUPS}.{spelled}[{place}]"
            if isinstance(entry, dict):
                included = GROUP_ENTRY.check(entry, self._path, here, []).get("include-group")
                if not isinstance(included, str):
                    raise wrong(self._path, here, 'a requirement, or {include-group = "NAME"}, was expected')
                yield from self._read(included, here, (*including, wanted))
            else:
                yield fields.pypi(entry, self._path, here)
        self._done.add(wanted)

"""[project] of a pyproject.toml (PEP 621) with its extras, and [dependency-groups] (PEP 735)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from packaging.requirements import Requirement as Pep508

from bridge.requirements.algebra import MAX_TEXT, Requirement, split_binding
from bridge.requirements.files.constructs import Section, describes, honoured
from bridge.requirements.files.fields import Field
from converters.projects import canonicalize_name

__all__ = ["GROUP_ENTRY", "PROJECT", "Groups", "Project"]

MAX_EXTRAS = 1_000  # that one asks for, by way of others and under whatever conditions

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


def _list(field: Field) -> list[Field]:
    if field.value is None:
        raise field.wrong("a list was expected")
    return field.items()


def _names(table: Field) -> str:
    """Return the names of extras or groups as the file spells them."""
    return ", ".join(sorted(table.table())) or "none"


class Project:
    """The [project] table and its extras, which may name one another through the project itself."""

    def __init__(self, table: Field) -> None:
        self._table = table
        name, dynamic = table["name"].value, table["dynamic"].value
        self._name = canonicalize_name(name) if isinstance(name, str) else None
        self._dynamic = set(map(str, dynamic)) if isinstance(dynamic, list) else set()
        self._optional = table["optional-dependencies"]
        self._extras = {canonicalize_name(extra): each for extra, each in self._optional.entries()}

    def is_dynamic(self, extras: Sequence[str]) -> bool:
        """Return whether only a build tells what the project requires with these extras."""
        unknown = any(canonicalize_name(extra) not in self._extras for extra in extras)
        return "dependencies" in self._dynamic or (unknown and "optional-dependencies" in self._dynamic)

    def itself(self, extras: Sequence[str]) -> Requirement:
        """Return the requirement of the project in its folder."""
        if self._name is None:
            raise self._table["name"].wrong("a project has a name (PEP 621)")
        bracketed = f"[{','.join(extras)}]" if extras else ""
        url = self._table.path.absolute().parent.as_uri()
        return self._table["name"].holding(f"{self._name}{bracketed} @ {url}").pypi()

    def requirements(self, extras: Sequence[str], *, is_whole: bool = True) -> Iterator[Requirement]:
        """Yield what the project requires (unless `is_whole` is false), and what these extras of its own do."""
        if is_whole:
            self._check_static("dependencies")
            if "dependencies" in self._table:
                yield from self._read(self._table["dependencies"], "", set())
        for extra in extras:
            yield from self._extra(extra, "", set())

    def _check_static(self, name: str) -> None:
        if name in self._dynamic:
            hint = "build the project's wheel (python -m build --wheel), and require that by its path"
            raise self._table["dynamic"].wrong(f"its {name} are known only once it is built", hint=hint)

    def _extra(self, extra: str, marker: str, seen: set[str]) -> Iterator[Requirement]:
        wanted = canonicalize_name(extra)
        if wanted not in self._extras:
            self._check_static("optional-dependencies")
            known = f"extras: {_names(self._optional)}"
            raise self._optional.wrong(f"there is no extra {extra!r}", context=(known,))
        if f"{wanted};{marker}" not in seen:
            seen.add(f"{wanted};{marker}")
            yield from self._read(self._extras[wanted], marker, seen)

    def _read(self, listed: Field, marker: str, seen: set[str]) -> Iterator[Requirement]:
        """Yield the requirements of one list; an entry that names the project itself stands for its extras."""
        for each in _list(listed):
            requirement = each.pypi()
            conditions = [part for part in (marker, str(requirement.marker or "")) if part]
            condition = " and ".join(f"({part})" for part in conditions) if len(conditions) > 1 else "".join(conditions)
            if len(condition) > MAX_TEXT or len(seen) > MAX_EXTRAS:
                raise each.wrong("its extras lead to one another without an end")
            if requirement.name == self._name:
                for extra in requirement.extras:
                    yield from self._extra(extra, condition, seen)
            elif marker:
                bare = Pep508(split_binding(requirement.text)[1])
                bare.marker = None
                yield each.holding(f"{bare} ; {condition}").pypi()
            else:
                yield requirement


class Groups:
    """The [dependency-groups] table (PEP 735)."""

    def __init__(self, table: Field) -> None:
        self._table = table
        self._groups: dict[str, Field] = {}
        for group, each in table.entries():
            normal = canonicalize_name(group)
            if normal in self._groups:
                known = next(name for name in table.table() if canonicalize_name(name) == normal)
                raise table.wrong(f"{known!r} and {group!r} are one name, given twice")
            self._groups[normal] = each
        self._done: set[str] = set()

    def requirements(self, groups: Sequence[str]) -> list[Requirement]:
        """Return what these groups and the groups in them hold, each group once."""
        return [requirement for group in groups for requirement in self._read(group, self._table, ())]

    def _read(self, group: str, by: Field, including: tuple[str, ...]) -> Iterator[Requirement]:
        wanted = canonicalize_name(group)
        if wanted not in self._groups:
            known = f"groups: {_names(self._table)}"
            raise by.wrong(f"there is no dependency group {group!r}", context=(known,))
        if wanted in including:
            chain = " -> ".join((*including[including.index(wanted) :], wanted))
            raise by.wrong(f"dependency groups include one another in a circle: {chain}")
        if wanted in self._done:
            return
        if len(including) > 100:
            raise by.wrong("dependency groups include one another more than 100 deep")
        for entry in _list(self._groups[wanted]):
            if isinstance(entry.value, dict):
                included = GROUP_ENTRY.check(entry, [])["include-group"].value
                if not isinstance(included, str):
                    raise entry.wrong('a requirement, or {include-group = "NAME"}, was expected')
                yield from self._read(included, entry, (*including, wanted))
            else:
                yield entry.pypi()
        self._done.add(wanted)

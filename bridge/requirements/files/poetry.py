"""[tool.poetry] of a pyproject.toml: dependencies, groups, extras and sources (Poetry 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.requirements.algebra import Requirement
from bridge.requirements.files import fields
from bridge.requirements.files.constructs import Section, describes, honoured, ignored, refused
from bridge.requirements.files.origins import Origin, sourced
from bridge.requirements.files.poetry_versions import marker_of_platform, marker_of_python, specifier_of
from bridge.requirements.files.values import Chosen, FileRequirements, unique, wrong
from converters.projects import canonicalize_name

__all__ = ["DEPENDENCY", "GROUP", "POETRY", "SOURCE", "Poetry", "read_poetry"]

_HERE = "tool.poetry"
_METADATA = describes("metadata of the project, and how it is built")

POETRY = Section(
    name="tool.poetry",
    keys={
        "dependencies": honoured("what the project requires; beside [project], where its requirements come from"),
        "group": honoured("dependency groups, where `--group` asks for them"),
        "dev-dependencies": honoured("the group `dev`"),
        "extras": honoured("optional dependencies, where `--extra` asks for them"),
        "source": honoured("indexes, by their priorities"),
        "package-mode": ignored("a project is installed where its folder is named"),
        "requires-poetry": ignored("it is the version of poetry itself"),
        "requires-plugins": ignored("they are plugins of poetry"),
        "build-constraints": ignored("they constrain builds, not what is installed"),
        **dict.fromkeys(
            (
                "name", "version", "description", "license", "authors", "maintainers", "readme", "homepage",
                "repository", "documentation", "keywords", "classifiers", "packages", "include", "exclude", "scripts",
                "plugins", "urls", "build",
            ),
            _METADATA,
        ),
    },
)  # fmt: skip
GROUP = Section(
    name="tool.poetry.group.NAME",
    keys={
        "dependencies": honoured("what the group asks for"),
        "optional": honoured(
            "every group is optional: `--group` asks for it; a message names those that poetry installs by default"
        ),
        "include-groups": honoured("further groups"),
    },
    unknown="refused",
)
DEPENDENCY = Section(
    name="tool.poetry.dependencies.NAME",
    keys={
        "version": honoured("a constraint: `^`, `~`, `*` and PEP 440"),
        "extras": honoured("its extras"),
        "optional": honoured("only where an extra names it"),
        "python": honoured("a marker of the python"),
        "platform": honoured("a marker of the platform"),
        "markers": honoured("a PEP 508 marker"),
        "source": honoured("the only index that may serve it"),
        "git": honoured("a repository"),
        "branch": honoured("its branch"),
        "tag": honoured("its tag"),
        "rev": honoured("its commit"),
        "subdirectory": honoured("of a repository or an archive"),
        "path": honoured("a folder, a wheel or a source distribution"),
        "develop": honoured("installed as a link to the folder"),
        "url": honoured("a wheel or a source distribution"),
        "file": honoured("a file, as `path`"),
        "allow-prereleases": ignored("name a pre-release in the version, or use --pre"),
        "allows-prereleases": ignored("name a pre-release in the version, or use --pre"),
    },
    unknown="refused",
)
SOURCE = Section(
    name="tool.poetry.source",
    keys={
        "name": honoured("the name that dependencies use"),
        "url": honoured("its URL"),
        "priority": honoured("`explicit` serves only what names it; `primary` replaces the configured indexes"),
        "default": honoured('the former `priority = "default"`'),
        "secondary": honoured('the former `priority = "supplemental"`'),
        "links": refused("name the page with --find-links"),
    },
    unknown="refused",
)

_PRIORITIES = ("default", "primary", "secondary", "supplemental", "explicit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Poetry:
    """What [tool.poetry] asks for, and where the projects that [project] asks for come from.

    :param extras: the normalised names of its extras. `groups`: of its groups.
    """

    found: FileRequirements = field(default_factory=FileRequirements)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    extras: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()

    def sourced(self, path: Path, requirements: Iterable[Requirement]) -> Iterator[Requirement]:
        """Bind each requirement to its origin. Raises `UsageError` (`requirement-file`)."""
        for requirement in requirements:
            origin = self.origins.get(requirement.name, Origin())
            yield sourced(requirement, origin, path, f"{_HERE}.dependencies.{requirement.name}")


def read_poetry(path: Path, value: object, chosen: Chosen, *, has_project: bool, is_asked: bool) -> Poetry:
    """Read [tool.poetry]. Raises `UsageError` (`requirement-file`).

    :param has_project: [project] has the dependencies; those here only say where they come from (Poetry 2).
    :param is_asked: the project is asked for, not its groups alone.
    """
    warnings: list[str] = []
    table = POETRY.check(value, path, _HERE, warnings)
    reading = _Reading(path, warnings, _Sources(path, table.get("source"), warnings))
    extras = {} if has_project else _extras(table, path)
    optional = _optional(extras, path, chosen)
    requirements: list[Requirement] = []
    origins: dict[str, Origin] = {}
    requires_python = None
    for name, entry in fields.table(table.get("dependencies"), path, f"{_HERE}.dependencies").items():
        where = f"{_HERE}.dependencies.{name}"
        if name == "python":
            requires_python = reading.python(entry, where)
        elif has_project:
            for each in reading.tables(entry, where):
                origins[canonicalize_name(name)] = reading.origin(each, where)
        elif is_asked:
            requirements += reading.dependency(name, entry, where, optional)
    groups = _Groups(reading, table, chosen)
    requirements += groups.requirements()
    settings = FileRequirements(
        requirements=unique(requirements),
        requires_python=requires_python,
        index_url=reading.sources.index_url,
        extra_index_urls=reading.sources.extra,
        project_indexes=reading.indexes | {name: each.index for name, each in origins.items() if each.index},
        warnings=tuple(warnings),
    )
    return Poetry(found=settings, origins=origins, extras=frozenset(extras), groups=groups.names)


def _extras(table: Mapping[str, object], path: Path) -> dict[str, frozenset[str]]:
    """Return the extras and the optional projects that each names."""
    where = f"{_HERE}.extras"
    extras: dict[str, frozenset[str]] = {}
    for extra, value in fields.table(table.get("extras"), path, where).items():
        named = fields.texts(value, path, f"{where}.{extra}")
        extras[canonicalize_name(extra)] = frozenset(canonicalize_name(name) for name in named)
    return extras


def _optional(extras: Mapping[str, frozenset[str]], path: Path, chosen: Chosen) -> frozenset[str]:
    """Return the optional projects that the chosen extras name."""
    named: set[str] = set()
    for extra in chosen.extras:
        if canonicalize_name(extra) in extras:
            named |= extras[canonicalize_name(extra)]
        elif extras:
            known = f"extras: {', '.join(sorted(extras))}"
            raise wrong(path, f"{_HERE}.extras", f"there is no extra {extra!r}", context=(known,))
    return frozenset(named)


class _Sources:
    """[[tool.poetry.source]]: the indexes in the order in which they are asked."""

    def __init__(self, path: Path, value: object, warnings: list[str]) -> None:
        self.by_name: dict[str, str] = {}
        ranked: dict[str, list[str]] = {priority: [] for priority in _PRIORITIES}
        for place, entry in enumerate(fields.items(value, path, f"{_HERE}.source")):
            where = f"{_HERE}.source[{place}]"
            table = SOURCE.check(entry, path, where, warnings)
            name = fields.text(table.get("name"), path, f"{where}.name")
            priority = str(table.get("priority", "primary")).lower()
            priority = "default" if table.get("default") else "secondary" if table.get("secondary") else priority
            if priority not in ranked:
                hint = f"known: {', '.join(_PRIORITIES)}"
                raise wrong(path, f"{where}.priority", f"bridge does not support {priority!r}", hint=hint)
            if name.lower() == "pypi" and "url" not in table:
                self.by_name[name] = ""  # the configured indexes
                continue
            self.by_name[name] = fields.text(table.get("url"), path, f"{where}.url")
            ranked[priority].append(self.by_name[name])
        replacing = [*ranked["default"], *ranked["primary"]]
        has_pypi = any(not url for url in self.by_name.values())
        further = [*ranked["secondary"], *ranked["supplemental"]]
        self.index_url = replacing[0] if replacing and not has_pypi else None
        self.extra = tuple([*replacing[1:], *further] if self.index_url else [*replacing, *further])


@dataclass(slots=True)
class _Reading:
    path: Path
    warnings: list[str]
    sources: _Sources
    indexes: dict[str, str] = field(default_factory=dict)

    def tables(self, entry: object, where: str) -> Iterator[Mapping[str, object]]:
        """Yield the tables of one dependency: one, or several with markers that exclude each other."""
        for each in entry if isinstance(entry, list) else [entry]:
            table = {"version": each} if isinstance(each, str) else each
            yield DEPENDENCY.check(table, self.path, where, self.warnings)

    def dependency(
        self, name: str, entry: object, where: str, optional: frozenset[str] = frozenset()
    ) -> Iterator[Requirement]:
        for table in self.tables(entry, where):
            is_optional = fields.flag(table.get("optional"), self.path, f"{where}.optional")
            if not is_optional or canonicalize_name(name) in optional:
                yield self._requirement(name, table, where)

    def _requirement(self, name: str, table: Mapping[str, object], where: str) -> Requirement:
        extras = fields.texts(table.get("extras"), self.path, f"{where}.extras")
        bracketed = f"[{','.join(extras)}]" if extras else ""
        try:
            marker = self._marker(table, where)
            specifier = specifier_of(self._text(table, "version", where) or "*")
        except ValueError as error:
            raise wrong(self.path, where, str(error)) from error
        text = f"{name}{bracketed}{specifier}{f' ; {marker}' if marker else ''}"
        requirement = fields.pypi(text, self.path, where)
        origin = self.origin(table, where)
        if origin.index:
            self.indexes[requirement.name] = origin.index
        return sourced(requirement, origin, self.path, where)

    def _text(self, table: Mapping[str, object], key: str, where: str) -> str | None:
        return fields.text(table[key], self.path, f"{where}.{key}") if key in table else None

    def _marker(self, table: Mapping[str, object], where: str) -> str:
        """Return the markers of a table joined. Raises `ValueError`."""
        python, platform = self._text(table, "python", where), self._text(table, "platform", where)
        parts = [
            self._text(table, "markers", where) or "",
            marker_of_python(python) if python else "",
            marker_of_platform(platform) if platform else "",
        ]
        given = [part for part in parts if part]
        return " and ".join(f"({part})" for part in given) if len(given) > 1 else "".join(given)

    def origin(self, table: Mapping[str, object], where: str) -> Origin:
        source = self._text(table, "source", where)
        if source is not None and source not in self.sources.by_name:
            if source.lower() != "pypi":
                known = ", ".join(sorted(self.sources.by_name)) or "none"
                problem = f"no [[tool.poetry.source]] has the name {source!r}"
                raise wrong(self.path, where, problem, context=(f"sources: {known}",))
            source = None
        revisions = [revision for key in ("rev", "tag", "branch") if (revision := self._text(table, key, where))]
        return Origin(
            index=(self.sources.by_name[source] or None) if source is not None else None,
            git=self._text(table, "git", where),
            revision=revisions[0] if revisions else None,
            location=self._text(table, "path", where) or self._text(table, "file", where),
            url=self._text(table, "url", where),
            subdirectory=self._text(table, "subdirectory", where),
            is_editable=fields.flag(table.get("develop"), self.path, f"{where}.develop"),
        )

    def python(self, value: object, where: str) -> str | None:
        """Return the constraint on the python as a specifier; `None` for any."""
        text = fields.text(value.get("version") if isinstance(value, dict) else value, self.path, where)
        try:
            return specifier_of(text) or None
        except ValueError as error:
            raise wrong(self.path, where, str(error)) from error


class _Groups:
    """[tool.poetry.group.NAME], and `dev-dependencies` as the group `dev`."""

    def __init__(self, reading: _Reading, table: Mapping[str, object], chosen: Chosen) -> None:
        self._reading = reading
        path = reading.path
        self._groups: dict[str, tuple[Mapping[str, object], str]] = {}
        if "dev-dependencies" in table:
            where = f"{_HERE}.dev-dependencies"
            self._groups["dev"] = ({"dependencies": table["dev-dependencies"]}, where)
        for name, value in fields.table(table.get("group"), path, f"{_HERE}.group").items():
            where = f"{_HERE}.group.{name}"
            self._groups[canonicalize_name(name)] = (GROUP.check(value, path, where, reading.warnings), where)
        self._asked = {canonicalize_name(group) for group in chosen.groups}
        self.names = frozenset(self._groups)

    def requirements(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        done: set[str] = set()
        for name, (table, where) in self._groups.items():
            if name in self._asked:
                requirements += self._read(name, done, ())
            elif not table.get("optional"):
                self._reading.warnings.append(f"{self._reading.path}: {where} is left out; --group {name} asks for it")
        return requirements

    def _read(self, name: str, done: set[str], including: Sequence[str]) -> Iterator[Requirement]:
        if name in including or name not in self._groups:
            problem = f"group {name!r} includes itself" if name in including else f"there is no group {name!r}"
            raise wrong(self._reading.path, f"{_HERE}.group", problem)
        if name in done:
            return
        done.add(name)
        table, where = self._groups[name]
        for further in fields.texts(table.get("include-groups"), self._reading.path, f"{where}.include-groups"):
            yield from self._read(canonicalize_name(further), done, (*including, name))
        dependencies = fields.table(table.get("dependencies"), self._reading.path, f"{where}.dependencies")
        for project, entry in dependencies.items():
            yield from self._reading.dependency(project, entry, f"{where}.dependencies.{project}")

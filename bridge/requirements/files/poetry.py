"""[tool.poetry] of a pyproject.toml: dependencies, groups, extras and sources (Poetry 1 and 2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bridge.requirements.algebra import Requirement
from bridge.requirements.files.constructs import Section, describes, honoured, ignored, refused
from bridge.requirements.files.fields import Field
from bridge.requirements.files.origins import Origin, sourced
from bridge.requirements.files.poetry_versions import marker_of_platform, marker_of_python, specifier_of
from bridge.requirements.files.values import Chosen, FileRequirements, unique
from converters.projects import canonicalize_name

__all__ = ["DEPENDENCY", "GROUP", "POETRY", "SOURCE", "Poetry", "read_poetry"]

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

    def sourced(self, requirements: Iterable[Requirement], table: Field) -> Iterator[Requirement]:
        """Bind each requirement to its origin in [tool.poetry]. Raises `UsageError` (`requirement-file`)."""
        for requirement in requirements:
            origin = self.origins.get(requirement.name, Origin())
            yield sourced(requirement, origin, table["dependencies"][requirement.name])


def read_poetry(field: Field, chosen: Chosen, *, has_project: bool, is_asked: bool) -> Poetry:
    """Read [tool.poetry]. Raises `UsageError` (`requirement-file`).

    :param has_project: [project] has the dependencies; those here only say where they come from (Poetry 2).
    :param is_asked: the project is asked for, not its groups alone.
    """
    warnings: list[str] = []
    table = POETRY.check(field, warnings)
    reading = _Reading(warnings, _Sources(table["source"], warnings))
    extras = {} if has_project else _extras(table["extras"])
    optional = _optional(extras, table["extras"], chosen)
    requirements: list[Requirement] = []
    origins: dict[str, Origin] = {}
    requires_python = None
    for name, entry in table["dependencies"].entries():
        if name == "python":
            requires_python = _python(entry)
        elif has_project:
            for each in reading.tables(entry):
                origins[canonicalize_name(name)] = reading.origin(each)
        elif is_asked:
            requirements += reading.dependency(name, entry, optional)
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


def _extras(table: Field) -> dict[str, frozenset[str]]:
    """Return the extras and the optional projects that each names."""
    return {
        canonicalize_name(extra): frozenset(map(canonicalize_name, named.texts())) for extra, named in table.entries()
    }


def _optional(extras: Mapping[str, frozenset[str]], table: Field, chosen: Chosen) -> frozenset[str]:
    """Return the optional projects that the chosen extras name."""
    named: set[str] = set()
    for extra in chosen.extras:
        if canonicalize_name(extra) in extras:
            named |= extras[canonicalize_name(extra)]
        elif extras:
            raise table.wrong(f"there is no extra {extra!r}", context=(f"extras: {', '.join(sorted(extras))}",))
    return frozenset(named)


def _python(field: Field) -> str | None:
    """Return the constraint on the python as a specifier; `None` for any."""
    text = field.holding(field.value.get("version") if isinstance(field.value, dict) else field.value).text()
    try:
        return specifier_of(text) or None
    except ValueError as error:
        raise field.wrong(str(error)) from error


class _Sources:
    """[[tool.poetry.source]]: the indexes in the order in which they are asked."""

    def __init__(self, listed: Field, warnings: list[str]) -> None:
        self.by_name: dict[str, str] = {}
        ranked: dict[str, list[str]] = {priority: [] for priority in _PRIORITIES}
        for entry in listed.items():
            source = SOURCE.check(entry, warnings)
            table, name = source.table(), source["name"].text()
            priority = str(table.get("priority", "primary")).lower()
            priority = "default" if table.get("default") else "secondary" if table.get("secondary") else priority
            if priority not in ranked:
                hint = f"known: {', '.join(_PRIORITIES)}"
                raise source["priority"].wrong(f"bridge does not support {priority!r}", hint=hint)
            if name.lower() == "pypi" and "url" not in table:
                self.by_name[name] = ""  # the configured indexes
                continue
            self.by_name[name] = source["url"].text()
            ranked[priority].append(self.by_name[name])
        replacing = [*ranked["default"], *ranked["primary"]]
        has_pypi = any(not url for url in self.by_name.values())
        further = [*ranked["secondary"], *ranked["supplemental"]]
        self.index_url = replacing[0] if replacing and not has_pypi else None
        self.extra = tuple([*replacing[1:], *further] if self.index_url else [*replacing, *further])


@dataclass(slots=True)
class _Reading:
    warnings: list[str]
    sources: _Sources
    indexes: dict[str, str] = field(default_factory=dict)

    def tables(self, entry: Field) -> Iterator[Field]:
        """Yield the tables of one dependency: one, or several with markers that exclude each other."""
        for each in entry.value if isinstance(entry.value, list) else [entry.value]:
            yield DEPENDENCY.check(entry.holding(each).spelled_out("version"), self.warnings)

    def dependency(self, name: str, entry: Field, optional: frozenset[str] = frozenset()) -> Iterator[Requirement]:
        for table in self.tables(entry):
            if not table["optional"].flag() or canonicalize_name(name) in optional:
                yield self._requirement(name, table)

    def _requirement(self, name: str, table: Field) -> Requirement:
        extras = table["extras"].texts()
        bracketed = f"[{','.join(extras)}]" if extras else ""
        try:
            marker = _marker(table)
            specifier = specifier_of(table["version"].text_or_none() or "*")
        except ValueError as error:
            raise table.wrong(str(error)) from error
        requirement = table.holding(f"{name}{bracketed}{specifier}{f' ; {marker}' if marker else ''}").pypi()
        origin = self.origin(table)
        if origin.index:
            self.indexes[requirement.name] = origin.index
        return sourced(requirement, origin, table)

    def origin(self, table: Field) -> Origin:
        source = table["source"].text_or_none()
        if source is not None and source not in self.sources.by_name:
            if source.lower() != "pypi":
                known = ", ".join(sorted(self.sources.by_name)) or "none"
                problem = f"no [[tool.poetry.source]] has the name {source!r}"
                raise table.wrong(problem, context=(f"sources: {known}",))
            source = None
        revisions = (table[key].text_or_none() for key in ("rev", "tag", "branch"))
        return Origin(
            index=(self.sources.by_name[source] or None) if source is not None else None,
            git=table["git"].text_or_none(),
            revision=next(filter(None, revisions), None),
            location=table["path"].text_or_none() or table["file"].text_or_none(),
            url=table["url"].text_or_none(),
            subdirectory=table["subdirectory"].text_or_none(),
            is_editable=table["develop"].flag(),
        )


def _marker(table: Field) -> str:
    """Return the markers of a table joined. Raises `ValueError`."""
    python, platform = table["python"].text_or_none(), table["platform"].text_or_none()
    parts = [
        table["markers"].text_or_none() or "",
        marker_of_python(python) if python else "",
        marker_of_platform(platform) if platform else "",
    ]
    given = [part for part in parts if part]
    return " and ".join(f"({part})" for part in given) if len(given) > 1 else "".join(given)


class _Groups:
    """[tool.poetry.group.NAME], and `dev-dependencies` as the group `dev`."""

    def __init__(self, reading: _Reading, table: Field, chosen: Chosen) -> None:
        self._reading, self._table = reading, table["group"]
        self._groups: dict[str, Field] = {}
        development = table["dev-dependencies"]
        if development.value is not None:
            self._groups["dev"] = development.holding({"dependencies": development.value})
        for name, each in self._table.entries():
            self._groups[canonicalize_name(name)] = GROUP.check(each, reading.warnings)
        self._asked = {canonicalize_name(group) for group in chosen.groups}
        self.names = frozenset(self._groups)

    def requirements(self) -> list[Requirement]:
        requirements: list[Requirement] = []
        done: set[str] = set()
        for name, group in self._groups.items():
            if name in self._asked:
                requirements += self._read(name, done, ())
            elif not group["optional"].value:
                self._reading.warnings.append(f"{group.path}: {group.where} is left out; --group {name} asks for it")
        return requirements

    def _read(self, name: str, done: set[str], including: Sequence[str]) -> Iterator[Requirement]:
        if name in including or name not in self._groups:
            problem = f"group {name!r} includes itself" if name in including else f"there is no group {name!r}"
            raise self._table.wrong(problem)
        if name in done:
            return
        done.add(name)
        group = self._groups[name]
        for further in group["include-groups"].texts():
            yield from self._read(canonicalize_name(further), done, (*including, name))
        for project, entry in group["dependencies"].entries():
            yield from self._reading.dependency(project, entry)

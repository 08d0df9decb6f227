"""pyproject.toml: [project], dependency groups, and the tables of tools that say what is installed and from where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bridge.requirements.algebra import Requirement
from bridge.requirements.files import fields
from bridge.requirements.files.bridge_table import read_bridge
from bridge.requirements.files.constructs import Section, describes, honoured, ignored
from bridge.requirements.files.pdm import Pdm, read_pdm
from bridge.requirements.files.pixi import features_of, read_pixi
from bridge.requirements.files.poetry import Poetry, read_poetry
from bridge.requirements.files.project_table import PROJECT, Groups, Project
from bridge.requirements.files.uv import Uv, read_uv
from bridge.requirements.files.values import Chosen, FileRequirements, combined, wrong
from converters.deferred import replace
from converters.projects import canonicalize_name

__all__ = ["TOOLS", "TOP", "read_pyproject"]

TOP = Section(
    name="pyproject.toml",
    keys={
        "project": honoured("see below"),
        "dependency-groups": honoured("the groups that `--group` asks for, without the project"),
        "tool": honoured("see below"),
        "build-system": describes("how the project is built"),
    },
)
_OTHER = describes("it says nothing of what is installed")
TOOLS = Section(
    name="tool",
    keys={
        "uv": honoured("see below"),
        "pixi": honoured("see below"),
        "poetry": honoured("see below"),
        "pdm": honoured("see below"),
        "bridge": honoured("see below"),
        "hatch": ignored("environments of hatch are not read: `hatch dep show requirements` lists what one needs"),
        "rye": ignored("rye is superseded by uv: move its dependencies to [dependency-groups]"),
        "flit": ignored("write its requirements to [project]"),
        "conda-lock": ignored("name channels and packages in [tool.bridge]"),
        "setuptools": describes("how the project is built; what it says of `dynamic` is known once it is"),
        **dict.fromkeys(
            (
                "autoflake", "autopep8", "bandit", "basedpyright", "black", "bumpver", "bumpversion", "check-manifest",
                "cibuildwheel", "codespell", "commitizen", "coverage", "cython-lint", "deptry", "docformatter",
                "doit", "djlint", "flake8", "hatch-vcs", "importlinter", "interrogate", "isort", "jupytext", "license",
                "maturin", "meson-python", "mypy", "nbqa", "nox", "numpydoc_validation", "poe", "pycln",
                "pydocstyle", "pydoclint", "pylint", "pyproject-fmt", "pyright", "pyrefly", "pytest", "pytest-enabler",
                "pytoniq", "refurb", "repo-review", "ruff", "scikit-build", "scriv", "semantic_release",
                "setuptools_scm", "setuptools-git-versioning", "spin", "sphinx", "taskipy", "towncrier", "tox", "ty",
                "typos", "versioneer", "versioningit", "vulture", "yapf",
            ),
            _OTHER,
        ),
    },
)  # fmt: skip


_NAME_END = re.compile(r"[^A-Za-z0-9._-]")


def read_pyproject(path: Path, document: Mapping[str, object], chosen: Chosen) -> FileRequirements:
    """Read what the tables of a pyproject.toml ask for. Raises `UsageError` (`requirement-file`)."""
    return _Pyproject(path, document, chosen).read()


class _Pyproject:
    """One file and what is chosen of it. The project is left out where only groups are asked for (PEP 735)."""

    def __init__(self, path: Path, document: Mapping[str, object], chosen: Chosen) -> None:
        self._path = path
        self._chosen = chosen
        self._warnings: list[str] = []
        self._dynamic: list[Requirement] = []
        self._document = TOP.check(document, path, "", self._warnings)
        self._tools = TOOLS.check(self._document.get("tool", {}), path, "tool", self._warnings)
        table = self._document.get("project")
        self._table = None if table is None else PROJECT.check(table, path, "project", self._warnings)
        self._is_asked = bool(chosen.extras or chosen.environment or not chosen.groups)

    def read(self) -> FileRequirements:
        path, tools = self._path, self._tools
        if self._chosen.extras and self._table is None and "poetry" not in tools:
            raise wrong(path, None, f"it has no [project] table, hence no extra {self._chosen.extras[0]!r}")
        if self._is_asked and self._table is None and not tools.keys() & {"pixi", "poetry", "bridge"}:
            hint = "add [project] with its dependencies (PEP 621), or name a dependency group"
            raise wrong(path, None, "it has no [project] table, and no other that says what it requires", hint=hint)
        if self._chosen.environment is not None and "pixi" not in tools:
            raise wrong(path, None, f"it has no [tool.pixi], hence no environment {self._chosen.environment!r}")
        uv = read_uv(path, tools.get("uv", {}), self._chosen, self._warnings)
        pdm = read_pdm(path, tools.get("pdm", {}), self._warnings)
        poetry = Poetry()
        if "poetry" in tools:
            poetry = read_poetry(
                path, tools["poetry"], self._chosen, has_project=self._has_dependencies, is_asked=self._is_asked
            )
        self._tell_unused(poetry)

        def bind(requirements: Iterable[Requirement]) -> Iterable[Requirement]:
            return poetry.sourced(path, uv.sourced(requirements))

        own = bind(self._own(self._groups(uv, pdm), poetry))
        parts = [self._python(), FileRequirements(requirements=tuple(own)), uv.settings, poetry.found, pdm.settings]
        if "bridge" in tools:
            parts.append(self._beside_project(read_bridge(path, tools["bridge"], self._warnings), "tool.bridge"))
        if "pixi" in tools:
            parts.append(self._pixi(tools["pixi"]))
        listed = combined(parts)
        return replace(listed, dynamic=tuple(self._dynamic), bind=bind, warnings=(*self._warnings, *listed.warnings))

    @property
    def _has_dependencies(self) -> bool:
        """Whether [project] says what the project requires."""
        if self._table is None:
            return False
        dynamic = fields.texts(self._table.get("dynamic"), self._path, "project.dynamic")
        return "dependencies" in self._table or "dependencies" not in dynamic

    def _tell_unused(self, poetry: Poetry) -> None:
        """Warn of what [tool.poetry.dependencies] has and [project] has not: Poetry 2 installs none of it."""
        table = self._table or {}
        listed = [table.get("dependencies"), *self._optional().values()]
        texts = (text for value in listed if isinstance(value, list) for text in value if isinstance(text, str))
        named = {canonicalize_name(_NAME_END.split(text.strip(), maxsplit=1)[0]) for text in texts}
        for name in poetry.origins.keys() - named:
            where = f"tool.poetry.dependencies.{name}"
            self._warnings.append(f"{self._path}: {where} is left out: [project] has the dependencies")

    def _python(self) -> FileRequirements:
        value = None if self._table is None else self._table.get("requires-python")
        if value is not None:
            fields.text(value, self._path, "project.requires-python")
        return FileRequirements(requires_python=value if isinstance(value, str) else None)

    def _groups(self, uv: Uv, pdm: Pdm) -> Mapping[str, object]:
        """Return the dependency groups, those that uv and PDM keep elsewhere included."""
        groups = dict(fields.table(self._document.get("dependency-groups"), self._path, "dependency-groups"))
        for name, entries in (*pdm.groups.items(), *((("dev", list(uv.dev)),) if uv.dev is not None else ())):
            known = fields.items(groups.get(name), self._path, f"dependency-groups.{name}")
            groups[name] = [*known, *fields.items(entries, self._path, f"the group {name}")]
        return groups

    def _own(self, groups: Mapping[str, object], poetry: Poetry) -> Iterator[Requirement]:
        """Yield what [project] and the dependency groups ask for."""
        extras, named = list(self._chosen.extras), list(self._chosen.groups)
        has_default = True
        if self._chosen.environment is not None:
            features = features_of(self._manifest(), self._path, "tool.pixi.", self._chosen.environment)
            extras += [each for each in features if each in self._optional()]
            named += [each for each in features if each in groups]
            has_default = "default" in features
        is_poetry = "poetry" in self._tools and not self._has_dependencies
        if self._table is not None and self._is_asked and not is_poetry and (has_default or extras):
            mine = [extra for extra in extras if canonicalize_name(extra) not in poetry.extras]
            project = Project(self._path, self._table)
            if has_default and project.is_dynamic(mine):
                self._dynamic.append(project.itself(mine))
            else:
                yield from project.requirements(mine, is_whole=has_default)
        known = {canonicalize_name(name) for name in groups}
        standard = [name for name in named if canonicalize_name(name) in known or name not in poetry.groups]
        yield from Groups(self._path, groups).requirements(standard)

    def _optional(self) -> Mapping[str, object]:
        table = self._table or {}
        return fields.table(table.get("optional-dependencies"), self._path, "project.optional-dependencies")

    def _manifest(self) -> Mapping[str, object]:
        return fields.table(self._tools.get("pixi"), self._path, "tool.pixi")

    def _pixi(self, manifest: object) -> FileRequirements:
        table = fields.table(manifest, self._path, "tool.pixi")
        others = (*self._optional(), *fields.table(self._document.get("dependency-groups"), self._path, "groups"))
        listed = read_pixi(self._path, table, self._chosen, root="tool.pixi.", others=others)
        return self._beside_project(listed, "tool.pixi")

    def _beside_project(self, listed: FileRequirements, where: str) -> FileRequirements:
        """Return what a tool's table asks for; without its packages where groups alone are asked for."""
        if self._is_asked or not listed.requirements:
            return listed
        self._warnings.append(f"{self._path}: the packages of [{where}] are left out; --group asks for the group alone")
        return replace(listed, requirements=(), constraints=())

"""pyproject.toml: [project], dependency groups, and the tables of tools that say what is installed and from where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from bridge.requirements.algebra import Requirement
from bridge.requirements.files.bridge_table import read_bridge
from bridge.requirements.files.constructs import Section, describes, honoured, ignored
from bridge.requirements.files.fields import Field
from bridge.requirements.files.pdm import Pdm, read_pdm
from bridge.requirements.files.pixi import features_of, read_pixi
from bridge.requirements.files.poetry import Poetry, read_poetry
from bridge.requirements.files.project_table import PROJECT, Groups, Project
from bridge.requirements.files.uv import Uv, read_uv
from bridge.requirements.files.values import Chosen, FileRequirements, combined
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


def read_pyproject(document: Field, chosen: Chosen) -> FileRequirements:
    """Read what the tables of a pyproject.toml ask for. Raises `UsageError` (`requirement-file`)."""
    return _Pyproject(document, chosen).read()


class _Pyproject:
    """One file and what is chosen of it. The project is left out where only groups are asked for (PEP 735)."""

    def __init__(self, document: Field, chosen: Chosen) -> None:
        self._chosen = chosen
        self._warnings: list[str] = []
        self._dynamic: list[Requirement] = []
        self._document = TOP.check(document, self._warnings)
        self._tools = TOOLS.check(self._document["tool"].or_empty(), self._warnings)
        self._has_table = "project" in document
        self._table = PROJECT.check(self._document["project"].or_empty(), self._warnings)
        self._groups = document["dependency-groups"]
        self._is_asked = bool(chosen.extras or chosen.environment or not chosen.groups)

    def read(self) -> FileRequirements:
        document, tools = self._document, self._tools
        if self._chosen.extras and not self._has_table and "poetry" not in tools:
            raise document.wrong(f"it has no [project] table, hence no extra {self._chosen.extras[0]!r}")
        if self._is_asked and not self._has_table and not tools.table().keys() & {"pixi", "poetry", "bridge"}:
            hint = "add [project] with its dependencies (PEP 621), or name a dependency group"
            raise document.wrong("it has no [project] table, and no other that says what it requires", hint=hint)
        if self._chosen.environment is not None and "pixi" not in tools:
            raise document.wrong(f"it has no [tool.pixi], hence no environment {self._chosen.environment!r}")
        uv = read_uv(tools["uv"].or_empty(), self._chosen, self._warnings)
        pdm = read_pdm(tools["pdm"].or_empty(), self._warnings)
        poetry = Poetry()
        if "poetry" in tools:
            poetry = read_poetry(
                tools["poetry"], self._chosen, has_project=self._has_dependencies, is_asked=self._is_asked
            )
        self._tell_unused(poetry)

        def bind(requirements: Iterable[Requirement]) -> Iterable[Requirement]:
            return poetry.sourced(uv.sourced(requirements), tools["poetry"])

        own = FileRequirements(
            requirements=tuple(bind(self._own(self._all_groups(uv, pdm), poetry))),
            requires_python=self._table["requires-python"].text_or_none(),
        )
        parts = [own, uv.settings, poetry.found, pdm.settings]
        if "bridge" in tools:
            parts.append(self._beside_project(read_bridge(tools["bridge"], self._warnings), "tool.bridge"))
        if "pixi" in tools:
            parts.append(self._pixi())
        listed = combined(parts)
        return replace(listed, dynamic=tuple(self._dynamic), bind=bind, warnings=(*self._warnings, *listed.warnings))

    @property
    def _has_dependencies(self) -> bool:
        """Whether [project] says what the project requires."""
        if not self._has_table:
            return False
        return "dependencies" in self._table or "dependencies" not in self._table["dynamic"].texts()

    def _tell_unused(self, poetry: Poetry) -> None:
        """Warn of what [tool.poetry.dependencies] has and [project] has not: Poetry 2 installs none of it."""
        listed = [self._table["dependencies"].value, *self._optional.values()]
        texts = (text for value in listed if isinstance(value, list) for text in value if isinstance(text, str))
        named = {canonicalize_name(_NAME_END.split(text.strip(), maxsplit=1)[0]) for text in texts}
        for name in poetry.origins.keys() - named:
            where = f"tool.poetry.dependencies.{name}"
            self._warnings.append(f"{self._document.path}: {where} is left out: [project] has the dependencies")

    def _all_groups(self, uv: Uv, pdm: Pdm) -> Field:
        """Return the dependency groups, those that uv and PDM keep elsewhere included."""
        groups = dict(self._groups.table())
        for name, entries in (*pdm.groups.items(), *((("dev", list(uv.dev)),) if uv.dev is not None else ())):
            known, added = self._groups.holding(groups)[name], Field(entries, self._groups.path, f"the group {name}")
            groups[name] = [each.value for each in (*known.items(), *added.items())]
        return self._groups.holding(groups)

    def _own(self, groups: Field, poetry: Poetry) -> Iterator[Requirement]:
        """Yield what [project] and the dependency groups ask for."""
        extras, named = list(self._chosen.extras), list(self._chosen.groups)
        has_default = True
        if self._chosen.environment is not None:
            features = features_of(self._tools["pixi"], self._chosen.environment)
            extras += [each for each in features if each in self._optional]
            named += [each for each in features if each in groups]
            has_default = "default" in features
        is_poetry = "poetry" in self._tools and not self._has_dependencies
        if self._has_table and self._is_asked and not is_poetry and (has_default or extras):
            mine = [extra for extra in extras if canonicalize_name(extra) not in poetry.extras]
            project = Project(self._table)
            if has_default and project.is_dynamic(mine):
                self._dynamic.append(project.itself(mine))
            else:
                yield from project.requirements(mine, is_whole=has_default)
        known = set(map(canonicalize_name, groups.table()))
        standard = [name for name in named if canonicalize_name(name) in known or name not in poetry.groups]
        yield from Groups(groups).requirements(standard)

    @property
    def _optional(self) -> Mapping[str, object]:
        return self._table["optional-dependencies"].table()

    def _pixi(self) -> FileRequirements:
        others = (*self._optional, *self._groups.table())
        return self._beside_project(read_pixi(self._tools["pixi"], self._chosen, others=others), "tool.pixi")

    def _beside_project(self, listed: FileRequirements, where: str) -> FileRequirements:
        """Return what a tool's table asks for; without its packages where groups alone are asked for."""
        if self._is_asked or not listed.requirements:
            return listed
        path = self._document.path
        self._warnings.append(f"{path}: the packages of [{where}] are left out; --group asks for the group alone")
        return replace(listed, requirements=(), constraints=())

"""Known conda names and projects, ready for queries by mask; every solve of a process shares what was read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from packaging.version import Version

from bridge.requirements.algebra import pep440_version
from bridge.requirements.names import name_of
from bridge.resolve.candidates.packages import CondaName, Project
from bridge.resolve.candidates.provides import canonical
from bridge.resolve.candidates.pythons import PythonMasks
from bridge.resolve.sources import IndexPort, Options, RecordPort
from converters.names import NameMap
from converters.target import Target

__all__ = ["Catalog"]


class Catalog:
    """The names and projects of one target, from the ports that serve them, for all solves with the same options."""

    def __init__(
        self, records: RecordPort, index: IndexPort | None, target: Target, names: NameMap, options: Options
    ) -> None:
        self.target = target
        self.names = names
        self.options = options
        self.index = index
        self.source = records
        self._conda: dict[str, CondaName] = {}
        self._projects: dict[str, Project] = {}
        self._providers: dict[str, tuple[str, ...]] = {}
        self._pythons: PythonMasks | None = None

    @property
    def pythons(self) -> PythonMasks:
        if self._pythons is None:
            self._pythons = PythonMasks(self.conda("python").pythons(), self.target)
        return self._pythons

    def prefetch(self, names: Iterable[str]) -> None:
        """Read several conda names with one query."""
        self.source.prefetch([name for name in names if name not in self._conda])

    def conda(self, name: str) -> CondaName:
        """Return the records of a conda name; empty if no channel has it."""
        known = self._conda.get(name)
        if known is None:
            known = CondaName(name, self.source.records(name), self.names, self.options)
            self._conda[name] = known
        return known

    def project(self, name: str) -> Project:
        """Return the files of a project; empty if no index has it or wheels are excluded for it."""
        known = self._projects.get(name)
        if known is None:
            files = self.index.files(name) if self.index is not None else ()
            known = Project(name, files, self.target, self.options)
            self._projects[name] = known
        return known

    def providers(self, project: str) -> tuple[str, ...]:
        """Return the conda names that provide `project`: dependencies first, then the newest version."""
        known = self._providers.get(project)
        if known is None:
            spelled = (project, project.replace("-", "_"), project.replace("-", "."))
            names = dict.fromkeys((*self.names.providers(project), *spelled))
            self.prefetch(names)
            providing = [name for name in names if project in self.conda(name).projects]
            providing.sort(key=lambda name: (canonical(name) != project, name))
            providing.sort(key=lambda name: self._newest(name, project), reverse=True)
            # Sorting is stable: names with equal dependencies stay in the order of their newest versions.
            known = tuple(sorted(providing, key=lambda name: self._dependencies_among(name, providing)))
            self._providers[project] = known
        return known

    def _newest(self, name: str, project: str) -> Version:
        """Return the newest version at which a name provides a project: renamed packages leave old versions behind."""
        conda = self.conda(name)
        carried = [
            pep440_version(record.version)
            for record, provided in zip(conda.records, conda.provided, strict=True)
            if project in provided.projects
        ]
        return max((version for version in carried if version is not None), default=Version("0"))

    def related_names(self, project: str) -> tuple[str, ...]:
        """Return the providers of `project`, then the names without records that its wheel may replace."""
        providers = self.providers(project)
        others = (name for name in self.names.providers(project) if name not in providers)
        return (*providers, *(name for name in others if self.conda(name).wheel_project == project))

    def _dependencies_among(self, name: str, others: Sequence[str]) -> int:
        """Return how many of `others` the records of `name` depend on: a metapackage sorts after its parts."""
        needed = set(map(name_of, self.conda(name).depends))
        return len(needed.intersection(others) - {name})

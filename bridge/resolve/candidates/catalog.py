"""Known conda names and projects, ready for queries by mask; every solve of a process shares what was read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from packaging import version as pep440

from bridge.cache.results import Results
from bridge.requirements.algebra import pep440_version
from bridge.requirements.names import name_of
from bridge.resolve.candidates.packages import CondaName
from bridge.resolve.candidates.projects import Project
from bridge.resolve.candidates.provides import canonical
from bridge.resolve.candidates.pythons import PythonMasks
from bridge.resolve.sources import IndexPort, Options, RecordPort
from converters.deferred import NamedTuple
from converters.names import NameMap
from converters.target import Target

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = ["Catalog"]


class _Newest(NamedTuple):
    """The newest version at which a name provides a project, and the names that its records depend on."""

    version: Version
    depends: frozenset[str]


class Catalog:
    """The names and projects of one target, from the ports that serve them, for all solves with the same options."""

    def __init__(
        self,
        records: RecordPort,
        index: IndexPort | None,
        target: Target,
        names: NameMap,
        options: Options,
        *,
        check: Callable[[], None] = lambda: None,
        results: Results | None = None,
    ) -> None:
        """:param check: called in each round of a search and before each wait; may raise to end the search.
        :param results: keeps what depends on texts alone; `save` writes it down.
        """
        self.check = check
        self.target = target
        self.names = names
        self.options = options
        self.index = index
        self.source = records
        self.results = results or Results()
        self.waited = 0.0  # seconds, for channels and for builds
        self._conda: dict[str, CondaName] = {}
        self._projects: dict[str, Project] = {}
        self._providers: dict[str, tuple[str, ...]] = {}
        self._pythons: PythonMasks | None = None

    @property
    def pythons(self) -> PythonMasks:
        if self._pythons is None:
            self._pythons = PythonMasks(self.conda("python").pythons(), self.target, self.results)
        return self._pythons

    def prefetch(self, names: Iterable[str]) -> None:
        """Read several conda names with one query."""
        with self.waiting():
            self.source.prefetch([name for name in names if name not in self._conda])

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waiting."""
        self.check()
        started = time.monotonic()
        try:
            yield
        finally:
            self.waited += time.monotonic() - started

    def conda(self, name: str) -> CondaName:
        """Return the records of a conda name; empty if no channel has it."""
        known = self._conda.get(name)
        if known is None:
            with self.waiting():
                records = self.source.records(name)
            known = CondaName(name, records, self.names, self.options)
            self._conda[name] = known
        return known

    def project(self, name: str) -> Project:
        """Return the files of a project; empty if no index has it or wheels are excluded for it."""
        known = self._projects.get(name)
        if known is None:
            files = self.index.files(name) if self.index is not None else ()
            known = Project(name, files, self.target, self.options, self.results)
            self._projects[name] = known
        return known

    def providers(self, project: str) -> tuple[str, ...]:
        """Return the conda names that provide `project`, best first. Their newest versions decide the order.

        1. A name with several projects, none of them its own name, comes last: its version is not the project's.
        2. The name with the newest version comes first. A name that was given up keeps its old versions for ever.
        3. Of equal versions, a name comes after those that its newest records depend on: a metapackage after its parts.
           `bridge.resolve.encode.halves` moves a metapackage to the front if its part omits what the project needs.
        4. The project's own name, then the alphabet.

        Versions that the cooldown or the policy excludes do not count.
        """
        known = self._providers.get(project)
        if known is None:
            spelled = (project, project.replace("-", "_"), project.replace("-", "."))
            names = dict.fromkeys((*self.names.providers(project), *spelled))
            self.prefetch(names)
            providing = [name for name in names if project in self.conda(name).projects]
            newest = {name: self._newest(name, project) for name in providing}
            providing.sort(key=lambda name: (canonical(name) != project, name))
            others = frozenset(providing)
            providing.sort(key=lambda name: len(newest[name].depends & others))
            providing.sort(key=lambda name: newest[name].version, reverse=True)
            providing.sort(key=lambda name: not self.conda(name).owns(project))
            known = tuple(providing)
            self._providers[project] = known
        return known

    def _newest(self, name: str, project: str) -> _Newest:
        """Return the newest version at which a name provides a project, and the names its records depend on."""
        conda = self.conda(name)
        excluded = conda.excluded
        live: dict[Version, set[str]] = {}
        for place, (record, provided) in enumerate(zip(conda.records, conda.provided, strict=True)):
            version = pep440_version(record.version)
            if project in provided.projects and version is not None and not excluded & 2 << place:
                live.setdefault(version, set()).update(map(name_of, record.requirements))
        if not live:
            return _Newest(pep440.Version("0"), frozenset())
        newest = max(live)
        return _Newest(newest, frozenset(live[newest]))

    def related_names(self, project: str) -> tuple[str, ...]:
        """Return the providers of `project`, then the names without records that its wheel may replace."""
        providers = self.providers(project)
        others = [name for name in self.names.providers(project) if name not in providers]
        others += [project] if self.names.unconfirmed(project) and project not in providers else []
        return (*providers, *(name for name in others if self.conda(name).wheel_project == project))

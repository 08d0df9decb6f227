"""What channels and indexes offer of each name that nothing could meet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bridge.model import IndexFile
from bridge.requirements.algebra import Requirement
from bridge.resolve.candidates.packages import CondaName, Project
from bridge.resolve.encode.facts import Constrains, Depends, Fact, KeptForeign, NeedsPython, Requested, Serves
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import DemandId, VariableId
from bridge.resolve.explain.sentences import Sentences, listed, version_range, virtual_name

__all__ = ["Availability"]


class Availability:
    """Describes the candidates of the names in a proof.

    `exclusions` are the reasons why files are no candidates; `foreign` are the labels of distributions that stay alone.
    """

    def __init__(self, space: Space, sentences: Sentences) -> None:
        self._space = space
        self._sentences = sentences
        self.exclusions: set[str] = set()
        self.foreign: list[str] = []

    def of(self, facts: Sequence[Fact]) -> list[str]:
        """Return, for each requested or required name, what channels and indexes have, and why files are excluded."""
        lines: dict[str, None] = {}
        for fact in facts:
            if isinstance(fact, Requested) and fact.target is None and (name := virtual_name(fact.text)):
                lines[self._sentences.virtual(name)] = None
            if fact.target is not None and self._names_a_need(fact):
                for demand in self._space.onto[fact.target]:
                    if self._space.demands[demand].fact is fact or isinstance(fact, Serves):
                        lines.update(dict.fromkeys(self._available(fact.target, demand)))
        return list(lines)

    def _names_a_need(self, fact: Fact) -> bool:
        if isinstance(fact, NeedsPython):
            return not self._sentences.has_python
        return isinstance(fact, (Requested, Depends, Constrains, Serves))

    def _available(self, variable: VariableId, demand: DemandId) -> Iterable[str]:
        meaning, requirement = self._space.meanings[variable], self._space.demands[demand].requirement
        for provider in meaning.providers:
            yield from self._available(provider, demand)
        if meaning.conda is not None:
            is_met = bool(self._space.allowed[demand] & meaning.conda.everything) and requirement is not None
            if not is_met:  # else the versions are not the reason
                yield from self._available_records(variable, meaning.conda, requirement)
        elif meaning.project is not None:
            yield from self._available_files(variable, meaning.project, requirement)
        elif meaning.wheels is not None:
            yield from self._files_behind(meaning.wheels, requirement)

    def _files_behind(self, wheels: VariableId, requirement: Requirement | None) -> Iterable[str]:
        project = self._space.meanings[wheels].project
        if self._space.is_known[wheels] and project is not None:
            yield from self._available_files(wheels, project, requirement)

    def _available_records(
        self, variable: VariableId, conda: CondaName, requirement: Requirement | None
    ) -> Iterable[str]:
        wheels = self._space.meanings[variable].wheels
        if conda.records:
            yield f"conda has {version_range(conda.name, [record.version for record in conda.records], 0)}"
        elif wheels is None:
            yield f"no channel has a package named {conda.name}"
        if wheels is not None:
            yield from self._files_behind(wheels, requirement)
        elif conda.records and variable != self._space.python:
            yield f"nothing links {conda.name} to a PyPI project, so the index is not searched"

    def _available_files(
        self, variable: VariableId, project: Project, requirement: Requirement | None
    ) -> Iterable[str]:
        facts = (self._space.demands[demand].fact for demand in self._space.onto[variable])
        left_alone = next((fact for fact in facts if isinstance(fact, KeptForeign)), None)
        name = self._space.variables[variable].key
        if left_alone is not None:
            self.exclusions.add("foreign")
            self.foreign.append(left_alone.text)
            yield self._sentences.of(left_alone)
        elif project.files:
            versions = [file.version for file in project.files]
            yield f"{_index(project.files[0])} has {version_range(name, versions, 0)}"
        elif not project.excluded:
            yield f"no index has a file of {name}"
        served = {file.version for file in project.files}  # another file of the version may be a candidate
        for reason, files in project.excluded.items():
            others = [file for file in files if file.version not in served]
            meeting = [file for file in others if requirement is None or requirement.accepts(file.version)]
            if meeting:
                self.exclusions.add(reason)
                yield self._excluded_files(reason, meeting)

    def _excluded_files(self, reason: str, files: Sequence[IndexFile]) -> str:
        what = version_range(files[0].project, [file.version for file in files], 0)
        target = self._space.catalog.target
        if reason == "platform":
            platforms = sorted({file.filename[:-4].rsplit("-", 1)[-1] for file in files if file.is_wheel})
            floors = [
                f"{name} {version}" for name, version, _ in target.virtual_packages if name in ("__glibc", "__osx")
            ]
            here = f"{target.subdir} with {listed(floors)}" if floors else target.subdir
            return f"the wheels of {what} are made for {', '.join(platforms[:6])}, and the target is {here}"
        if reason == "sdist":
            return f"{what} would have to be built, which --no-build or pip's only-binary forbids"
        if reason == "no-binary":
            return f"{what} is available as wheels only, which pip's no-binary forbids"
        if reason == "too-new":
            return f"the files of {what} are newer than --exclude-newer allows, or have no upload time"
        return f"the files of {what} have no readable {reason}"


def _index(file: IndexFile) -> str:
    """Name an index by its URL, without credentials: the first that has a project serves it alone."""
    origin = re.sub(r"(?<=://)[^/@]*@", "***@", file.origin)
    return f"the index {origin}" if "://" in origin else "the index"

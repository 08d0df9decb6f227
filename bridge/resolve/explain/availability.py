"""What channels and indexes offer of each name that nothing could meet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from packaging.version import Version

from bridge.errors import few
from bridge.model import IndexFile
from bridge.requirements.algebra import Requirement, pep440_version
from bridge.resolve.candidates.packages import CondaName
from bridge.resolve.candidates.projects import POLICY, Project
from bridge.resolve.candidates.provides import canonical
from bridge.resolve.encode.assumptions import meeting_files
from bridge.resolve.encode.facts import (
    Constrains,
    Depends,
    Fact,
    KeptForeign,
    NeedsPython,
    Requested,
    RequiresPython,
    Serves,
    Tags,
)
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import DemandId, VariableId
from bridge.resolve.explain.ranges import listed, version_range
from bridge.resolve.explain.sentences import Sentences, virtual_name
from converters.deferred import dataclass
from converters.record import Record

__all__ = ["Availability", "Unmet"]

_MAX_NAMES = 3  # of files in one sentence
_MAX_REMARKS = 3
_MANY_BUILDS = 6
_NONE = Version("0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmet:
    """A project of which no candidate meets a requirement. `origins`: the indexes that have files of it, in order."""

    project: str
    requirement: Requirement | None
    origins: tuple[str, ...]


class Availability:
    """Describes the candidates of the names in a proof.

    :ivar excluded: why files that meet a request are no candidates: reason → files.
    :ivar foreign: the labels of distributions that stay alone.
    :ivar yanked: yanked files that meet a request.
    :ivar unmet: the projects of which no candidate meets a request.
    """

    def __init__(self, space: Space, sentences: Sentences) -> None:
        self._space = space
        self._sentences = sentences
        self.excluded: dict[str, list[IndexFile]] = {}
        self.foreign: list[str] = []
        self.yanked: list[IndexFile] = []
        self.unmet: dict[str, Unmet] = {}
        self._earliest: dict[str, int] = {}  # conda name → when the first record was made that the cooldown excludes
        self._without_python: set[VariableId | None] = set()  # projects whose files run on other pythons

    def of(self, facts: Sequence[Fact]) -> list[str]:
        """Return, for each requested or required name, what channels and indexes have, and why files are excluded."""
        lines: dict[str, None] = {}
        bound_to_pythons = [fact for fact in facts if isinstance(fact, (Tags, RequiresPython))]
        self._without_python = {fact.subject for fact in bound_to_pythons}
        for fact in facts:
            if isinstance(fact, Requested) and fact.target is None and (name := virtual_name(fact.text)):
                lines[self._sentences.virtual(name)] = None
            if fact.target is not None and self._names_a_need(fact):
                for demand in self._space.onto[fact.target]:
                    if self._space.demands[demand].fact is fact or isinstance(fact, Serves):
                        lines.update(dict.fromkeys(self._available(fact.target, demand)))
        of_python = [fact for fact in facts if fact.target == self._space.python]
        if bound_to_pythons and len(of_python) == len(bound_to_pythons):  # nothing else limits python
            lines.update(dict.fromkeys(self._pythons()))
        return list(lines)

    def _pythons(self) -> Iterable[str]:
        conda = self._space.meanings[self._space.python].conda
        if conda is not None and conda.records:
            versions = [record.version for record in conda.records]
            yield f"conda has {version_range('python', versions, versions)}"

    def _names_a_need(self, fact: Fact) -> bool:
        if isinstance(fact, NeedsPython):
            return not self._sentences.has_python
        return isinstance(fact, (Requested, Depends, Constrains, Serves))

    def _available(self, variable: VariableId, demand: DemandId) -> Iterable[str]:
        meaning, requirement = self._space.meanings[variable], self._space.demands[demand].requirement
        yield from self._bindings(variable)
        for provider in meaning.providers:
            yield from self._available(provider, demand)
        if meaning.conda is not None:
            meeting = self._space.allowed[demand] & meaning.conda.everything
            if meeting and not meeting & ~meaning.conda.too_new:
                records = [record for place, record in enumerate(meaning.conda.records) if meeting >> place + 1 & 1]
                times = [record.timestamp for record in records if record.timestamp is not None]
                self._earliest[meaning.conda.name] = min(times, default=0)
            is_met = bool(meeting) and requirement is not None
            if not is_met:  # else the versions are not the reason
                yield from self._available_records(variable, meaning.conda, requirement)
        elif meaning.project is not None:
            yield from self._available_files(variable, meaning.project, requirement)
        elif meaning.wheels is not None:
            yield from self._files_behind(meaning.wheels, requirement)

    def _bindings(self, variable: VariableId) -> Sequence[str]:
        """Return what the policy says of where packages of a name may come from."""
        policy, meaning = self._space.catalog.options.policy, self._space.meanings[variable]
        if policy is None:
            return ()
        projects = sorted(meaning.conda.projects) if meaning.conda is not None else ()
        return policy.bindings(map(canonical, (self._space.variables[variable].key, *projects)))

    def _files_behind(self, wheels: VariableId, requirement: Requirement | None) -> Iterable[str]:
        project = self._space.meanings[wheels].project
        if self._space.is_known[wheels] and project is not None:
            yield from self._available_files(wheels, project, requirement)

    def _available_records(
        self, variable: VariableId, conda: CondaName, requirement: Requirement | None
    ) -> Iterable[str]:
        wheels = self._space.meanings[variable].wheels
        if conda.records:
            yield _records(conda, requirement)
        else:
            yield f"no channel has a package named {conda.name} for {self._space.catalog.target.subdir}"
        if conda.wheel_project is not None and canonical(conda.name) != conda.wheel_project:
            yield f"{conda.name} is conda's name of the project {conda.wheel_project}"
        if wheels is not None:
            yield from self._files_behind(wheels, requirement)
        elif conda.records and self._may_be_project(variable, requirement):
            yield f"nothing links {conda.name} to a PyPI project, so the index is not searched"

    def _may_be_project(self, variable: VariableId, requirement: Requirement | None) -> bool:
        """Return whether a person could mean a project of the index by this name."""
        is_bound = requirement is not None and requirement.bound == "conda"
        return variable in self._space.requested and variable != self._space.python and not is_bound

    def _available_files(
        self, variable: VariableId, project: Project, requirement: Requirement | None
    ) -> Iterable[str]:
        facts = (self._space.demands[demand].fact for demand in self._space.onto[variable])
        left_alone = next((fact for fact in facts if isinstance(fact, KeptForeign)), None)
        name, index = self._space.variables[variable].key, self._space.catalog.index
        if left_alone is not None:
            self.excluded["foreign"] = []
            self.foreign.append(left_alone.text)
            yield self._sentences.of(left_alone)
        elif shown := project.files or self._out_of_reach(project, requirement):
            versions = [file.version for file in shown]
            yield f"{_index(shown[0])} has {version_range(name, versions, versions)}"
        files = self._candidates(project, requirement)
        has_candidates = any(file.yanked is None for file in files) and variable not in self._without_python
        remarks = () if has_candidates or index is None else index.remarks(name)
        if not (left_alone or project.files or project.excluded or remarks):
            yield from self._without_files(name, requirement)
        yield from self._excluded(project, requirement)
        yield from remarks[:_MAX_REMARKS]
        if len(remarks) > _MAX_REMARKS:
            yield f"{len(remarks) - _MAX_REMARKS} more files of {name} are left out"
        self.yanked += [file for file in files if file.yanked is not None]
        if not has_candidates and left_alone is None:
            known = (*project.files, *(file for group in project.excluded.values() for file in group))
            self.unmet[name] = Unmet(
                project=name, requirement=requirement, origins=tuple(dict.fromkeys(file.origin for file in known))
            )

    def _without_files(self, name: str, requirement: Requirement | None) -> Iterable[str]:
        yield f"no index has a file of {name}"
        is_for_both = requirement is not None and requirement.bound is None and requirement.url is None
        if self._space.catalog.options.only.get(name) == "wheel":
            yield f"--only takes {name} as a wheel package"
        elif is_for_both and not self._space.catalog.providers(name):
            yield f"no channel has a package of {name} for {self._space.catalog.target.subdir}"

    @staticmethod
    def _out_of_reach(project: Project, requirement: Requirement | None) -> list[IndexFile]:
        """Return the files of a project without candidates, if their versions are reason enough."""
        files = [file for group in project.excluded.values() for file in group]
        has_version = requirement is None or any(requirement.accepts(file.version) for file in files)
        return [] if has_version else files

    def _excluded(self, project: Project, requirement: Requirement | None) -> Iterable[str]:
        served = {file.version for file in project.files}  # another file of the version may be a candidate
        for reason, excluded in project.excluded.items():
            others = [file for file in excluded if file.version not in served]
            meeting = [file for file in others if requirement is None or requirement.accepts(file.version)]
            if meeting:
                self.excluded.setdefault(reason, []).extend(meeting)
                yield self._excluded_files(reason, meeting, _versions(project))

    @staticmethod
    def _candidates(project: Project, requirement: Requirement | None) -> list[IndexFile]:
        if requirement is None:
            return list(project.files)
        meets = meeting_files(project, requirement)
        return [file for place, file in enumerate(project.files) if meets >> place + 1 & 1]

    @property
    def admitting(self) -> dict[str, int]:
        """The time, in milliseconds, of the first candidate of each name that the cooldown excludes."""
        earliest = {name: time for name, time in self._earliest.items() if time}
        for file in self.excluded.get("too-new", ()):
            if file.upload_time is not None:
                earliest[file.project] = min(file.upload_time, earliest.get(file.project, file.upload_time))
        return earliest

    def _excluded_files(self, reason: str, files: Sequence[IndexFile], every: Sequence[str]) -> str:
        what = version_range(files[0].project, [file.version for file in files], every)
        names = few([file.filename for file in files], _MAX_NAMES)
        target = self._space.catalog.target
        if reason.startswith(POLICY):
            return f"the files of {what} ({names}) break the policy: {reason.removeprefix(POLICY)}"
        if reason == "platform":
            platforms = sorted({file.filename[:-4].rsplit("-", 1)[-1] for file in files if file.is_wheel})
            floors = [
                f"{name} {version}" for name, version, _ in target.virtual_packages if name in ("__glibc", "__osx")
            ]
            here = f"{target.subdir} with {listed(floors)}" if floors else target.subdir
            return f"the wheels of {what} ({names}) are made for {few(platforms, 6)}, and the target is {here}"
        if reason == "hash":
            files_with_hashes = few([f"{file.filename} has the sha256 {file.sha256}" for file in files], _MAX_NAMES)
            return f"{files_with_hashes}, and the request requires {' or '.join(files[0].expected[:_MAX_NAMES])}"
        if reason == "sdist":
            return f"{what} ({names}) would have to be built, which --no-build or pip's only-binary forbids"
        if reason == "no-binary":
            return f"{what} is available as wheels only ({names}), which pip's no-binary forbids"
        if reason == "too-new":
            return f"the files of {what} ({names}) are newer than --exclude-newer allows"
        if reason == "no-time":
            return f"the index states no upload time for the files of {what} ({names}), and --exclude-newer needs one"
        return f"the files of {what} ({names}) have no readable {reason}"


def _records(conda: CondaName, requirement: Requirement | None) -> str:
    """Return what channels have of a name, or the channel of a clause: versions, or builds where they decide."""
    spec, who, records = requirement.conda if requirement is not None else None, "conda", conda.records
    if spec is not None and spec.channel is not None:
        who = f"the channel {spec.channel}"
        records = tuple(each for each in records if spec.accepts_channel(each.origin))
    if not records:
        return f"{who} has no package named {conda.name}"
    versions = [each.version for each in records]
    fitting = [each for each in records if requirement is not None and requirement.accepts(each.version)]
    return f"{who} has {_builds(fitting) if fitting else version_range(conda.name, versions, versions)}"


def _builds(records: Sequence[Record]) -> str:
    """Name the builds of records whose versions meet a requirement that their builds do not meet."""
    builds = list(dict.fromkeys(f"{record.version} {record.build}" for record in records))
    left = len(builds) - _MANY_BUILDS
    more = f" and {left} more builds of these versions" if left > 0 else ""
    return f"{records[0].name} {', '.join(builds[:_MANY_BUILDS])}{more}"


def _versions(project: Project) -> list[str]:
    """Return the versions of all files of a project, also of those that are no candidates, newest first."""
    files = [*project.files, *(file for group in project.excluded.values() for file in group)]
    return sorted({file.version for file in files}, key=lambda version: pep440_version(version) or _NONE, reverse=True)


def _index(file: IndexFile) -> str:
    """Name an index by its URL, without credentials: the first that has a project serves it alone."""
    origin = re.sub(r"(?<=://)[^/@]*@", "***@", file.origin)
    kind = "channel" if file.is_of_channel else "index"
    return f"the {kind} {origin}" if "://" in origin else f"the {kind}"

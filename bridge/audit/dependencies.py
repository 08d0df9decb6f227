"""Who asks what of whom, across both ecosystems, as far as the records tell. Pure.

A name that a conda record asks for is met by the record of that name, a wheel's included, and by a dist-info that no
record covers whose project has that native name. A project that a dist-info asks for is met by a dist-info of it, else
by a conda package that is known to carry it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from packaging.utils import canonicalize_name

from bridge.audit.claims import Claims, Owner, claims_of
from bridge.errors import UsageError
from bridge.model import Distribution, PrefixState
from bridge.requirements import algebra
from bridge.requirements.algebra import Requirement
from bridge.requirements.names import name_of
from converters.names import NameMap
from converters.target import Target

__all__ = [
    "Edge",
    "InstalledProvider",
    "PrefixRecords",
    "RequiresDist",
    "applicable_requirements",
    "edges",
    "importable",
    "prefix_records",
    "projects_of",
    "providers_by_name",
    "providers_by_project",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixRecords:
    """What a prefix holds by its records. `target` has the python of the prefix, where there is one."""

    state: PrefixState
    claims: Claims
    target: Target
    names: NameMap

    @property
    def importable(self) -> Iterator[Distribution]:
        """The distributions that the prefix's python finds (another python minor may have left its own)."""
        return importable(self.state)

    @property
    def nameless(self) -> frozenset[str]:
        """The dist-infos that say neither what they are nor what they installed: they provide nothing."""
        nameless = {each.path for each in self.state.defects if each.id == "distribution-without-metadata"}
        return frozenset(
            each.path
            for each in self.state.distributions
            if f"{each.path}/METADATA" in nameless and not each.entries and not self.claims.coverage[each.path]
        )

    def is_of_conda(self, distribution: Distribution) -> bool:
        """Whether a conda package installed this dist-info, so that conda's `depends` are what binds."""
        return self.claims.answering[distribution.path].source == "conda"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProvider:
    """One installed package under a name, with the version it has there. `build` is conda's only."""

    owner: Owner
    label: str
    version: str
    build: str = ""
    build_number: int = 0

    @property
    def is_of_conda(self) -> bool:
        return self.owner.source == "conda"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiresDist:
    """A Requires-Dist that applies here, and the extra that brought it. `requirement` is `None`: it cannot be read."""

    distribution: Distribution
    text: str
    requirement: Requirement | None
    extra: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`dependant` asks for `text`, and `dependency` goes by that name (whether its version fits is another matter)."""

    dependant: Owner
    text: str
    dependency: Owner


def importable(state: PrefixState) -> Iterator[Distribution]:
    """The distributions that the prefix's python finds (another python minor may have left its own)."""
    site = state.site_packages
    return (each for each in state.distributions if site is None or each.path.rpartition("/")[0] == site)


def prefix_records(state: PrefixState, target: Target, names: NameMap, claims: Claims | None = None) -> PrefixRecords:
    """The records of `state`, turned round unless they were; its python takes the place of the target's."""
    return PrefixRecords(
        state=state,
        claims=claims or claims_of(state),
        target=target if state.python is None else replace(target, python=state.python),
        names=names,
    )


def providers_by_name(records: PrefixRecords) -> Mapping[str, list[InstalledProvider]]:
    """Native name → what goes by it: records, and importable dist-infos that no record covers."""
    found: dict[str, list[InstalledProvider]] = {}
    for owner in records.claims.recorded:
        found.setdefault(owner.package, []).append(_provider(owner))
    importable = {distribution.path for distribution in records.importable} - records.nameless
    for owner in records.claims.unmanaged:
        if owner.distribution is not None and owner.distribution.path in importable:
            name = records.names.native_name(canonicalize_name(owner.distribution.name))
            found.setdefault(name, []).append(_provider(owner))
    return found


def providers_by_project(records: PrefixRecords) -> Mapping[str, list[InstalledProvider]]:
    """Project → the importable dist-infos of it; where there is none, the conda packages known to carry it."""
    carried: dict[str, list[InstalledProvider]] = {}
    for owner in records.claims.recorded:
        for project in projects_of(owner, records.names) if owner.source == "conda" else ():
            carried.setdefault(project, []).append(_provider(owner))
    found: dict[str, list[InstalledProvider]] = {}
    nameless = records.nameless
    for distribution in records.importable:
        if distribution.path in nameless:
            continue
        owner = records.claims.answering[distribution.path]
        # A conda package may carry several projects, each with its own version.
        label = f"{distribution.name} {distribution.version} of {owner.label}" if owner.installed else owner.label
        provider = InstalledProvider(owner=owner, label=label, version=distribution.version)
        found.setdefault(canonicalize_name(distribution.name), []).append(provider)
    return {**carried, **found}


def projects_of(owner: Owner, names: NameMap) -> tuple[str, ...]:
    """The projects an owner carries: by its own record and dist-infos, else by the name map."""
    if owner.installed is None:
        return (canonicalize_name(owner.package),)
    record = owner.installed.record
    if record.pypi_names or record.ecosystem == "wheel":
        return record.pypi_names
    is_python = any(name_of(text) == "python" for text in record.requirements)
    return names.provides(record.name, purls=record.purls, is_python=is_python).projects


def applicable_requirements(records: PrefixRecords) -> list[RequiresDist]:
    """Every Requires-Dist that applies on the target, those of requested extras too. Extras bring others along."""
    if records.target.python is None:
        return []
    environment = records.target.marker_environment()
    by_project: dict[str, list[Distribution]] = {}
    for distribution in records.importable:
        by_project.setdefault(canonicalize_name(distribution.name), []).append(distribution)
    pending = [(distribution, "") for group in by_project.values() for distribution in group]
    for name, extra in _requested_extras(records.state):
        pending += [(distribution, extra) for distribution in by_project.get(name, ())]
    seen: set[tuple[str, str]] = set()
    found: list[RequiresDist] = []
    while pending:
        distribution, extra = pending.pop()
        if (distribution.path, extra) in seen:
            continue
        seen.add((distribution.path, extra))
        applying = list(_applying(distribution, extra, environment))
        found += applying
        if extra or not records.is_of_conda(distribution):
            for requirement in (each.requirement for each in applying if each.requirement is not None):
                pending += [
                    (each, more) for each in by_project.get(requirement.name, ()) for more in requirement.extras
                ]
    return found


def edges(records: PrefixRecords) -> Iterator[Edge]:
    """Which installed package asks for which other: conda's `depends`, and Requires-Dist of everything else."""
    by_name, by_project = providers_by_name(records), providers_by_project(records)
    for owner in records.claims.recorded:
        if owner.installed is not None and owner.source == "conda":
            for text in owner.installed.record.requirements:
                for provider in by_name.get(_name_of(text), ()):
                    yield Edge(dependant=owner, text=text, dependency=provider.owner)
    for each in applicable_requirements(records):
        owner = records.claims.answering[each.distribution.path]
        if each.requirement is not None and owner.source != "conda":
            for provider in by_project.get(each.requirement.name, ()):
                yield Edge(dependant=owner, text=each.text, dependency=provider.owner)


def _applying(distribution: Distribution, extra: str, environment: dict[str, str]) -> Iterator[RequiresDist]:
    for text in distribution.requires_dist:
        try:
            requirement = algebra.parse_pypi(text)
        except UsageError:
            if not extra:
                yield RequiresDist(distribution=distribution, text=text, requirement=None)
            continue
        marker = requirement.marker
        # With an extra only what it adds, for the rest was yielded without it.
        is_plain = marker is None or algebra.marker_holds(marker, environment)
        if is_plain != bool(extra) and (marker is None or algebra.marker_holds(marker, environment, extra)):
            yield RequiresDist(distribution=distribution, text=text, requirement=requirement, extra=extra)


def _requested_extras(state: PrefixState) -> Iterator[tuple[str, str]]:
    for package in state.installed:
        for text in package.requested:
            try:
                requirement = algebra.parse_pypi(text)
            except UsageError:  # conda's own syntax has no extras that concern a dist-info
                continue
            yield from ((requirement.name, extra) for extra in requirement.extras)


def _name_of(text: str) -> str:
    try:
        return algebra.parse_conda(text).name
    except UsageError:
        return ""


def _provider(owner: Owner) -> InstalledProvider:
    if owner.installed is None:
        version = owner.distribution.version if owner.distribution else ""
        return InstalledProvider(owner=owner, label=owner.label, version=version)
    record = owner.installed.record
    return InstalledProvider(
        owner=owner, label=owner.label, version=record.version, build=record.build, build_number=record.build_number
    )

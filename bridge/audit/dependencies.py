"""The dependencies between installed packages of both ecosystems, from the records. Pure.

The records of a name (wheels included), and dist-infos without a record whose project has that native name, satisfy a
conda record's dependency. The dist-infos of a project, or else the conda packages that provide it, satisfy a
dist-info's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.audit.packages import projects_of
from bridge.errors import UsageError, did_you_mean
from bridge.model import Distribution, PrefixState
from bridge.paths import quoted
from bridge.prefix.claims import Claims, Owner, claims_of
from bridge.requirements import algebra
from bridge.requirements.algebra import Requirement
from converters.deferred import dataclass, replace
from converters.names import NameMap
from converters.projects import canonicalize_name
from converters.target import Target

__all__ = [
    "Edge",
    "InstalledProvider",
    "PrefixRecords",
    "RequiresDist",
    "applicable_requirements",
    "edges",
    "importable",
    "owners_named",
    "prefix_records",
    "providers_by_name",
    "providers_by_project",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixRecords:
    """The records of a prefix. `target` has the prefix's python, if it has one."""

    state: PrefixState
    claims: Claims
    target: Target
    names: NameMap

    @property
    def importable(self) -> Iterator[Distribution]:
        return importable(self.state)

    @property
    def nameless(self) -> frozenset[str]:
        """The dist-infos with neither METADATA nor files: they provide nothing."""
        without_metadata = {each.path for each in self.state.defects if each.id == "distribution-without-metadata"}
        return frozenset(
            each.path
            for each in self.state.distributions
            if f"{each.path}/METADATA" in without_metadata and not each.entries and not self.claims.coverage[each.path]
        )

    def is_of_conda(self, distribution: Distribution) -> bool:
        """Whether a conda package installed the dist-info, so that its `depends` bind."""
        return self.claims.answering[distribution.path].source == "conda"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledProvider:
    """An installed package under one of its names, with the version under it. Only conda packages have a build."""

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
    """A Requires-Dist that applies here, and the extra it belongs to. `requirement` is `None`: it cannot be parsed."""

    distribution: Distribution
    text: str
    requirement: Requirement | None
    extra: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """`dependant` requires `text`, and `dependency` has that name; its version may not fit."""

    dependant: Owner
    text: str
    dependency: Owner


def importable(state: PrefixState) -> Iterator[Distribution]:
    """The distributions that the prefix's python finds; another python minor may have left others."""
    site = state.site_packages
    return (each for each in state.distributions if site is None or each.path.rpartition("/")[0] == site)


def prefix_records(state: PrefixState, target: Target, names: NameMap, claims: Claims | None = None) -> PrefixRecords:
    """The records of `state`; its python replaces the target's."""
    return PrefixRecords(
        state=state,
        claims=claims or claims_of(state),
        target=target if state.python is None else replace(target, python=state.python),
        names=names,
    )


def providers_by_name(records: PrefixRecords) -> Mapping[str, list[InstalledProvider]]:
    """Native name → records, and importable dist-infos that no record covers."""
    providers: dict[str, list[InstalledProvider]] = {}
    for owner in records.claims.recorded:
        providers.setdefault(owner.package, []).append(_provider(owner))
    importable = {distribution.path for distribution in records.importable} - records.nameless
    for owner in records.claims.unmanaged:
        if owner.distribution is not None and owner.distribution.path in importable:
            name = records.names.native_name(canonicalize_name(owner.distribution.name))
            providers.setdefault(name, []).append(_provider(owner))
    return providers


def providers_by_project(records: PrefixRecords) -> Mapping[str, list[InstalledProvider]]:
    """Project → its importable dist-infos, or else the conda packages that provide it."""
    provided: dict[str, list[InstalledProvider]] = {}
    for owner in records.claims.recorded:
        for project in projects_of(owner, records.names) if owner.source == "conda" else ():
            provided.setdefault(project, []).append(_provider(owner))
    by_distribution: dict[str, list[InstalledProvider]] = {}
    nameless = records.nameless
    for distribution in records.importable:
        if distribution.path in nameless:
            continue
        owner = records.claims.answering[distribution.path]
        # A conda package may provide several projects, each with its own version.
        label = f"{distribution.name} {distribution.version} of {owner.label}" if owner.installed else owner.label
        provider = InstalledProvider(owner=owner, label=label, version=distribution.version)
        by_distribution.setdefault(canonicalize_name(distribution.name), []).append(provider)
    return {**provided, **by_distribution}


def owners_named(records: PrefixRecords, name: str) -> list[Owner]:
    """The packages of a conda name, or else those that provide a project. Raises `UsageError` (`not-installed`)."""
    project = canonicalize_name(name)
    owners = [owner for owner in records.claims.owners if owner.package == name.lower()] or [
        owner for owner in records.claims.owners if project in projects_of(owner, records.names)
    ]
    if owners:
        return owners
    known = {owner.package for owner in records.claims.owners}
    known |= {each for owner in records.claims.owners for each in projects_of(owner, records.names)}
    hint = f"list the installed packages: bridge list -p {quoted(records.state.prefix)}"
    raise UsageError(
        "not-installed",
        f"no installed package has the name {name!r} or provides a project of that name",
        hint=f"{did_you_mean(project, known)} {hint}".strip(),
    )


def applicable_requirements(records: PrefixRecords) -> list[RequiresDist]:
    """Every Requires-Dist that applies on the target, including those of requested extras, transitively."""
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
    applicable: list[RequiresDist] = []
    while pending:
        distribution, extra = pending.pop()
        if (distribution.path, extra) in seen:
            continue
        seen.add((distribution.path, extra))
        applying = list(_applying(distribution, extra, environment))
        applicable += applying
        if extra or not records.is_of_conda(distribution):
            for requirement in (each.requirement for each in applying if each.requirement is not None):
                pending += [
                    (each, more) for each in by_project.get(requirement.name, ()) for more in requirement.extras
                ]
    return applicable


def edges(records: PrefixRecords) -> Iterator[Edge]:
    """Which installed package requires which: by conda's `depends`, and Requires-Dist of everything else."""
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
        # With an extra, only what it adds: the rest was yielded without it.
        is_plain = marker is None or algebra.marker_holds(marker, environment)
        if is_plain != bool(extra) and (marker is None or algebra.marker_holds(marker, environment, extra)):
            yield RequiresDist(distribution=distribution, text=text, requirement=requirement, extra=extra)


def _requested_extras(state: PrefixState) -> Iterator[tuple[str, str]]:
    for package in state.installed:
        for text in package.requested:
            try:
                requirement = algebra.parse_pypi(text)
            except UsageError:  # A MatchSpec has no extras of a dist-info.
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

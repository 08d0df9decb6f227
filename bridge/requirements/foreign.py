"""What other installers made of an environment: records they made untrue, and distributions that count as installed.

pip and uv know nothing of conda-meta. Where they replace or remove what a record is of, that record is *displaced*: the
dist-info it lists is gone. What they put there on their own is *foreign*: it meets needs, and bridge leaves it alone.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from packaging.utils import canonicalize_name

from bridge.errors import UsageError
from bridge.model import Distribution, IndexFile, Installed, PrefixState
from bridge.prefix.claims import label, unmanaged
from bridge.prefix.entries import paths_of
from bridge.requirements.algebra import (
    Requirement,
    marker_holds,
    parse_conda,
    parse_pypi,
    pep440_version,
    python_specifier,
    specifier_accepts,
)
from converters.target import Python, Target
from converters.wheel import CoreMetadata

__all__ = ["Foreign", "displaced", "foreign", "projects_of"]

_ANCHORS = (".dist-info/METADATA", ".egg-info/PKG-INFO")


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A distribution that another installer put there, as a candidate of the resolver.

    :param file: stands for it in the resolver; its URL is that of the dist-info, which no index has.
    :param replaces: the installed package whose record it made untrue.
    """

    distribution: Distribution
    file: IndexFile
    metadata: CoreMetadata
    replaces: Installed | None = None

    @property
    def project(self) -> str:
        return self.distribution.name

    @property
    def requirement(self) -> Requirement:
        """That it stays as it is, in the words of the label."""
        return replace(parse_pypi(f"pypi:{self.project}"), text=label(self.distribution))


def displaced(state: PrefixState) -> tuple[Installed, ...]:
    """The installed packages of which a dist-info is gone: another installer replaced or removed it.

    Costs one look at each path; nothing is read.
    """
    there = {each.path for each in state.distributions}
    sites = _sites(state)
    return tuple(each for each in state.installed if any(info not in there for info in _infos(each, sites)))


def projects_of(state: PrefixState, installed: Installed) -> frozenset[str]:
    """The PyPI projects of a package: as its record says, and by the dist-infos that it lists, gone or not."""
    infos = _infos(installed, _sites(state))
    listed = (canonicalize_name(info.rpartition("/")[2].partition("-")[0]) for info in infos)
    return frozenset((*installed.record.pypi_names, *listed))


def foreign(state: PrefixState, target: Target) -> tuple[Foreign, ...]:
    """The distributions of other installers, but for those of a project that a true record has.

    One that violates what an installed package needs is left out: the environment is broken already, and the solver is
    to find what would mend it. Where two distributions of a project are there, the first counts.
    """
    python = state.python
    if python is None or not any(each.record.name == "python" for each in state.installed):
        return ()
    gone = {each.meta_path for each in displaced(state)}
    single = {
        next(iter(projects)): each
        for each in state.installed
        if each.meta_path in gone and len(projects := projects_of(state, each)) == 1
    }
    replaced = {each.meta_path for each in single.values()}
    recorded = {name for each in state.installed if each.meta_path not in replaced for name in projects_of(state, each)}
    found: dict[str, Distribution] = {}
    for each in unmanaged(state):
        if each.name not in recorded and pep440_version(each.version) is not None:
            found.setdefault(each.name, each)
    versions = {name: each.record.version for each in state.installed for name in each.record.pypi_names}
    versions |= {name: each.version for name, each in found.items()}
    environment = target.marker_environment(python)
    staying = [each for each in state.installed if each.meta_path not in replaced]
    unfit = _violated(staying, found, environment)
    return tuple(
        Foreign(
            distribution=each,
            file=_file(each, python, state),
            metadata=_metadata(each, versions, environment, python),
            replaces=single.get(name),
        )
        for name, each in sorted(found.items())
        if name not in unfit
    )


def _sites(state: PrefixState) -> frozenset[str]:
    """The folders whose dist-infos were read; those that packages vendor lie elsewhere."""
    found = {each.path.rpartition("/")[0] for each in state.distributions}
    return frozenset(found | {state.site_packages or ""})


def _infos(installed: Installed, sites: Collection[str]) -> set[str]:
    infos = (path.rpartition("/")[0] for path in paths_of(installed.entries) if path.endswith(_ANCHORS))
    return {info for info in infos if info.rpartition("/")[0] in sites}


def _violated(
    installed: Sequence[Installed], found: Mapping[str, Distribution], environment: dict[str, str]
) -> frozenset[str]:
    """The projects among `found` whose version does not meet what an installed package needs."""
    return frozenset(
        name
        for each in installed
        for name, accepts in _needs(each, environment)
        if name in found and not accepts(found[name].version)
    )


def _needs(installed: Installed, environment: dict[str, str]) -> Iterator[tuple[str, Callable[[str], bool]]]:
    """(project or conda name, whether a version of it will do) for each need that holds here."""
    for text in installed.record.requirements:
        try:
            if installed.record.ecosystem == "conda":
                spec = parse_conda(text)
                yield canonicalize_name(spec.name), spec.accepts_version
                continue
            requirement = parse_pypi(text)
        except UsageError:
            continue  # the resolver passes it over too
        if requirement.marker is None or marker_holds(requirement.marker, environment):
            yield requirement.name, partial(_accepts, requirement)


def _metadata(
    distribution: Distribution, versions: Mapping[str, str], environment: dict[str, str], python: Python
) -> CoreMetadata:
    """Its METADATA, without the needs that are unmet today: they are its user's trouble, and block nothing else."""
    pythons = python_specifier(distribution.requires_python or "")
    runs = pythons is not None and specifier_accepts(pythons, python.version)
    return CoreMetadata(
        name=distribution.name,
        version=distribution.version,
        requires_python=distribution.requires_python if runs else None,
        requires_dist=tuple(text for text in distribution.requires_dist if _is_met(text, versions, environment)),
        provides_extra=distribution.provides_extra,
    )


def _is_met(text: str, versions: Mapping[str, str], environment: dict[str, str]) -> bool:
    """Whether a requirement holds today, or asks for nothing unless an extra is asked for."""
    try:
        requirement = parse_pypi(text)
    except UsageError:
        return False
    if requirement.marker is not None and not marker_holds(requirement.marker, environment):
        return True
    version = versions.get(requirement.name)
    if version is None or requirement.url is not None:
        return False
    return _accepts(requirement, version)


def _accepts(requirement: Requirement, version: str) -> bool:
    return requirement.specifier is None or specifier_accepts(requirement.specifier, version)


def _file(distribution: Distribution, python: Python, state: PrefixState) -> IndexFile:
    """A wheel for this minor of python alone: its files lie in the site-packages of that one."""
    major, minor = python.minor
    stem = f"{distribution.name.replace('-', '_')}-{pep440_version(distribution.version)}"
    return IndexFile(
        project=distribution.name,
        filename=f"{stem}-cp{major}{minor}-none-any.whl",
        version=distribution.version,
        url=(state.prefix / distribution.path).as_uri(),
        origin=distribution.installer or "",
    )

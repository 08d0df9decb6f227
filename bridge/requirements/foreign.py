"""The effects of other installers on an environment: displaced records, and foreign distributions.

pip and uv ignore conda-meta. If they replace or remove the files of a record, the record is *displaced*: its dist-info
is gone. A distribution that they installed on their own is *foreign*: it meets requirements, and bridge leaves it
alone. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from bridge.errors import UsageError
from bridge.model import Distribution, IndexFile, Installed, PrefixState
from bridge.requirements.algebra import (
    Requirement,
    marker_holds,
    parse_conda,
    parse_pypi,
    pep440_version,
    python_specifier,
    specifier_accepts,
)
from converters.deferred import dataclass, replace
from converters.metadata import CoreMetadata
from converters.projects import canonicalize_name
from converters.target import Python, Target

__all__ = ["Foreign", "foreign"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A distribution of another installer, as a candidate of the resolver.

    :param file: represents it in the resolver; the URL is that of the dist-info, so no index has it.
    :param replaces: the installed package whose record it displaced.
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
        """The requirement that it stays as it is; its text is the label."""
        from bridge.prefix.claims import label  # noqa: PLC0415 - most solves are of no environment

        return replace(parse_pypi(f"pypi:{self.project}"), text=label(self.distribution))


def foreign(state: PrefixState, target: Target) -> tuple[Foreign, ...]:
    """Return the distributions of other installers whose project no undisplaced record has.

    A distribution that violates the requirements of an installed package is left out: the environment is already
    broken, and the solver should find a repair; so is one of another python version, which this one does not import.
    Of several distributions of a project the first counts.
    """
    python = state.python
    if python is None or not any(each.record.name == "python" for each in state.installed):
        return ()
    from bridge.prefix.claims import unmanaged  # noqa: PLC0415
    from bridge.requirements.displaced import displaced, projects_of  # noqa: PLC0415

    gone = {each.meta_path for each in displaced(state)}
    single = {
        next(iter(projects)): each
        for each in state.installed
        if each.meta_path in gone and len(projects := projects_of(state, each)) == 1
    }
    replaced = {each.meta_path for each in single.values()}
    recorded = {name for each in state.installed if each.meta_path not in replaced for name in projects_of(state, each)}
    distributions: dict[str, Distribution] = {}
    for each in unmanaged(state):
        is_seen = state.site_packages in {None, each.path.rpartition("/")[0]}
        if is_seen and each.name not in recorded and pep440_version(each.version) is not None:
            distributions.setdefault(each.name, each)
    versions = {name: each.record.version for each in state.installed for name in each.record.pypi_names}
    versions |= {name: each.version for name, each in distributions.items()}
    environment = target.marker_environment(python)
    staying = [each for each in state.installed if each.meta_path not in replaced]
    unfit = _violated(staying, distributions, environment)
    return tuple(
        Foreign(
            distribution=each,
            file=_file(each, python, state),
            metadata=_metadata(each, versions, environment, python),
            replaces=single.get(name),
        )
        for name, each in sorted(distributions.items())
        if name not in unfit
    )


def _violated(
    installed: Sequence[Installed], distributions: Mapping[str, Distribution], environment: dict[str, str]
) -> frozenset[str]:
    """Return the projects among `versions` that do not meet a requirement of an installed package."""
    return frozenset(
        name
        for each in installed
        for name, accepts in _needs(each, environment)
        if name in distributions and not accepts(distributions[name].version)
    )


def _needs(installed: Installed, environment: dict[str, str]) -> Iterator[tuple[str, Callable[[str], bool]]]:
    """Yield (project or conda name, predicate on its version) for each requirement that applies here."""
    for text in installed.record.requirements:
        try:
            if installed.record.ecosystem == "conda":
                spec = parse_conda(text)
                yield canonicalize_name(spec.name), spec.accepts_version
                continue
            requirement = parse_pypi(text)
        except UsageError:
            continue  # the resolver ignores it too
        if requirement.marker is None or marker_holds(requirement.marker, environment):
            yield requirement.name, requirement.accepts


def _metadata(
    distribution: Distribution, versions: Mapping[str, str], environment: dict[str, str], python: Python
) -> CoreMetadata:
    """Return its METADATA without requirements that are unmet today: they must not block anything else."""
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
    """Return whether a requirement is met today, or applies only with an extra."""
    try:
        requirement = parse_pypi(text)
    except UsageError:
        return False
    if requirement.marker is not None and not marker_holds(requirement.marker, environment):
        return True
    version = versions.get(requirement.name)
    return version is not None and requirement.url is None and requirement.accepts(version)


def _file(distribution: Distribution, python: Python, state: PrefixState) -> IndexFile:
    """Return a wheel for this minor of python only: its files are in that python's site-packages."""
    major, minor = python.minor
    stem = f"{distribution.name.replace('-', '_')}-{pep440_version(distribution.version)}"
    return IndexFile(
        project=distribution.name,
        filename=f"{stem}-cp{major}{minor}-none-any.whl",
        version=distribution.version,
        url=(state.prefix / distribution.path).as_uri(),
        origin=distribution.installer or "",
    )

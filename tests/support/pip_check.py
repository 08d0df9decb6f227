"""What `pip check` would report about a solution, from the metadata of its distributions.

The rule is that of pip's `operations/check.py`: a requirement without an extra whose marker holds needs a distribution
of that name whose version its specifier contains (pre-releases too).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bridge.model import Resolution
from bridge.requirements.algebra import pep440_version
from converters.metadata import CoreMetadata
from converters.record import Record

__all__ = ["Finding", "Stub", "findings", "stubs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """A distribution of a solution. `version` is unknown for projects inside a record of another name."""

    project: str
    version: Version | None
    requires: tuple[str, ...]
    record: Record
    has_metadata: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A requirement of a stub that the environment does not meet. `found` is `None` if nothing has its name."""

    stub: Stub
    requirement: str
    project: str
    found: Version | None


def stubs(resolution: Resolution, metadata_of: Callable[[str, Version], CoreMetadata | None]) -> dict[str, Stub]:
    """Return the distributions of a solution by project: with METADATA of the same version, if there is any.

    A record that carries several projects has its version for that of its own name only.
    """
    made: dict[str, Stub] = {}
    for package in resolution.packages:
        record = package.record
        for project in record.pypi_names:
            is_own = len(record.pypi_names) == 1 or canonicalize_name(record.name) == project
            version = pep440_version(record.version) if is_own or record.ecosystem == "wheel" else None
            metadata = metadata_of(project, version) if version is not None else None
            stub = Stub(
                project=project,
                version=version,
                requires=metadata.requires_dist if metadata is not None else (),
                record=record,
                has_metadata=metadata is not None,
            )
            if project not in made or (made[project].version is None and version is not None):
                made[project] = stub
    return made


def findings(present: Mapping[str, Stub], environment: Mapping[str, str]) -> Iterable[Finding]:
    """Yield what `pip check` would report."""
    marker_environment = {**environment, "extra": ""}
    for stub in present.values():
        for text in stub.requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                continue
            if requirement.marker is not None and not requirement.marker.evaluate(marker_environment):
                continue
            project = canonicalize_name(requirement.name)
            found = present.get(project)
            if found is None:
                yield Finding(stub=stub, requirement=text, project=project, found=None)
            elif found.version is not None and not requirement.specifier.contains(found.version, prereleases=True):
                yield Finding(stub=stub, requirement=text, project=project, found=found.version)

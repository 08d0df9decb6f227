"""A bill of materials of a lock, without an environment: CycloneDX or SPDX."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from bridge.audit.finding import Report
from bridge.audit.report.facts import gather
from bridge.audit.report.sbom import bill_of_materials
from bridge.errors import UsageError
from bridge.lock.conda_lock import only_environment, python_of
from bridge.lock.content import Content
from bridge.lock.explicit import only_platform
from bridge.lock.records import record_of
from bridge.model import Distribution, Entry, Fingerprint, Installed, PrefixState
from converters.names import NameMap
from converters.record import Record
from converters.target import Target

__all__ = ["bill"]


def bill(content: Content, filename: str, when: datetime, names: NameMap, target: Target) -> bytes:
    """Return the bill of one platform; the file name chooses the format (`bridge.audit.report.sbom`).

    Raises `UsageError` (`lock-format`, `sbom-library`).
    """
    environment = only_environment(content, "a bill of materials")
    platform, packages = only_platform(environment, "a bill of materials")
    python = python_of(packages)
    installed, distributions = [], []
    for each in packages:
        if not each.url:
            raise UsageError("lock-format", f"nothing records which file of {each.name} {each.version} this is")
        record = record_of(each)
        path = f"conda-meta/{record.identity}.json"
        entries: tuple[Entry, ...] = ()
        if record.ecosystem == "wheel":  # Requires-Dist is that of a distribution
            distribution = _distribution(record)
            entries = (Entry(path=f"{distribution.path}/METADATA", fingerprint=Fingerprint(kind="file")),)
            distributions.append(distribution)
        installed.append(Installed(record=record, meta_path=path, entries=entries, requested=each.requested))
    state = PrefixState(
        prefix=Path(content.name or "lock"),
        installed=tuple(installed),
        distributions=tuple(distributions),
        python=python,
    )
    here = Target(subdir=platform, virtual_packages=target.virtual_packages if target.subdir == platform else ())
    counted = Report(prefix=state.prefix, packages={}, files=0, unowned=0, findings=())
    return bill_of_materials(gather(state, here, names, counted), filename, when)


def _distribution(record: Record) -> Distribution:
    """The distribution that a wheel would be, with what the lock says of its METADATA."""
    return Distribution(
        path=f"{record.name}-{record.version}.dist-info",
        name=record.name,
        version=record.version,
        requires_python=record.requires_python,
        requires_dist=record.requirements,
        provides_extra=record.extras,
    )

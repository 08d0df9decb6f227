"""The values that the functions return: frozen, and independent of what the core passes about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from bridge.audit.finding import Finding
from bridge.errors import BridgeError
from bridge.install.applied import AppliedPlan
from bridge.model import Change as Replacement
from bridge.model import Install, Operation, Reinstall, Remove, Resolution, Resolved
from bridge.secrets import masked
from converters.record import Record

__all__ = [
    "AuditReport",
    "Change",
    "Conversion",
    "Converted",
    "LockChange",
    "LockResult",
    "Outcome",
    "Package",
    "Solution",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package of a solution or of an environment.

    :param ecosystem: `conda`, `wheel`, or `other` for what another installer than bridge and conda put there.
    :param source: the channel or the index: a URL, a directory, or `host`.
    :param size: in bytes; `None` also for installed packages.
    :param projects: the names on a package index that it provides.
    :param requested: the requirements of the user that it meets.
    :param license: an SPDX expression, or the short name that its metadata have; of installed packages only.
    """

    name: str
    version: str
    build: str = ""
    ecosystem: Literal["conda", "wheel", "other"]
    subdir: str = ""
    source: str = ""
    url: str = ""
    sha256: str | None = None
    size: int | None = None
    projects: tuple[str, ...] = ()
    requested: tuple[str, ...] = ()
    license: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What `resolve` found, sorted by name."""

    platform: str
    packages: tuple[Package, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    def package(self, name: str) -> Package | None:
        """Return the package of a name, also of the name of a project."""
        return find(self.packages, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of an environment; `before` is `None` for an install, `after` for a removal."""

    kind: Literal["install", "change", "reinstall", "remove"]
    before: Package | None = None
    after: Package | None = None

    @property
    def name(self) -> str:
        """The name of the package afterwards, or of the removed one."""
        package = self.after or self.before
        return package.name if package is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a function changed, or with `dry_run` would change."""

    prefix: Path
    changes: tuple[Change, ...]
    dry_run: bool = False
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChange:
    """A package that came into a lock, left it or changed; texts are `VERSION [BUILD]`, places `PLATFORM`."""

    name: str
    before: str | None
    after: str | None
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockResult:
    """A lock: written to `path`, or only its `text`. `left_out`: what its format cannot hold."""

    path: Path | None
    text: str
    changes: tuple[LockChange, ...] = ()
    left_out: tuple[str, ...] = ()
    is_written: bool = False
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found, worst first. `accepted` findings count for nothing; each has its reason."""

    prefix: Path
    files: int
    findings: tuple[Finding, ...] = ()
    accepted: tuple[tuple[Finding, str], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether no finding is an error."""
        return not any(each.level == "error" for each in self.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A conda package or, without a `path`, a record of repodata that points to the wheel."""

    name: str
    version: str
    build: str
    subdir: str
    wheel: str
    path: Path | None = None
    sha256: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The packages that were made, and request → error for those that were not."""

    packages: tuple[Converted, ...]
    failures: Mapping[str, BridgeError] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0


def find(packages: Iterable[Package], name: str) -> Package | None:
    """Return the package of a name; of its own name before that of a project."""
    packages = tuple(packages)
    named = [each for each in packages if each.name == name]
    provided = [each for each in packages if name in each.projects]
    return next(iter((*named, *provided)), None)


def package_of(record: Record, requested: Iterable[str] = ()) -> Package:
    """Return the package of a record."""
    return Package(
        name=record.name,
        version=record.version,
        build=record.build,
        ecosystem=record.ecosystem,
        subdir=record.subdir,
        source=masked(record.origin),
        url=masked(record.url),
        sha256=record.sha256,
        size=record.size,
        projects=record.pypi_names,
        requested=tuple(requested),
    )


def solution_of(resolution: Resolution, warnings: Iterable[str]) -> Solution:
    """Return a resolution as a value of this interface."""
    return Solution(
        platform=resolution.target.subdir,
        packages=tuple(_resolved(each) for each in resolution.packages),
        warnings=tuple(dict.fromkeys((*warnings, *resolution.warnings))),
        seconds=resolution.statistics.seconds,
    )


def outcome_of(applied: AppliedPlan, warnings: Iterable[str], *, dry_run: bool) -> Outcome:
    """Return an applied plan as a value of this interface."""
    return Outcome(
        prefix=applied.plan.prefix,
        changes=tuple(map(_change, applied.plan.operations)),
        dry_run=dry_run,
        warnings=tuple(dict.fromkeys((*warnings, *applied.remarks))),
        seconds=applied.seconds,
    )


def _resolved(resolved: Resolved) -> Package:
    return package_of(resolved.record, resolved.requested)


def _change(operation: Operation) -> Change:
    if isinstance(operation, Install):
        return Change(kind="install", after=_resolved(operation.new))
    before = package_of(operation.old.record, operation.old.requested)
    if isinstance(operation, Remove):
        return Change(kind="remove", before=before)
    kind: Literal["change", "reinstall"] = "change" if isinstance(operation, Replacement) else "reinstall"
    assert isinstance(operation, (Replacement, Reinstall))
    return Change(kind=kind, before=before, after=_resolved(operation.new))

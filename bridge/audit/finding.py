"""What an audit says: findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.audit.claims import Owner, Source
from bridge.errors import BridgeError, FindingsError, InterruptedPrefixError

__all__ = [
    "INTERRUPTED",
    "LEVELS",
    "Finding",
    "Level",
    "Report",
    "Source",
    "at_path",
    "grouped",
    "is_at_least",
    "is_fixable",
]

Level = Literal["error", "warning", "info"]

LEVELS: tuple[Level, ...] = ("error", "warning", "info")  # worst first
INTERRUPTED = "interrupted-transaction"


def is_at_least(level: Level, floor: Level) -> bool:
    """Whether `level` is as bad as `floor`, or worse."""
    return LEVELS.index(level) <= LEVELS.index(floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as the records say, with the evidence and the command that repairs it.

    :param id: kebab-case and stable; one of `bridge.audit.CHECKS`.
    :param package: the native name of the package concerned; `None` where it concerns none.
    :param path: prefix-relative.
    :param owner: whose promise is broken, as `conda:NAME-VERSION-BUILD`, `wheel:NAME-VERSION`, or the INSTALLER's word
        in place of `wheel` for what no conda-meta record covers (`pip:NAME-VERSION`).
    :param by: who is the cause, spelled the same way, where the records tell.
    :param repair: the words of a command line; empty where there is nothing that a command could know to be right.
    """

    id: str
    level: Level
    evidence: str
    package: str | None = None
    path: str | None = None
    owner: str | None = None
    by: str | None = None
    repair: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The finding as an item of `findings` in `bridge/schemas/audit.json`; what does not apply is `null`."""
        return {
            "id": self.id,
            "level": self.level,
            "package": self.package,
            "path": self.path,
            "owner": self.owner,
            "by": self.by,
            "evidence": self.evidence,
            "repair": list(self.repair),
        }


def at_path(
    owner: Owner | None, path: str, name: str, level: Level, evidence: str, repair: tuple[str, ...] = ()
) -> Finding:
    """The finding `name` about one path, whose owner may be nobody."""
    package, label = (owner.package, owner.label) if owner is not None else (None, None)
    return Finding(id=name, level=level, package=package, path=path, owner=label, evidence=evidence, repair=repair)


def is_fixable(finding: Finding) -> bool:
    """Whether `bridge audit --fix` repairs it: its repair is that very command."""
    return finding.repair[:2] == ("bridge", "audit") and "--fix" in finding.repair


def grouped(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], ...]:
    """Findings of one kind, level, owner, culprit and repair together, in the order of the first of each."""
    groups: dict[object, list[Finding]] = {}
    for each in findings:
        whose = each.owner or each.package or (each.path or "").rpartition("/")[0]
        groups.setdefault((each.level, each.id, whose, each.by, each.repair), []).append(each)
    return tuple(tuple(group) for group in groups.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of an audit. Findings are sorted: worst first, then by package, path and id.

    :param packages: how many packages there are of each source.
    :param files: how many files and links lie in the prefix, bridge's own bookkeeping excepted.
    :param unowned: how many of them belong to nobody, also where that is no finding (a prefix without conda-meta).
    """

    prefix: Path
    packages: Mapping[Source, int]
    files: int
    unowned: int
    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        """How many findings are of exactly this level."""
        return sum(finding.level == level for finding in self.findings)

    def failure(self, fail_on: Level | None = "error") -> BridgeError | None:
        """The error that the command line ends with, or `None` for success.

        An interrupted transaction is `InterruptedPrefixError` (exit 9) whatever `fail_on` says: such a prefix is never
        clean. Findings at or above `fail_on` are a `FindingsError` (exit 11). The default is `error`: warnings tell of
        files that nobody vouches for, which people put there on purpose. `None`: findings never fail.
        """
        interrupted = next((finding for finding in self.findings if finding.id == INTERRUPTED), None)
        if interrupted is not None:
            return InterruptedPrefixError(
                INTERRUPTED,
                f"{self.prefix} holds a transaction that was interrupted",
                context=(interrupted.evidence,),
                hint=f"settle it with: {' '.join(interrupted.repair)}",
            )
        if fail_on is None:
            return None
        bad = [finding for finding in self.findings if is_at_least(finding.level, fail_on)]
        if not bad:
            return None
        said = f"{len(bad)} finding{'s' if len(bad) > 1 else ''} at or above {fail_on!r}"
        return FindingsError("audit-findings", f"{self.prefix}: {said}", objects={"findings": tuple(bad)})

    def to_json(self) -> dict[str, object]:
        """The document of `bridge audit --json` (`bridge/schemas/audit.json`)."""
        return {
            "prefix": str(self.prefix),
            "summary": {
                "packages": {source: self.packages.get(source, 0) for source in ("conda", "wheel", "unmanaged")},
                "files": self.files,
                "findings": {level: self.count(level) for level in LEVELS},
            },
            "findings": [finding.to_json() for finding in self.findings],
        }

"""Findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bridge.errors import BridgeError, FindingsError, InterruptedPrefixError
from converters.deferred import dataclass

if TYPE_CHECKING:
    from bridge.prefix.claims import Owner, Source

__all__ = [
    "IMPORT_FAILS",
    "INTERRUPTED",
    "LEVELS",
    "Finding",
    "Level",
    "Report",
    "grouped",
    "is_fixable",
]

Level = Literal["error", "warning", "info"]

LEVELS: tuple[Level, ...] = ("error", "warning", "info")  # worst first
INTERRUPTED = "interrupted-transaction"
IMPORT_FAILS = "import-fails"  # only with `--import`


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One contradiction between a prefix and its records, with the evidence and the command that repairs it.

    :param id: kebab-case and stable; one of `bridge.audit.checks.CHECKS`.
    :param package: the native name of the package concerned; `None`: no package is.
    :param path: prefix-relative.
    :param owner: the package whose record is contradicted: `conda:NAME-VERSION-BUILD`, `wheel:NAME-VERSION`, or without
        a conda-meta record INSTALLER's word in place of `wheel` (`pip:NAME-VERSION`).
    :param by: the package that caused it, if known; same spelling.
    :param repair: the words of a command line; empty where no command is certain to be right.
    :param advisory: the id of a known vulnerability; `aliases`: its other ids; `fixed`: the versions that fix it.
    """

    id: str
    level: Level
    evidence: str
    package: str | None = None
    path: str | None = None
    owner: str | None = None
    by: str | None = None
    repair: tuple[str, ...] = ()
    advisory: str | None = None
    aliases: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        owner: Owner | None,
        name: str,
        level: Level,
        path: str | None,
        evidence: str,
        *,
        by: Owner | None = None,
        repair: tuple[str, ...] = (),
    ) -> Finding:
        """The finding `name` about a path of `owner`; `None`: the path is unowned."""
        return cls(
            id=name,
            level=level,
            package=owner.package if owner else None,
            path=path,
            owner=owner.label if owner else None,
            by=by.label if by else None,
            evidence=evidence,
            repair=repair,
        )

    def to_json(self) -> dict[str, object]:
        """An item of `findings` in `bridge/schemas/audit.json`."""
        stated: dict[str, object] = {}
        if self.advisory is not None:
            stated = {"advisory": self.advisory, "aliases": list(self.aliases), "fixed": list(self.fixed)}
        return {
            "id": self.id,
            "level": self.level,
            "package": self.package,
            "path": self.path,
            "owner": self.owner,
            "by": self.by,
            "evidence": self.evidence,
            "repair": list(self.repair),
            **stated,
        }


def is_fixable(finding: Finding) -> bool:
    """Whether `bridge audit --fix` repairs it: that is the command it names."""
    return finding.repair[:2] == ("bridge", "audit") and "--fix" in finding.repair


def grouped(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], ...]:
    """Group findings of one id, level, owner, cause and repair, in the order of their first."""
    groups: dict[object, list[Finding]] = {}
    for each in findings:
        subject = each.owner or each.package or (each.path or "").rpartition("/")[0]
        groups.setdefault((each.level, each.id, each.advisory, subject, each.by, each.repair), []).append(each)
    return tuple(tuple(group) for group in groups.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The outcome of an audit. Findings are sorted: worst first, then by package, path and id.

    :param packages: source → number of packages.
    :param files: number of files and links in the prefix, without bridge's own.
    :param unowned: how many of them are unowned, even where that is no finding (a prefix without conda-meta).
    :param accepted: findings that a person accepted, each with the reason; they count for nothing.
    """

    prefix: Path
    packages: Mapping[Source, int]
    files: int
    unowned: int
    findings: tuple[Finding, ...]
    accepted: tuple[tuple[Finding, str], ...] = ()

    def count(self, level: Level) -> int:
        """The number of findings of exactly this level."""
        return sum(finding.level == level for finding in self.findings)

    def failure(self, fail_on: Level | None = "error") -> BridgeError | None:
        """The error that ends the command, or `None` for success.

        An interrupted transaction is `InterruptedPrefixError` (exit 9) whatever `fail_on` is. Findings at or above
        `fail_on` are a `FindingsError` (exit 11); `None`: findings never fail. The default is `error` because most
        warnings are about unowned files, which people add on purpose.
        """
        interrupted = next((finding for finding in self.findings if finding.id == INTERRUPTED), None)
        if interrupted is not None:
            return InterruptedPrefixError(
                INTERRUPTED,
                f"{self.prefix} has an interrupted transaction",
                context=(interrupted.evidence,),
                hint=f"finish or undo it with: {' '.join(interrupted.repair)}",
            )
        if fail_on is None:
            return None
        bad = [each for each in self.findings if LEVELS.index(each.level) <= LEVELS.index(fail_on)]
        if not bad:
            return None
        message = f"{self.prefix}: {len(bad)} finding{'s' if len(bad) > 1 else ''} at or above {fail_on!r}"
        return FindingsError("audit-findings", message, objects={"findings": tuple(bad)})

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
            "accepted": [{**finding.to_json(), "reason": reason} for finding, reason in self.accepted],
        }

"""The audit: what is in a prefix, held against what its records say.

`examine` is pure: the records, what was observed on disk and a target go in, a `Report` comes out. `audit` reads,
observes and examines. Each kind of finding is one function in the table `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge import prefix as prefixes
from bridge.audit import observe
from bridge.audit.checks import CHECKS, Check
from bridge.audit.dependencies import holdings_of
from bridge.audit.finding import LEVELS, Finding, Level, Report, Source
from bridge.audit.observed import Observed
from bridge.audit.view import make_view
from bridge.model import PrefixState
from bridge.transaction.recovery import pending
from converters.names import NameMap
from converters.target import Target

__all__ = [
    "CHECKS",
    "LEVELS",
    "Check",
    "Finding",
    "Level",
    "Observed",
    "Report",
    "Source",
    "audit",
    "examine",
]


def audit(prefix: Path, target: Target, names: NameMap, *, jobs: int | None = None) -> Report:
    """Read, hash and judge the environment at `prefix`, an unsettled transaction of bridge's included.

    It takes no lock: who audits while others change the prefix holds it for the time.

    :param jobs: threads that hash; `None`: one for each processor.
    Raises `UsageError` (`not-an-environment`) and `FaultError` (the prefix, or a folder of it, cannot be read). Costs
    about the time that plain hashing of the owned files takes.
    """
    state = prefixes.require(prefix)
    identifier = pending(state.prefix)
    interrupted = identifier and f"transaction {identifier} was interrupted, and is neither undone nor finished"
    return examine(state, observe.observe(state, jobs=jobs), target, names=names, interrupted=interrupted)


def examine(
    state: PrefixState,
    observed: Mapping[str, Observed],
    target: Target,
    *,
    names: NameMap,
    interrupted: str | None = None,
) -> Report:
    """Judge what was read. Pure: the same values give the same report.

    :param observed: prefix-relative path → what lies there, for every path of the prefix but bridge's own folder.
    :param interrupted: the sentence about a transaction that is neither undone nor finished; `None`: there is none.
    :param target: the machine; its python is replaced by that of `state`, where it has one.
    """
    view = make_view(holdings_of(state, target, names), observed, interrupted)
    findings = [finding for check in CHECKS for finding in check.run(view)]
    packages: dict[Source, int] = {"conda": 0, "wheel": 0, "unmanaged": 0}
    for owner in view.claims.owners:
        packages[owner.source] += 1
    return Report(
        prefix=state.prefix,
        packages=packages,
        files=sum(found.fingerprint.kind != "directory" and found.real is None for found in observed.values()),
        unowned=sum(view.unowned.values()),
        findings=tuple(sorted(findings, key=_order)),
    )


def _order(finding: Finding) -> tuple[int, str, str, str, str]:
    return LEVELS.index(finding.level), finding.package or "", finding.path or "", finding.id, finding.evidence

"""Reading an environment and judging it.

`examine` is pure: the records, what was observed on disk and a target go in, a `Report` comes out. `audit` reads,
observes and examines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from packaging.version import InvalidVersion, Version

from bridge import prefix as prefixes
from bridge.audit import caches, observe, reading
from bridge.audit.checks import CHECKS
from bridge.audit.dependencies import Holdings, holdings_of
from bridge.audit.finding import LEVELS, Finding, Report, Source
from bridge.audit.observed import Observed
from bridge.audit.readings import CacheEvidence, Readings
from bridge.audit.view import View, make_view
from bridge.model import IndexFile, PrefixState
from bridge.prefix.condameta import EMPTY
from bridge.transaction.recovery import pending
from converters.names import NameMap
from converters.target import Target

__all__ = ["audit", "examine", "judge"]


class YankedPort(Protocol):
    """What is asked of an index (`bridge.index.Index`)."""

    def files(self, project: str) -> tuple[IndexFile, ...]: ...

    def prefetch_files(self, projects: Iterable[str]) -> None: ...


def audit(
    prefix: Path,
    target: Target,
    names: NameMap,
    *,
    jobs: int | None = None,
    environ: Mapping[str, str] | None = None,
    cache: Path | None = None,
    watched: set[str] | None = None,
    index: YankedPort | None = None,
) -> Report:
    """Read, hash and judge the environment at `prefix`, an unsettled transaction of bridge's included.

    It takes no lock: who audits while others change the prefix holds it for the time.

    :param jobs: threads that hash; `None`: one for each processor.
    :param environ: where the user's own packages, PYTHONPATH and the caches of installers are looked up; `None`:
        nowhere.
    :param cache: bridge's own cache, looked into like those of others.
    :param watched: takes up the paths outside the prefix that the report rests on; it is emptied where caches were
        asked, for those change by themselves.
    :param index: where to ask which versions were yanked; `None`: nobody is asked.
    Raises `UsageError` (`not-an-environment`) and `FaultError` (the prefix, or a folder of it, cannot be read). Costs
    about the time that plain hashing of the owned files takes.
    """
    state = prefixes.require(prefix)
    identifier = pending(state.prefix)
    interrupted = identifier and f"transaction {identifier} was interrupted, and is neither undone nor finished"
    holdings = holdings_of(state, target, names)
    observed = observe.observe(state, holdings.claims, jobs=jobs)
    sites = prefixes.site_directories(state.prefix, state.site_packages)
    numpy = frozenset(_built_on_numpy(holdings))
    binaries = reading.read_binaries(state, list(reading.binary_paths(observed)), numpy)
    readings = reading.read(state, observed, sites, environ or {}, binaries)
    if index is not None:
        readings = replace(readings, yanked=_yanked(state, index))
    view = make_view(holdings, observed, interrupted, readings)
    evidence = _ask_caches(view, caches.cache_roots(state.prefix, environ, cache)) if environ is not None else None
    if watched is not None:
        watched |= {*readings.outside, *readings.surroundings.looked_at, *_led_out(observed)}
        watched |= {real for real in readings.interpreters.values() if real}
    if evidence is not None:
        if watched is not None:
            watched.clear()
        view = make_view(holdings, observed, interrupted, replace(readings, caches=evidence))
    return judge(view)


def _yanked(state: PrefixState, index: YankedPort) -> dict[str, str]:
    """The distributions whose version an index has taken back. All files of it must be yanked: one may be a bad build.

    A project that no index has was never there to be yanked.
    """
    wanted = [each for each in state.distributions if each.direct_url is None]
    index.prefetch_files(sorted({each.name for each in wanted}))
    found = {}
    for distribution in wanted:
        same = [file for file in index.files(distribution.name) if _is_version(file.version, distribution.version)]
        reasons = [file.yanked for file in same]
        if same and all(reason is not None for reason in reasons):
            found[distribution.path] = reasons[0] or ""
    return found


def _is_version(first: str, second: str) -> bool:
    try:
        return Version(first) == Version(second)
    except InvalidVersion:
        return first == second


def _led_out(observed: Mapping[str, Observed]) -> Iterator[str]:
    """The targets of links that are absolute: what they lead to decides whether they are broken."""
    return (found.fingerprint.link for found in observed.values() if (found.fingerprint.link or "").startswith("/"))  # type: ignore[misc]


def _built_on_numpy(holdings: Holdings) -> Iterator[str]:
    """The extension modules of packages that ask for numpy, where there is one."""
    if not any(distribution.name == "numpy" for distribution in holdings.importable):
        return
    asking = {
        id(owner)
        for owner in holdings.claims.owners
        if owner.installed is not None and reading.needs_numpy(owner.installed.record.requirements)
    }
    asking |= {
        id(holdings.claims.answering[each.path])
        for each in holdings.importable
        if reading.needs_numpy(each.requires_dist)
    }
    for path, group in holdings.claims.by_path.items():
        if path.endswith((".so", ".pyd")) and any(id(claim.owner) in asking for claim in group):
            yield path


def _ask_caches(view: View, roots: tuple[Path, ...]) -> CacheEvidence | None:
    """What caches know of bytes that nothing installed explains; `None` where there is nothing to ask."""
    different = [each for each in view.discrepancies if each.kind == "different" and each.observed is not None]
    wanted = {
        each.observed.fingerprint.sha256
        for each in different
        if each.by is None and each.twin is None and each.observed and each.observed.fingerprint.sha256
    } - {EMPTY}
    changed = {
        each.claim.entry.path: (view.state.prefix / each.claim.entry.path, each.claim.owner.installed)
        for each in different
        if each.observed is not None and each.observed.links > 1
    }
    return caches.search_caches(roots, wanted, changed) if (wanted or changed) and roots else None


def examine(
    state: PrefixState,
    observed: Mapping[str, Observed],
    target: Target,
    *,
    names: NameMap,
    interrupted: str | None = None,
    readings: Readings | None = None,
) -> Report:
    """Judge what was read. Pure: the same values give the same report.

    :param observed: prefix-relative path → what lies there, for every path of the prefix but bridge's own folder.
    :param interrupted: the sentence about a transaction that is neither undone nor finished; `None`: there is none.
    :param target: the machine; its python is replaced by that of `state`, where it has one.
    """
    return judge(make_view(holdings_of(state, target, names), observed, interrupted, readings))


def judge(view: View) -> Report:
    """Every check on one view."""
    findings = [finding for check in CHECKS for finding in check.run(view)]
    packages: dict[Source, int] = {"conda": 0, "wheel": 0, "unmanaged": 0}
    for owner in view.claims.owners:
        packages[owner.source] += 1
    return Report(
        prefix=view.state.prefix,
        packages=packages,
        files=sum(found.fingerprint.kind != "directory" and found.real is None for found in view.observed.values()),
        unowned=sum(view.unowned.values()),
        findings=tuple(sorted(dict.fromkeys(findings), key=_order)),
    )


def _order(finding: Finding) -> tuple[int, str, str, str, str]:
    return LEVELS.index(finding.level), finding.package or "", finding.path or "", finding.id, finding.evidence

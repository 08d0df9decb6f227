"""Audit an environment: read it, compare it with its records, run the checks.

`audit` does all of it. `judge` is pure: a `View` goes in, a `Report` comes out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bridge import prefix as prefixes
from bridge.audit.checks import CHECKS, Check
from bridge.audit.dependencies import importable, prefix_records
from bridge.audit.finding import LEVELS, Finding, Report
from bridge.audit.look import caches, inspect
from bridge.audit.look.embedded import read_embedded
from bridge.audit.look.inspection import CacheEvidence, Drift, EmbeddedPrefix
from bridge.audit.look.observation import Deferred
from bridge.audit.policy import is_same_version
from bridge.audit.reading import RunningAudit, start
from bridge.audit.view import View, make_view
from bridge.cache.cautions import CautionStore
from bridge.errors import UsageError
from bridge.model import IndexFile, PrefixState
from bridge.paths import EMPTY_SHA256
from bridge.prefix.claims import Claims, Source
from bridge.transaction.waiting import pending
from converters.deferred import replace
from converters.names import NameMap
from converters.projects import canonicalize_name
from converters.target import Target

__all__ = ["audit", "embedded_prefixes", "judge", "ordered", "report"]


EARLY = frozenset(
    """broken-binary case-collision duplicate-library extension-tag foreign-binary glibc-too-old library-too-old
    missing-library orphaned-bytecode outside-rpath requires-python tolerated-archive unicode-collision
    unmet-requirement unowned-file wheel-tag world-writable""".split()  # noqa: SIM905
)
"""The checks that run while other processes hash files: what they find depends on no content and no discrepancy."""


class StatusPort(Protocol):
    """The status of a project (PEP 792)."""

    @property
    def word(self) -> str: ...

    @property
    def reason(self) -> str: ...


class IndexPort(Protocol):
    """The part of `bridge.index.Index` that says which versions were yanked, and the status of projects."""

    @property
    def statuses(self) -> Mapping[str, StatusPort]: ...

    def files(self, project: str) -> Sequence[IndexFile]: ...

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
    index: IndexPort | None = None,
) -> Report:
    """Read, hash and judge the environment at `prefix`, including an interrupted transaction.

    Takes no lock; the caller holds one where others may change the prefix. The parameters are those of `start` and of
    `report`. Raises `UsageError` (`not-an-environment`) and `FaultError` (a directory cannot be read).
    """
    with start(prefix, jobs=jobs) as running:
        return report(running, target, names, environ=environ, cache=cache, watched=watched, index=index)


def embedded_prefixes(running: RunningAudit) -> Mapping[str, EmbeddedPrefix]:
    """Wait for the files; return path → the prefix in it, if that is wrong. Runs no checks."""
    state = running.state
    observed, _, _ = running.observation.results()
    return read_embedded(state.prefix, running.claims, observed, inspect.scripts_of(state.prefix, observed))


def report(
    running: RunningAudit,
    target: Target,
    names: NameMap,
    *,
    environ: Mapping[str, str] | None = None,
    cache: Path | None = None,
    watched: set[str] | None = None,
    index: IndexPort | None = None,
    others: Sequence[Check] = (),
    drift: tuple[Drift, ...] = (),
) -> Report:
    """Wait for the files and run the checks.

    :param environ: variables that locate the user's site directory, PYTHONPATH and the caches of installers;
        `None`: these are not read.
    :param cache: bridge's own cache, searched like those of other installers.
    :param watched: receives the paths outside the prefix that the report depends on; emptied if caches were
        searched, because those change at any time.
    :param index: reports yanked versions and the status of projects; `None`: these are not checked.
    :param others: checks of other distributions, which run after bridge's.
    :param drift: how the environment differs from a lock.
    """
    state, claims = running.state, running.claims
    identifier = pending(state.prefix)
    interrupted = identifier and f"transaction {identifier} was interrupted, and neither finished nor undone"
    records = prefix_records(state, target, names, claims)
    sites = prefixes.site_directories(state.prefix, state.site_packages)
    yanked = _yanked(state, index) if index is not None else {}
    statuses = _statuses(state, index) if index is not None else {}
    observed, binaries, stale = running.observation.results(frozenset(_built_on_numpy(state, claims)))
    inspection = inspect.inspect(state, observed, sites, environ or {}, binaries)
    embedded = Deferred(lambda: read_embedded(state.prefix, claims, observed, inspection.scripts))
    inspection = replace(
        inspection,
        yanked=yanked,
        statuses=statuses,
        drift=drift,
        stale_bytecode=stale,
        embedded=embedded,
        archives=_archives(state, cache) if cache is not None else {},
    )
    view = make_view(records, observed, interrupted, inspection)
    early = {check.id: tuple(check.run(view)) for check in CHECKS if check.id in EARLY}
    roots = caches.cache_roots(state.prefix, environ, cache) if environ is not None else ()
    evidence = _search_caches(view, roots)
    if watched is not None:
        watched |= {*inspection.outside, *inspection.surroundings.looked_at}
        watched |= set(filter(os.path.isabs, observed.links.values()))
        watched |= {*inspection.settings.named, *(each.interpreter for each in inspection.kernels.values())}
        watched |= {real for real in inspection.interpreters.values() if real}
        watched |= {each.prefix for each in embedded.values() if not each.is_here}
    if evidence is not None:
        if watched is not None:
            watched.clear()
        view = make_view(records, observed, interrupted, replace(inspection, caches=evidence))
    return judge(view, others, early)


def _archives(state: PrefixState, cache: Path) -> dict[str, tuple[tuple[str, str, str], ...]]:
    """conda-meta record → the cautions in bridge's cache about the archive (which the sha256 identifies)."""
    cautions = CautionStore(cache / "judged", root=cache)
    return {
        each.meta_path: recalled
        for each in state.installed
        if each.record.ecosystem == "conda" and each.record.sha256 is not None
        if (recalled := tuple(cautions.get(each.record.sha256)))
    }


def _yanked(state: PrefixState, index: IndexPort) -> dict[str, str]:
    """dist-info → the reason for which its version was yanked: all of its files are, not only a bad build."""
    wanted = [each for each in state.distributions if each.direct_url is None]
    index.prefetch_files(sorted({each.name for each in wanted}))
    yanked = {}
    for distribution in wanted:
        same = [file for file in index.files(distribution.name) if is_same_version(file.version, distribution.version)]
        reasons = [file.yanked for file in same]
        if same and all(reason is not None for reason in reasons):
            yanked[distribution.path] = reasons[0] or ""
    return yanked


def _statuses(state: PrefixState, index: IndexPort) -> dict[str, tuple[str, str]]:
    """dist-info → the status of its project and the reason, once the pages of the projects were read."""
    statuses = {each.path: index.statuses.get(canonicalize_name(each.name)) for each in state.distributions}
    return {path: (status.word, status.reason) for path, status in statuses.items() if status is not None}


def _built_on_numpy(state: PrefixState, claims: Claims) -> Iterator[str]:
    """The extension modules of packages that require numpy, if it is installed."""
    if not any(distribution.name == "numpy" for distribution in importable(state)):
        return
    requiring = {
        id(owner)
        for owner in claims.owners
        if owner.installed is not None and inspect.needs_numpy(owner.installed.record.requirements)
    }
    requiring |= {
        id(claims.answering[each.path]) for each in importable(state) if inspect.needs_numpy(each.requires_dist)
    }
    for path in claims.by_path if requiring else ():
        if path.endswith((".so", ".pyd")) and any(id(each.owner) in requiring for each in claims.by_path[path]):
            yield path


def _search_caches(view: View, roots: tuple[Path, ...]) -> CacheEvidence | None:
    """What caches know about bytes that no installed package promises; `None`: there is nothing to search."""
    different = [each for each in view.discrepancies if each.kind == "different" and each.observed is not None]
    wanted = {
        each.observed.fingerprint.sha256
        for each in different
        if each.by is None and each.observed and each.observed.fingerprint.sha256
    } - {EMPTY_SHA256}
    changed = {
        each.claim.entry.path: (view.state.prefix / each.claim.entry.path, each.observed.fingerprint.sha256)
        for each in different
        if each.observed is not None and each.observed.links > 1
    }
    return caches.search_caches(roots, wanted, changed) if (wanted or changed) and roots else None


def judge(view: View, others: Sequence[Check] = (), early: Mapping[str, Sequence[Finding]] = {}) -> Report:
    """Run every check on one view.

    :param early: what checks have found already, by their ids.
    Raises `UsageError` (`audit-plugin`): a check of `others` failed.
    """
    found = (early[check.id] if check.id in early else check.run(view) for check in CHECKS)
    findings = [finding for each in found for finding in each]
    for check in others:
        try:
            findings += list(check.run(view))
        except Exception as error:
            raise UsageError(
                "audit-plugin",
                f"the check {check.id} of another distribution failed: {type(error).__name__}: {error}",
                hint=f"leave out its distribution, or report it there; it is {check.run.__module__}",
            ) from error
    packages: dict[Source, int] = {"conda": 0, "wheel": 0, "unmanaged": 0}
    for owner in view.claims.owners:
        packages[owner.source] += 1
    return Report(
        prefix=view.state.prefix,
        packages=packages,
        files=view.observed.files,
        unowned=sum(view.unowned.values()),
        findings=ordered(findings),
    )


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once: worst first, then by package, path and id."""
    return tuple(sorted(dict.fromkeys(findings), key=_order))


def _order(finding: Finding) -> tuple[int, str, str, str, str]:
    return LEVELS.index(finding.level), finding.package or "", finding.path or "", finding.id, finding.evidence

"""The commands that change an environment, each in one transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import prefix
from bridge.cli.commands.preconditions import check_changeable, check_creatable
from bridge.cli.commands.replanning import plan_change
from bridge.cli.commands.request import Request
from bridge.cli.commands.returning import with_returned
from bridge.cli.policies import ruled_plan
from bridge.cli.session import Session
from bridge.install import plan as plans
from bridge.install.applied import AppliedPlan
from bridge.install.apply import change_prefix
from bridge.install.registration import register
from bridge.install.sources import Sources
from bridge.model import Plan, PrefixState
from bridge.paths import META
from bridge.prefix.claims import leaving
from bridge.prefix.history import unexplained
from bridge.transaction import recovery
from bridge.transaction.creation import clear_killed
from converters.deferred import replace

if TYPE_CHECKING:
    from bridge.audit.finding import Report
    from bridge.install.repair import Repair

__all__ = ["adopt", "create", "install", "recover", "remove", "repair", "update"]

_Planned = Callable[[], tuple[PrefixState, Plan, Sources]]


def create(path: Path, request: Request, session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Create an environment. Raises `OwnershipError` (`prefix-exists`) and `UsageError` (`prefix-parent`) first."""
    check_creatable(path, request.words)
    request = request.named(session)
    has_hashes = any(each.conda is not None and each.conda.artifact for each in request.requirements)
    channels = session.channels(packs_late=not is_dry_run and not has_hashes)
    names = session.names(channels.urls)
    resolution = session.resolve(request, channels, names)
    session.warnings += resolution.warnings
    sources = Sources.of(session, channels, names)
    planned = ruled_plan(plans.diff(PrefixState(prefix=path), resolution, path), sources)
    if is_dry_run:
        return AppliedPlan(plan=planned)
    from bridge.install.execute import create_prefix

    created = create_prefix(planned, sources)
    register(path, session.settings.conda, os.environ)
    return created


def install(
    path: Path, request: Request, session: Session, *, is_dry_run: bool = False, upgrades: bool = False
) -> AppliedPlan:
    """Add requirements. Installed packages keep their versions where possible; unrequested packages stay installed.

    :param upgrades: update the installed packages that the requirements name.
    """
    check_changeable(path, session, request.words)
    named = request.named(session)
    names = {each.name for each in named.requirements} if upgrades else set()

    def updating(state: PrefixState) -> Collection[str]:
        return {
            each.meta_path
            for each in state.installed
            if not names.isdisjoint((each.record.name, *each.record.pypi_names))
        }

    return _solved(path, named, session, updating, is_dry_run=is_dry_run)


def update(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Update packages to the newest versions that fit; without names, all of them."""

    def updating(state: PrefixState) -> Collection[str]:
        chosen = [each for name in names for each in plans.matching(state, name)] if names else state.installed
        return {each.meta_path for each in chosen}

    return _solved(path, Request(requirements=()), session, updating, is_dry_run=is_dry_run)


def remove(
    path: Path, names: Sequence[str], session: Session, *, listed: Sequence[str] = (), is_dry_run: bool = False
) -> AppliedPlan:
    """Remove packages, those installed by pip too, and what was installed only for them. Needs no network.

    :param listed: names of requirement files, which need not be installed: they are for every platform and python.
    """

    def planned() -> tuple[PrefixState, Plan, Sources]:
        state = prefix.require(path, is_brief=True, cache=session.settings.cache_dir)
        whole = plans.with_unmanaged(state)
        there = [name for name in listed if plans.is_installed(whole, name)]
        if absent := ", ".join(sorted({*listed} - {*there})):
            session.tell(f"not installed, so not removed: {absent}")
        plan = plans.removal(whole, session.target, [*names, *there], unexplained(state))
        unmanaged = [old for old in leaving(plan) if old not in state.installed]
        return (
            replace(state, installed=(*state.installed, *unmanaged)),
            replace(plan, keep=tuple(each for each in plan.keep if each in state.installed)),
            sources_of(session, state),
        )

    return _run(path, planned, session, is_dry_run=is_dry_run)


def adopt(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Write records for what pip installed."""
    from bridge.install.adopt import adopt as adopt_present

    check_changeable(path, session)
    return adopt_present(path, names, session, lambda state: sources_of(session, state), is_dry_run=is_dry_run)


def repair(
    path: Path,
    report: Report,
    session: Session,
    *,
    is_dry_run: bool = False,
    show: Callable[[Repair], None] = lambda repair: None,  # noqa: ARG005
) -> AppliedPlan:
    """In one transaction reinstall damaged packages, rewrite files that name another prefix, and remove leftovers.

    :param report: of the audit; `show` receives the repair before anything is written.
    """
    from bridge.install.repair import plan_repair

    check_changeable(path, session)
    repairs: list[Repair] = []

    def planned() -> tuple[PrefixState, Plan, Sources]:
        planned = plan_repair(path, report, lambda state: sources_of(session, state))
        repairs.append(planned)
        show(planned)
        return planned.state, planned.plan, planned.sources

    if is_dry_run:
        return AppliedPlan(plan=planned()[1])
    if not any(finding.repair and "--fix" in finding.repair for finding in report.findings):
        return AppliedPlan(plan=Plan(prefix=path, target=session.target))
    return change_prefix(path, planned, session, besides=lambda staging: repairs[0].stage(staging))  # noqa: PLW0108 - planned later


def recover(path: Path) -> recovery.Recovery:
    """Recover an interrupted transaction, and remove what killed runs of `create` left beside the prefix."""
    killed = clear_killed(path)
    undone = recovery.Recovery(state="restored", transaction=killed[-1] if killed else None)
    if killed and not os.path.lexists(path):
        return undone
    prefix.check(path)
    recovered = recovery.recover(path)
    return undone if killed and recovered.state == "nothing" else recovered


def _solved(
    path: Path,
    request: Request,
    session: Session,
    updating: Callable[[PrefixState], Collection[str]],
    *,
    is_dry_run: bool,
) -> AppliedPlan:
    """Solve for earlier and new requests together, and change the environment accordingly."""

    def planned() -> tuple[PrefixState, Plan, Sources]:
        state = prefix.require(path, is_brief=True, cache=session.settings.cache_dir)
        sources = sources_of(session, state)
        return state, plan_change(state, request, sources, updating(state)), sources

    return _run(path, planned, session, is_dry_run=is_dry_run)


def _run(path: Path, planned: _Planned, session: Session, *, is_dry_run: bool) -> AppliedPlan:
    check_changeable(path, session)

    def ruled() -> tuple[PrefixState, Plan, Sources]:
        state, plan, sources = planned()
        return state, with_returned(ruled_plan(plan, sources), sources, is_dry_run=is_dry_run), sources

    if is_dry_run:
        return AppliedPlan(plan=ruled()[1])
    changed = change_prefix(path, ruled, session)
    if not changed.plan.is_empty and (path / META).is_dir():
        register(path, session.settings.conda, os.environ)
    return changed


def sources_of(session: Session, state: PrefixState) -> Sources:
    channels = session.channels(state)
    return Sources.of(session, channels, session.names(channels.urls, state))

"""The commands that change an environment, each in one transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import prefix
from bridge.cli.commands.replanning import plan_change
from bridge.cli.commands.request import Request
from bridge.cli.session import Session
from bridge.errors import OwnershipError, UsageError
from bridge.install import plan as plans
from bridge.install.applied import AppliedPlan
from bridge.install.apply import change_prefix
from bridge.install.frozen_and_pinned import check_not_frozen
from bridge.install.sources import Sources
from bridge.model import Plan, PrefixState
from bridge.paths import META
from bridge.prefix.claims import leaving
from bridge.transaction import recovery
from bridge.transaction.creation import clear_killed

if TYPE_CHECKING:
    from bridge.audit.finding import Report
    from bridge.install.repair import Repair

__all__ = ["adopt", "create", "install", "recover", "remove", "repair", "update"]

_Planned = Callable[[], tuple[PrefixState, Plan, Sources]]


def create(path: Path, wanted: Request, session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """A new environment. Raises `OwnershipError` (`prefix-exists`), `UsageError` (`prefix-parent`) before all else."""
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise OwnershipError(
            "prefix-exists",
            f"{path} is there already",
            hint=f"add to it with: bridge install -p {path}, or choose another path"
            if (path / META).is_dir()
            else "choose another path, or an empty folder: a new environment takes the place of nothing else",
        )
    above = next(folder for folder in path.parents if os.path.lexists(folder))
    if not above.is_dir():
        raise UsageError(
            "prefix-parent", f"{path} cannot be made: {above} is no folder", hint="choose another path with -p DIR"
        )
    channels = session.channels(packs_late=not is_dry_run)
    names = session.names(channels.urls)
    resolution = session.resolve(wanted, channels, names)
    session.warnings += resolution.warnings
    planned = plans.diff(PrefixState(prefix=path), resolution, path)
    if is_dry_run:
        return AppliedPlan(plan=planned)
    from bridge.install.execute import create_prefix

    return create_prefix(planned, Sources(session=session, channels=channels, names=names))


def install(path: Path, wanted: Request, session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Add requirements. What is installed is kept where it can be, and never dropped silently for want of a root."""
    return _solved(path, wanted, session, lambda state: (), is_dry_run=is_dry_run)  # noqa: ARG005 - nothing moves


def update(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Bring packages to the newest that fits; without names, all of them."""

    def moving(state: PrefixState) -> Collection[str]:
        chosen = [each for name in names for each in plans.matching(state, name)] if names else state.installed
        return {each.meta_path for each in chosen}

    return _solved(path, Request(requirements=()), session, moving, is_dry_run=is_dry_run)


def remove(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Take packages away, and what came only for their sake; what pip put there too. Needs no network."""

    def planned() -> tuple[PrefixState, Plan, Sources]:
        found = prefix.require(path, is_brief=True)
        plan = plans.removal(plans.with_unmanaged(found), session.target, names)
        going = [old for old in leaving(plan) if old not in found.installed]
        state = replace(found, installed=(*found.installed, *going))
        return (
            state,
            replace(plan, keep=tuple(each for each in plan.keep if each in found.installed)),
            _sources(session, found),
        )

    return _run(path, planned, session, is_dry_run=is_dry_run)


def adopt(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Give records to what pip put there on its own."""
    from bridge.install.adopt import adopt as adopt_present

    _check_changeable(path, session)
    return adopt_present(path, names, session, lambda state: _sources(session, state), is_dry_run=is_dry_run)


def repair(
    path: Path,
    found: Report,
    session: Session,
    *,
    is_dry_run: bool = False,
    show: Callable[[Repair], None] = lambda repair: None,  # noqa: ARG005 - nobody watches
) -> AppliedPlan:
    """Install again what an audit found damaged, write this prefix into what names another, and clear away what is
    left over, in one transaction.

    :param show: gets what is to be done, before anything is written.
    """
    from bridge.install.repair import plan_repair

    _check_changeable(path, session)
    repairs: list[Repair] = []

    def planned() -> tuple[PrefixState, Plan, Sources]:
        planned = plan_repair(path, found, lambda state: _sources(session, state))
        repairs.append(planned)
        show(planned)
        return planned.state, planned.plan, planned.sources

    if is_dry_run:
        return AppliedPlan(plan=planned()[1])
    if not any(finding.repair and "--fix" in finding.repair for finding in found.findings):
        return AppliedPlan(plan=Plan(prefix=path, target=session.target))
    return change_prefix(path, planned, session, besides=lambda staging: repairs[0].stage(staging))  # noqa: PLW0108 - there is none yet


def recover(path: Path) -> recovery.Recovery:
    """Settle an interrupted transaction, and remove what killed creations of this environment left beside it."""
    killed = clear_killed(path)
    undone = recovery.Recovery(state="restored", transaction=killed[-1] if killed else None)
    if killed and not os.path.lexists(path):
        return undone
    prefix.check(path)
    found = recovery.recover(path)
    return undone if killed and found.state == "nothing" else found


def _solved(
    path: Path, wanted: Request, session: Session, moving: Callable[[PrefixState], Collection[str]], *, is_dry_run: bool
) -> AppliedPlan:
    """Change the environment into what solves what was asked of it before, and what is wanted now."""

    def planned() -> tuple[PrefixState, Plan, Sources]:
        state = prefix.require(path, is_brief=True)
        sources = _sources(session, state)
        return state, plan_change(state, wanted, sources, moving(state)), sources

    return _run(path, planned, session, is_dry_run=is_dry_run)


def _run(path: Path, planned: _Planned, session: Session, *, is_dry_run: bool) -> AppliedPlan:
    _check_changeable(path, session)
    if is_dry_run:
        return AppliedPlan(plan=planned()[1])
    return change_prefix(path, planned, session)


def _check_changeable(path: Path, session: Session) -> None:
    """Whether `path` is an environment that may be changed; asked for a dry run too, which tells what would happen.

    Raises `UsageError` (`not-an-environment`) and `OwnershipError` (`frozen-environment`, CEP 22).
    """
    prefix.check(path)
    if not session.settings.override_frozen:
        check_not_frozen(path)


def _sources(session: Session, state: PrefixState) -> Sources:
    channels = session.channels(state)
    return Sources(session=session, channels=channels, names=session.names(channels.urls, state))

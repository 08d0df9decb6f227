"""The commands that change an environment, each in one transaction."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import algebra, prefix, transaction
from bridge import plan as plans
from bridge.apply import Outcome, change_prefix, create_prefix
from bridge.commands.request import Asked
from bridge.errors import NoSolutionError, OwnershipError, UsageError
from bridge.marks import check_not_frozen, pins
from bridge.model import Installed, PathChange, Plan, PrefixState, Resolution
from bridge.owners import leaving
from bridge.paths import META
from bridge.session import Session, Supply
from converters.record import Record

if TYPE_CHECKING:
    from bridge.audit import Report

__all__ = ["adopt", "create", "install", "recover", "remove", "repair", "update"]

_Planned = Callable[[], tuple[PrefixState, Plan, Supply]]


def create(path: Path, wanted: Asked, session: Session, *, is_dry_run: bool = False) -> Outcome:
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
    names = session.names(channels)
    resolution = session.resolve(wanted, channels, names)
    session.warnings += resolution.warnings
    planned = plans.diff(PrefixState(prefix=path), resolution, path)
    if is_dry_run:
        return Outcome(plan=planned)
    return create_prefix(planned, Supply(session=session, channels=channels, names=names))


def install(path: Path, wanted: Asked, session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Add requirements. What is installed is kept where it can be, and never dropped silently for want of a root."""
    return _solved(path, wanted, session, _kept, is_dry_run=is_dry_run)


def update(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Bring packages to the newest that fits; without names, all of them."""

    def kept(state: PrefixState) -> dict[str, str]:
        moving = {each.meta_path for name in names for each in plans.matching(state, name)}
        staying = [each for each in state.installed if names and each.meta_path not in moving]
        return _kept(replace(state, installed=tuple(staying)))

    return _solved(path, Asked(requirements=()), session, kept, is_dry_run=is_dry_run)


def remove(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Take packages away, and what came only for their sake; what pip put there too. Needs no network."""

    def planned() -> tuple[PrefixState, Plan, Supply]:
        found = prefix.require(path, is_brief=True)
        plan = plans.removal(plans.with_unmanaged(found), session.target, names)
        going = [old for old in leaving(plan) if old not in found.installed]
        state = replace(found, installed=(*found.installed, *going))
        return (
            state,
            replace(plan, keep=tuple(each for each in plan.keep if each in found.installed)),
            _supply(session, found),
        )

    return _run(path, planned, session, is_dry_run=is_dry_run)


def adopt(path: Path, names: Sequence[str], session: Session, *, is_dry_run: bool = False) -> Outcome:
    """Give records to what pip put there on its own."""
    from bridge.adoption import adopt as adopt_present  # noqa: PLC0415 - no other command needs it

    _check_changeable(path, session)
    return adopt_present(path, names, session, lambda state: _supply(session, state), is_dry_run=is_dry_run)


def repair(
    path: Path,
    found: Report,
    session: Session,
    *,
    is_dry_run: bool = False,
    show: Callable[[Plan, Sequence[str]], None] = lambda plan, cleared: None,  # noqa: ARG005 - nobody watches
) -> Outcome:
    """Install again what an audit found damaged, and clear away what is left over, in one transaction.

    :param show: gets the plan and the paths that are to go, before anything is written.
    """
    from bridge.repair import leftovers, plan_repair  # noqa: PLC0415 - with it comes the whole audit

    _check_changeable(path, session)
    gone: list[PathChange] = []

    def planned() -> tuple[PrefixState, Plan, Supply]:
        state, plan, supply = plan_repair(path, found, lambda state: _supply(session, state))
        gone.extend(leftovers(path, found))
        show(plan, [change.path for change in gone])
        return state, plan, supply

    if is_dry_run:
        return Outcome(plan=planned()[1], cleared=tuple(change.path for change in gone))
    if not any(finding.repair and "--fix" in finding.repair for finding in found.findings):
        nothing = Plan(prefix=path, target=session.target)
        show(nothing, ())
        return Outcome(plan=nothing)
    return change_prefix(path, planned, session, cleared=lambda: tuple(gone))


def recover(path: Path) -> transaction.Recovery:
    """Settle an interrupted transaction."""
    prefix.check(path)
    return transaction.recover(path)


def _solved(
    path: Path, wanted: Asked, session: Session, kept: Callable[[PrefixState], Mapping[str, str]], *, is_dry_run: bool
) -> Outcome:
    """Change the environment into what solves what was asked of it before, and what is wanted now."""

    def planned() -> tuple[PrefixState, Plan, Supply]:
        state = prefix.require(path, is_brief=True)
        supply = _supply(session, state)
        resolution = _resolve_with(state, wanted, supply, kept=kept(state))
        session.warnings += resolution.warnings
        return state, plans.diff(state, resolution, path), supply

    return _run(path, planned, session, is_dry_run=is_dry_run)


def _run(path: Path, planned: _Planned, session: Session, *, is_dry_run: bool) -> Outcome:
    _check_changeable(path, session)
    if is_dry_run:
        return Outcome(plan=planned()[1])
    return change_prefix(path, planned, session)


def _check_changeable(path: Path, session: Session) -> None:
    """Whether `path` is an environment that may be changed; asked for a dry run too, which tells what would happen.

    Raises `UsageError` (`not-an-environment`) and `OwnershipError` (`frozen-environment`, CEP 22).
    """
    prefix.check(path)
    if not session.settings.override_frozen:
        check_not_frozen(path)


def _supply(session: Session, state: PrefixState) -> Supply:
    channels = session.channels(state)
    return Supply(session=session, channels=channels, names=session.names(channels, state))


def _kept(state: PrefixState) -> dict[str, str]:
    """Installed packages by the resolver's identifiers, to be kept where they do."""
    kept: dict[str, str] = {}
    for installed in state.installed:
        record = installed.record
        if record.ecosystem == "conda":
            kept[record.name] = record.identity
        elif record.pypi_names:
            kept[f"pypi:{record.pypi_names[0]}"] = record.filename
    return kept


def _resolve_with(state: PrefixState, wanted: Asked, supply: Supply, *, kept: Mapping[str, str]) -> Resolution:
    """Solve for the new requirements, those of before, and the presence of all that is installed.

    What carries the same project as something that comes now gives way to it, with what was asked for its sake: one
    package of several distributions to their wheels, and wheels to the package that carries them.
    """
    gone: set[str] = set()
    while True:
        left = replace(state, installed=tuple(each for each in state.installed if each.meta_path not in gone))
        found = _solve(left, state, wanted, supply, kept=kept)
        superseded = {each.meta_path for each in _superseded(found, left)}
        if not superseded:
            return found
        gone |= superseded


def _superseded(found: Resolution, state: PrefixState) -> Iterator[Installed]:
    """The installed packages that share a project, in another ecosystem, with one that comes."""
    there = {(each.record.ecosystem, each.record.name): each for each in state.installed}
    wheels = {each.record.pypi_names[0]: each.record for each in found.packages if each.record.ecosystem == "wheel"}
    for package in found.packages:
        record = package.record
        for project in record.pypi_names if record.ecosystem == "conda" else ():
            wheel = wheels.get(project)
            if wheel is None:
                continue
            pair = [there.get((each.ecosystem, each.name)) for each in (record, wheel)]
            if pair.count(None) == 1:
                yield from (each for each in pair if each is not None)


def _solve(
    left: PrefixState, state: PrefixState, wanted: Asked, supply: Supply, *, kept: Mapping[str, str]
) -> Resolution:
    """Where the presence of all that is left has no solution, what was never asked for may go; where it still has none,
    the explanation is of this.
    """
    fresh = {requirement.name for requirement in wanted.requirements}
    before = [
        algebra.parse(text)
        for installed in left.installed
        for text in installed.requested
        if algebra.parse(text).name not in fresh
    ]
    presence = [_presence(record) for record in (each.record for each in left.installed)]
    everything = replace(wanted, requirements=(*wanted.requirements, *before))
    session, channels, names, pinned = supply.session, supply.channels, supply.names, pins(state.prefix)
    try:
        return session.resolve(everything, channels, names, present=presence, state=state, kept=kept, pins=pinned)
    except NoSolutionError:
        return session.resolve(everything, channels, names, state=state, kept=kept, pins=pinned)


def _presence(record: Record) -> algebra.Requirement:
    if record.ecosystem == "wheel" and record.pypi_names:
        return algebra.parse_pypi(record.pypi_names[0])
    return algebra.conda_requirement(record.name)

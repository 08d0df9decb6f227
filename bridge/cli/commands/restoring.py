"""The commands that make an environment exactly what something names: a snapshot, a lock, another environment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import fs, prefix
from bridge.cli.commands.preconditions import check_changeable
from bridge.cli.commands.returning import with_returned
from bridge.cli.policies import ruled_plan
from bridge.cli.session import Session
from bridge.errors import UsageError, few
from bridge.faults import faults
from bridge.install.applied import AppliedPlan
from bridge.install.apply import change_prefix
from bridge.install.exact.planning import OF_WHEEL, check_fit, check_pins, plan_exact, python_of
from bridge.install.frozen_and_pinned import configured_pins, pins
from bridge.install.sources import Sources
from bridge.model import Installed, PathChange, Plan, PrefixState, Resolved
from bridge.paths import quoted
from bridge.prefix.claims import leaving
from bridge.prefix.revisions import (
    HISTORY,
    Revision,
    identity_of,
    parse_revisions,
    read_snapshot,
    snapshot_path,
    state_after,
)
from converters.deferred import replace
from converters.target import Target

if TYPE_CHECKING:
    from bridge.channels.sources import Channels
    from bridge.install.staging.repairs import RepairNote
    from converters.names import NameMap

__all__ = [
    "COLUMNS",
    "SHORT",
    "History",
    "checked",
    "history",
    "read_history",
    "resolved_of",
    "rollback",
    "sources_of",
    "with_python",
]

COLUMNS = ("revision", "date", "command", "packages")
SHORT = ("command", "packages")  # on a narrow terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The revisions of a prefix, and the numbers of those that have a snapshot."""

    prefix: Path
    revisions: tuple[Revision, ...]
    restorable: frozenset[int]

    def to_json(self) -> dict[str, object]:
        """The document of `bridge history`."""
        return {"prefix": str(self.prefix), "revisions": [self._revision(each) for each in self.revisions]}

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The table of `bridge history`."""
        rows: list[tuple[str, ...]] = []
        for each in self.revisions:
            changed = [f"+{identity_of(text)}" for text in each.added]
            changed += [f"-{identity_of(text)}" for text in each.removed]
            number = str(each.number) + ("" if each.number in self.restorable else " (no snapshot)")
            rows.append((number, each.date, each.command or "(another tool)", few(changed)))
        return rows

    def _revision(self, revision: Revision) -> dict[str, object]:
        return {
            "revision": revision.number,
            "date": revision.date,
            "command": revision.command,
            "added": list(revision.added),
            "removed": list(revision.removed),
            "restorable": revision.number in self.restorable,
        }


def history(path: Path) -> History:
    """Read the revisions of a prefix. Raises `UsageError` (`not-an-environment`)."""
    prefix.check(path)
    return read_history(path)


def read_history(path: Path) -> History:
    """Read the revisions of a directory that may be a prefix."""
    with faults(path):
        text = fs.read_content(path / HISTORY) if (path / HISTORY).is_file() else b""
    revisions = parse_revisions(text.decode("utf-8", "replace"))
    there = frozenset(each.number for each in revisions if (path / snapshot_path(each.number)).is_file())
    return History(prefix=path, revisions=revisions, restorable=there)


def rollback(path: Path, number: int | None, session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Restore the packages of a revision; without a number, of the state before the last change.

    A repair changes files and no package, and is no revision; without a number it is undone by the files that it kept.

    Raises `UsageError` (`no-revision`: there is no such revision, or no snapshot of it), `NetworkError`
    (`not-available`) before anything is written.
    """
    from bridge.install.staging.repairs import read_note

    note = None if number is not None else read_note(path)
    if note is not None:
        return _unrepaired(path, note, session, is_dry_run=is_dry_run)

    def wanted(state: PrefixState) -> tuple[str, tuple[Resolved, ...]]:
        known = read_history(path)
        chosen = number if number is not None else _before_last(known, state)
        packages = _snapshot(known, chosen)
        return f"revision {chosen}", resolved_of(packages)

    return _restore(path, wanted, session, is_dry_run=is_dry_run)


def _unrepaired(path: Path, note: RepairNote, session: Session, *, is_dry_run: bool) -> AppliedPlan:
    """Put back the files that a repair replaced, and remove those that it restored."""
    from bridge.install.staging.repairs import undo

    def planned() -> tuple[PrefixState, Plan, Sources]:
        state = prefix.require(path, is_brief=True, cache=session.settings.cache_dir)
        target = with_python(session.target, (), state)
        plan = Plan(prefix=path, target=target, operations=(), keep=state.installed, python=state.python)
        return state, plan, sources_of(session, path, (), state)

    def besides(staging: Path) -> tuple[PathChange, ...]:
        changes, left = undo(note, path, staging)
        if left:
            session.warnings.append(
                f"not restored, because it changed since or its former version is gone: {few(left)}"
            )
        return changes

    check_changeable(path, session)
    files = (*note.kept, *note.restored)
    if not files:
        problem = f"the last change of {path} was a repair ({note.date}), and what it replaced is not kept"
        hint = f"to undo an earlier change, give the number of a revision: bridge history -p {quoted(path)}"
        raise UsageError("no-revision", problem, hint=hint)
    session.warnings.append(f"the last change was a repair ({note.date}); restored as they were before: {few(files)}")
    return AppliedPlan(plan=planned()[1]) if is_dry_run else change_prefix(path, planned, session, besides=besides)


def _before_last(known: History, state: PrefixState) -> int:
    """Return the revision before the last change, which may be one that the history does not have."""
    there = {each.record.identity for each in state.installed}
    recorded = {identity_of(text) for text in state_after(known.revisions)}
    last = len(known.revisions) - 1
    if there != recorded and last in known.restorable:
        return last
    if last < 1:
        hint = f"see: bridge history -p {quoted(known.prefix)}"
        raise UsageError("no-revision", f"the history of {known.prefix} has no change to undo", hint=hint)
    return last - 1


def _snapshot(known: History, number: int) -> tuple[Installed, ...]:
    path = known.prefix / snapshot_path(number)
    if not 0 <= number < len(known.revisions):
        last = len(known.revisions) - 1
        problem = f"{known.prefix} has no revision {number}"
        hint = f"it has the revisions 0 to {last}" if last > 0 else "it has revision 0 alone"
        hint = hint if last >= 0 else "its history is empty"
        raise UsageError("no-revision", problem, hint=f"{hint}; see: bridge history -p {quoted(known.prefix)}")
    if number not in known.restorable:
        can = ", ".join(str(each) for each in sorted(known.restorable)) or "none"
        raise UsageError(
            "no-revision",
            f"bridge has no snapshot of revision {number}: another tool made it, or it was removed as too old",
            context=(f"revisions with a snapshot: {can}",),
            hint=f"choose one of these, or let conda try: conda install -p {quoted(known.prefix)} --revision {number}",
        )
    with faults(path):
        data = fs.read_content(path)
    return read_snapshot(data, str(path))[1]


def resolved_of(packages: Iterable[Installed]) -> tuple[Resolved, ...]:
    """Return installed packages as packages to install. Only the archive of a wheel states its requirements."""
    return tuple(
        Resolved(
            record=each.record,
            requested=each.requested,
            unstated=OF_WHEEL if each.record.ecosystem == "wheel" else frozenset(),
        )
        for each in packages
    )


_Wanted = Callable[[PrefixState], tuple[str, tuple[Resolved, ...]]]


def _restore(path: Path, wanted: _Wanted, session: Session, *, is_dry_run: bool) -> AppliedPlan:
    """Make the prefix what a snapshot states."""

    def planned() -> tuple[PrefixState, Plan, Sources]:
        state = prefix.require(path, is_brief=True, cache=session.settings.cache_dir)
        source, packages = wanted(state)
        sources = sources_of(session, path, packages, state)
        target = with_python(session.target, packages, state)
        check_fit(packages, target, source)
        plan = plan_exact(state, packages, target, path)
        check_pins(plan, pins(path), source, configured=configured_pins(session.settings))
        return checked(state, plan, sources, is_dry_run=is_dry_run)

    check_changeable(path, session)
    return AppliedPlan(plan=planned()[1]) if is_dry_run else change_prefix(path, planned, session)


def checked(state: PrefixState, plan: Plan, sources: Sources, *, is_dry_run: bool) -> tuple[PrefixState, Plan, Sources]:
    """Return the inputs of a change, after checking that every archive can be had.

    The state includes distributions of other installers that the plan removes.
    """
    removed = [old for old in leaving(plan) if old not in state.installed]
    state = replace(state, installed=(*state.installed, *removed))
    plan = ruled_plan(plan, sources)
    if plan.is_empty or is_dry_run:
        return state, plan, sources
    from bridge.install.exact.availability import available

    return state, with_returned(available(plan, sources), sources, is_dry_run=False), sources


def sources_of(session: Session, path: Path, packages: Sequence[Resolved], state: PrefixState) -> Sources:
    """Return the sources of an exact plan: the channels that its packages came from, and the names they provide."""
    wanted = tuple(
        Installed(record=each.record, meta_path="", entries=(), requested=each.requested) for each in packages
    )

    @cache
    def opened() -> tuple[Channels, NameMap]:
        channels = session.channels(PrefixState(prefix=path, installed=wanted or state.installed))
        return channels, session.names(channels.urls, state)

    return Sources(session=session, opened=opened, is_exact=True)


def with_python(target: Target, packages: Sequence[Resolved], state: PrefixState) -> Target:
    """Return the target with the python of the packages, else that of the environment."""
    python = python_of(each.record for each in packages) or state.python
    return target if python is None else target.with_python(python)

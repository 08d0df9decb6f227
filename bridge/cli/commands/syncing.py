"""`bridge sync` and `create --clone`: exactly what a lock or another environment has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge import prefix
from bridge.cli.commands.preconditions import check_changeable, check_creatable
from bridge.cli.commands.restoring import checked, resolved_of, sources_of
from bridge.cli.session import Session
from bridge.cli.targets import target_of
from bridge.errors import UsageError
from bridge.install.applied import AppliedPlan
from bridge.install.apply import change_prefix
from bridge.install.exact.planning import check_fit, check_pins, plan_exact, python_of
from bridge.install.exact.records import resolved_of_lock
from bridge.install.frozen_and_pinned import configured_pins, pins
from bridge.install.registration import register
from bridge.install.sources import Sources
from bridge.model import Installed, Plan, PrefixState, Resolved
from bridge.paths import LOCK_FILE, quoted
from bridge.requirements.files.locks.remembered import LockStore
from bridge.requirements.locked import Lock, Locked, LockedConda, LockedSource, for_target
from converters.deferred import replace
from converters.target import Target

__all__ = ["Chosen", "Wanted", "clone", "is_closed", "is_of_wheels", "sync", "wanted_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A lock, and what to take from it. `path`: `None` for `bridge.lock` in the current directory."""

    path: str | None = None
    environment: str | None = None
    extras: Sequence[str] = ()
    groups: Sequence[str] = ()

    def read(self, session: Session) -> Lock:
        """Read the lock. Raises what its reader raises, and `UsageError` (`no-lock`)."""
        path, text = self._text()
        return _read(path, text, self, session)

    def read_for(self, session: Session) -> Lock:
        """As `read`; what it says of other platforms and environments may be left out."""
        path, text = self._text()
        if self.extras or self.groups:
            return _read(path, text, self, session)
        store, subdir = LockStore(session.settings.cache_dir), session.target.subdir
        known = store.read(path, text, self.environment, subdir)
        if known is None:
            lock = _read(path, text, self, session)
            lock.environment(self.environment).on(subdir, lock.path)
            store.keep(lock, text, self.environment, subdir)
        return known or lock

    def _text(self) -> tuple[Path, str]:
        from bridge.requirements.files.text import read_lock_text

        path = Path(self.path or LOCK_FILE)
        if self.path is None and not path.is_file():
            raise UsageError("no-lock", f"there is no {LOCK_FILE} here", hint="name one, or make it: bridge lock REQ…")
        return path, read_lock_text(path)


def _read(path: Path, text: str, chosen: Chosen, session: Session) -> Lock:
    """Read a lock of any format; only the reader of its own is imported, for these take longer than a small lock."""
    from bridge.requirements.files.explicit import read_explicit
    from bridge.requirements.files.text import is_explicit

    subdir = session.target.subdir
    has_parts = bool(chosen.extras or chosen.groups)
    if not has_parts and (is_explicit(text) or path.suffix == ".txt"):
        from bridge.install.exact.lists import lock_of_list

        if is_explicit(text):
            listed = read_explicit(path, text, subdir)
        else:
            from bridge.requirements.files.reading import read

            listed = read(path, platform=subdir)
        if not all(each.name for each in listed.requirements):
            listed = replace(listed, requirements=session.named(listed.requirements))
        lock = lock_of_list(path, listed, subdir, lambda: session.index)
    else:
        from bridge.requirements.files.locks.rattler import is_rattler, read_rattler

        if is_rattler(text) and not has_parts:
            lock = read_rattler(path, text)
        else:
            from bridge.requirements.files.locks.reading import read_lock

            environ = dict(os.environ)
            lock = read_lock(path, platform=subdir, extras=chosen.extras, groups=chosen.groups, environ=environ)
    session.tell_once(lock.warnings)
    return lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a lock has for one target."""

    packages: tuple[Locked, ...]
    target: Target
    source: str


def wanted_of(
    lock: Lock, chosen: Chosen, session: Session, state: PrefixState, *, may_lack_python: bool = False
) -> Wanted:
    """Return what a lock has for the platform of the run, and for the python of the lock or of the environment.

    :param may_lack_python: return all files of projects where no python tells which one is meant.

    Raises `UsageError` as `for_target`; `no-python` where there is no python.
    """
    environment = lock.environment(chosen.environment)
    listed = environment.on(session.target.subdir, lock.path)
    python = python_of(each.record for each in listed if isinstance(each, LockedConda)) or state.python
    target = session.target if python is None else session.target.with_python(python)
    if python is not None or all(isinstance(each, LockedConda) for each in listed):
        return Wanted(packages=for_target(environment, target, lock.path), target=target, source=str(lock.path))
    if may_lack_python:
        return Wanted(packages=listed, target=target, source=str(lock.path))
    raise UsageError(
        "no-python",
        f"{lock.path} locks wheels and no python, and {state.prefix} has none",
        hint=f"create it first: bridge create -p {quoted(state.prefix)} python; then sync it",
    )


def sync(
    path: Path,
    chosen: Chosen,
    session: Session,
    *,
    lock: Lock | None = None,
    keeps: bool = False,
    is_dry_run: bool = False,
) -> AppliedPlan:
    """Make an environment exactly what a lock says; one that does not exist is created.

    :param lock: what `chosen` is, if it was read.

    A lock of wheels alone says nothing of conda packages, which stay. Raises what the readers raise, `UsageError` for a
    lock that does not fit this machine, `NetworkError` (`not-available`); all before anything is written.
    """
    lock = lock or chosen.read_for(session)

    def planned() -> tuple[PrefixState, Plan, Sources]:
        state = (
            PrefixState(prefix=path)
            if is_new
            else prefix.require(path, is_brief=True, cache=session.settings.cache_dir)
        )
        wanted = wanted_of(lock, chosen, session, state)
        sources = sources_of(session, path, _of_conda(wanted.packages), state)
        packages = resolved_of_lock(
            wanted.packages, wanted.target, lambda: sources.names, lambda: session.index, state.installed
        )
        check_fit(packages, wanted.target, wanted.source)
        plan = plan_exact(
            state,
            packages,
            wanted.target,
            path,
            keeps=keeps,
            keeps_conda=is_of_wheels(lock, wanted.packages),
            has_requests=any(each.requested for each in wanted.packages),
        )
        check_pins(plan, pins(path), wanted.source, configured=configured_pins(session.settings))
        return checked(state, plan, sources, is_dry_run=is_dry_run)

    is_new = _is_new(path)
    if is_new:
        check_creatable(path)
    else:
        check_changeable(path, session)
    if is_dry_run:
        return AppliedPlan(plan=planned()[1])
    if is_new:
        return _create(planned(), session)
    changed = change_prefix(path, planned, session)
    if not changed.plan.is_empty:
        register(path, session.settings.conda, os.environ)
    return changed


def is_closed(lock: Lock) -> bool:
    """Whether a lock's text says all: it is no list of requirements, and names no source code."""
    if lock.format == "explicit" or lock.warnings:
        return False
    listed = (
        each for environment in lock.environments for packages in environment.packages.values() for each in packages
    )
    return not any(isinstance(each, LockedSource) for each in listed)


def is_of_wheels(lock: Lock, packages: Sequence[Locked]) -> bool:
    """Whether a lock says nothing of conda packages: by its format, or because its wheels need another's python."""
    if lock.format in {"uv", "pylock"}:
        return True
    return bool(packages) and not any(isinstance(each, LockedConda) for each in packages)


def _create(planned: tuple[PrefixState, Plan, Sources], session: Session) -> AppliedPlan:
    from bridge.install.execute import create_prefix

    _, plan, sources = planned
    created = create_prefix(plan, sources)
    register(plan.prefix, session.settings.conda, os.environ)
    return created


def _of_conda(packages: Sequence[Locked]) -> tuple[Resolved, ...]:
    return tuple(Resolved(record=each.record) for each in packages if isinstance(each, LockedConda))


def _is_new(path: Path) -> bool:
    return not os.path.lexists(path) or (path.is_dir() and not any(path.iterdir()))


def clone(path: Path, source: Path, session: Session, *, is_dry_run: bool = False) -> AppliedPlan:
    """Create an environment with the packages of another one, by URL and hash.

    Raises `UsageError` (`not-cloneable`) for packages of which no record states where they came from.
    """
    check_creatable(path)
    state = prefix.require(source)
    if session.settings.platform is None and state.platform is not None:
        session.set_target(target_of(replace(session.settings, platform=state.platform)))
    packages = resolved_of(state.installed)
    unknown = [each.record.label for each in packages if not each.record.url or each.record.url.endswith(".dist-info")]
    unknown += [f"{old.record.name} {old.record.version} (pip)" for old in unmanaged_in(state)]
    if unknown:
        raise UsageError(
            "not-cloneable",
            f"{source} has packages whose records do not state where they came from: {', '.join(unknown[:10])}",
            hint=f"let bridge look for them: bridge adopt -p {quoted(source)}; or remove them",
        )
    if not packages:
        hint = f"write what it has to a lock instead: bridge export -p {quoted(source)}"
        raise UsageError("not-cloneable", f"{source} has no records of packages: conda-meta is empty", hint=hint)
    sources = sources_of(session, path, packages, state)
    python = python_of(each.record for each in packages) or state.python
    target = session.target if python is None else session.target.with_python(python)
    check_fit(packages, target, str(source))
    empty = PrefixState(prefix=path)
    planned = checked(empty, plan_exact(empty, packages, target, path), sources, is_dry_run=is_dry_run)
    return AppliedPlan(plan=planned[1]) if is_dry_run else _create(planned, session)


def unmanaged_in(state: PrefixState) -> list[Installed]:
    """Return the distributions of other installers."""
    from bridge.install.plan import with_unmanaged

    return [each for each in with_unmanaged(state).installed if each not in state.installed]

"""Carrying out a plan: fetch, verify, judge, stage, commit. Whatever is refused is refused before the first write.

What brings and stages packages is imported when there are some: that nothing is to be done is found without it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import fs
from bridge.cache.prune import in_use
from bridge.install.sources import Sources, command_line
from bridge.model import Fingerprint, PathChange, Plan, PrefixState
from bridge.resolve.ports import RunPort
from bridge.transaction import commit
from bridge.transaction.creation import create

if TYPE_CHECKING:
    from bridge.install.staging import StagedPlan

__all__ = ["AppliedPlan", "change_prefix", "create_prefix"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPlan:
    """What was done. `link_scripts` are `package: script` of conda packages that were not run.

    `besides` are paths that changed and are no package's that was placed: rewritten, or taken away. `remarks` say what
    was tolerated in archives.
    """

    plan: Plan
    staged: StagedPlan | None = None
    besides: tuple[str, ...] = ()
    link_scripts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0


def create_prefix(plan: Plan, sources: Sources) -> AppliedPlan:
    """Make `plan.prefix`, aside, and publish it by one rename.

    Raises `OwnershipError` (`prefix-exists`) where something lies there, and whatever a step refuses; nothing is left
    then.
    """
    from bridge.install.fetching import Scripts, fetch, remarks_of, stage_inputs  # noqa: PLC0415 - see the module
    from bridge.install.staging import Unpacking, stage  # noqa: PLC0415

    started = time.perf_counter()
    settings = sources.session.settings
    with in_use(settings.cache_dir), create(plan.prefix, durability=settings.durability) as creation:
        scratch = creation.root / "conda-meta" / ".bridge" / "scratch"
        # All of it lies aside until it is published, so a package is unpacked as soon as it was judged.
        with Unpacking(scratch) as unpacking:
            fetched = fetch(plan, sources, unpacking)
            state = PrefixState(prefix=plan.prefix)
            inputs = stage_inputs(state, sources, fetched, _nothing)
            with _shown(sources.session, f"staging {len(fetched.archives)} packages"):
                staged = stage(inputs, creation.root, scratch, unpacking=unpacking)
        _warn(sources.session, staged)
        scripts = Scripts(plan.prefix, fetched, sources.session)
        with _shown(sources.session, "publishing the environment"):
            creation.publish(published=scripts.after)
    return AppliedPlan(
        plan=fetched.plan,
        staged=staged,
        link_scripts=scripts.not_run,
        remarks=remarks_of(fetched),
        seconds=time.perf_counter() - started,
    )


def change_prefix(
    prefix: Path,
    planned: Callable[[], tuple[PrefixState, Plan, Sources]],
    session: RunPort,
    *,
    besides: Callable[[Path], tuple[PathChange, ...]] = lambda staging: (),  # noqa: ARG005 - nothing besides
) -> AppliedPlan:
    """Lock the prefix, settle what was interrupted, plan, and carry the plan out in one transaction.

    :param planned: reads the prefix and plans; called while the lock is held.
    :param besides: then stages, into the directory it is given, what else is to change in the same transaction.
    """
    started = time.perf_counter()
    settings = session.settings
    with commit.change(prefix, lock_timeout=settings.lock_timeout, durability=settings.durability) as running:
        state, plan, sources = planned()
        if plan.is_empty:
            more = besides(running.staging)
            names = tuple(change.path for change in more)
            if more:
                running.commit(more, plan={"command": command_line()})
            return AppliedPlan(plan=plan, besides=names, seconds=time.perf_counter() - started)
        from bridge.install.fetching import Scripts, fetch, remarks_of, stage_inputs  # noqa: PLC0415 - see the module
        from bridge.install.staging import stage  # noqa: PLC0415

        with in_use(settings.cache_dir):
            fetched = fetch(plan, sources)
            inputs = stage_inputs(state, sources, fetched, lambda path: fs.fingerprint(prefix, path))
            with _shown(session, f"staging {len(fetched.archives)} packages"):
                staged = stage(inputs, running.staging, running.staging.parent / "scratch")
        more = besides(running.staging)
        _warn(session, staged)
        scripts = Scripts(prefix, fetched, session)
        with scripts.undone(running), _shown(session, f"swapping {len(staged.changes)} paths"):
            scripts.before()
            running.commit((*staged.changes, *more), plan={"command": command_line()}, swapped=scripts.after)
    if running.keeps_open:
        session.warnings.append(
            "replaced files are open in other processes; the next change removes what is left of them"
        )
    return AppliedPlan(
        plan=fetched.plan,
        staged=staged,
        besides=tuple(change.path for change in more),
        link_scripts=scripts.not_run,
        remarks=remarks_of(fetched),
        seconds=time.perf_counter() - started,
    )


@contextmanager
def _shown(session: RunPort, step: str) -> Iterator[None]:
    """A step of unknown length, for whoever watches."""
    if session.progress is None:
        yield
        return
    session.progress.start(step, None)
    try:
        yield
    finally:
        session.progress.finish(step)


def _warn(session: RunPort, staged: StagedPlan) -> None:
    if staged.problem:
        session.warnings.append(f"modules are not compiled to bytecode: {staged.problem}")


def _nothing(path: str) -> Fingerprint | None:  # noqa: ARG001 - in a new prefix nothing lies anywhere
    return None

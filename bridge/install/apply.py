"""Apply a plan: fetch, verify, check, stage, commit. Refusals happen before the first write.

Modules that fetch and stage are imported late so that a no-op stays fast.
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
    """The result of a plan. `link_scripts`: scripts of conda packages that were not run, as `package: script`.

    `besides`: other paths rewritten or removed; `remarks`: what was tolerated in archives.
    """

    plan: Plan
    staged: StagedPlan | None = None
    besides: tuple[str, ...] = ()
    link_scripts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0


def create_prefix(plan: Plan, sources: Sources) -> AppliedPlan:
    """Create `plan.prefix` aside, and publish it by one rename; on any error nothing remains.

    Raises `OwnershipError` (`prefix-exists`) if the path is occupied, and what each step raises.
    """
    from bridge.install.fetching import Scripts, fetch, remarks_of, stage_inputs  # noqa: PLC0415 - see the module
    from bridge.install.staging import Unpacking, stage  # noqa: PLC0415

    started = time.perf_counter()
    settings = sources.session.settings
    with in_use(settings.cache_dir), create(plan.prefix, durability=settings.durability) as creation:
        scratch = creation.root / "conda-meta" / ".bridge" / "scratch"
        # Nothing is visible until published, so packages are unpacked as soon as they are checked.
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
    besides: Callable[[Path], tuple[PathChange, ...]] = lambda staging: (),  # noqa: ARG005
) -> AppliedPlan:
    """Lock the prefix, recover an interrupted transaction, plan, and apply the plan in one transaction.

    :param planned: reads the prefix and plans, under the lock.
    :param besides: stages further changes of the same transaction into the directory it is given.
    """
    started = time.perf_counter()
    settings = session.settings
    with commit.change(prefix, lock_timeout=settings.lock_timeout, durability=settings.durability) as running:
        state, plan, sources = planned()
        if plan.is_empty:
            others = besides(running.staging)
            names = tuple(change.path for change in others)
            if others:
                running.commit(others, plan={"command": command_line()})
            return AppliedPlan(plan=plan, besides=names, seconds=time.perf_counter() - started)
        from bridge.install.fetching import Scripts, fetch, remarks_of, stage_inputs  # noqa: PLC0415 - see the module
        from bridge.install.staging import stage  # noqa: PLC0415

        with in_use(settings.cache_dir):
            fetched = fetch(plan, sources)
            inputs = stage_inputs(state, sources, fetched, lambda path: fs.fingerprint(prefix, path))
            with _shown(session, f"staging {len(fetched.archives)} packages"):
                staged = stage(inputs, running.staging, running.staging.parent / "scratch")
        others = besides(running.staging)
        _warn(session, staged)
        scripts = Scripts(prefix, fetched, session)
        with scripts.undone(running), _shown(session, f"swapping {len(staged.changes)} paths"):
            scripts.before()
            running.commit((*staged.changes, *others), plan={"command": command_line()}, swapped=scripts.after)
    if running.keeps_open:
        session.warnings.append(
            "other processes have replaced files open; the next change removes what remains of them"
        )
    return AppliedPlan(
        plan=fetched.plan,
        staged=staged,
        besides=tuple(change.path for change in others),
        link_scripts=scripts.not_run,
        remarks=remarks_of(fetched),
        seconds=time.perf_counter() - started,
    )


@contextmanager
def _shown(session: RunPort, step: str) -> Iterator[None]:
    """Show a step of unknown length as progress."""
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


def _nothing(path: str) -> Fingerprint | None:  # noqa: ARG001 - a new prefix is empty
    return None

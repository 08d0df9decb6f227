"""Execute a plan: fetch, verify, check, stage, commit. Refusals happen before the first write.

Nothing imports this module at its top: a change that has nothing to do must not load what fetches and stages packages,
which takes a fifth of its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from bridge import fs
from bridge.cache.prune import in_use
from bridge.fetch.waiting import shown
from bridge.install.applied import AppliedPlan
from bridge.install.fetching import FetchedPlan, Scripts, fetch, remarks_of, stage_inputs
from bridge.install.obstacles import without_obstacles
from bridge.install.ruling import refuse_fetched
from bridge.install.sources import Sources, command_line
from bridge.install.staging import StagedPlan, stage
from bridge.model import Fingerprint, PathChange, Plan, PrefixState
from bridge.resolve.ports import RunPort
from bridge.transaction.commit import Transaction
from bridge.transaction.creation import create

__all__ = ["change", "create_prefix"]

_CANNOT = {"clone": "share blocks with", "hardlink": "have hard links to"}


def create_prefix(plan: Plan, sources: Sources) -> AppliedPlan:
    """Create `plan.prefix` aside, and publish it by one rename; on any error nothing remains.

    Raises `OwnershipError` (`prefix-exists`) if the path is occupied, and what each step raises.
    """
    started = time.perf_counter()
    settings = sources.session.settings
    sources.session.confirm(plan)
    with in_use(settings.cache_dir), create(plan.prefix, durability=settings.durability) as creation:
        scratch = creation.root / "conda-meta" / ".bridge" / "scratch"
        fetched = fetch(plan, sources)
        refuse_fetched(fetched.plan, sources)
        inputs = stage_inputs(PrefixState(prefix=plan.prefix), sources, fetched, _nothing)
        sources.session.client.rest()
        with shown(sources.session.progress, _staging(fetched)):
            staged = stage(inputs, creation.root, scratch, placed=creation.sync_early)
        _warn(sources.session, staged)
        scripts = Scripts(plan.prefix, fetched, sources.session)
        with shown(sources.session.progress, "committing"):
            creation.publish(published=scripts.after)
    return AppliedPlan(
        plan=fetched.plan,
        staged=staged,
        link_scripts=scripts.not_run,
        remarks=remarks_of(fetched),
        seconds=time.perf_counter() - started,
    )


def change(
    running: Transaction,
    state: PrefixState,
    plan: Plan,
    sources: Sources,
    besides: Callable[[Path], tuple[PathChange, ...]],
) -> AppliedPlan:
    """Execute a plan that is not empty in the transaction `running`, and commit it. See `apply.change_prefix`."""
    session, prefix = sources.session, plan.prefix
    with in_use(session.settings.cache_dir):
        fetched = without_obstacles(state, fetch(plan, sources), session)
        refuse_fetched(fetched.plan, sources)
        inputs = stage_inputs(state, sources, fetched, fs.Absence(prefix).fingerprint)
        session.client.rest()
        with shown(session.progress, _staging(fetched)):
            staged = stage(inputs, running.staging, running.staging.parent / "scratch", placed=running.sync_early)
    others = besides(running.staging)
    _warn(session, staged)
    scripts = Scripts(prefix, fetched, session)
    with scripts.undone(running), shown(session.progress, f"committing {len(staged.changes)} paths"):
        scripts.before()
        running.commit((*staged.changes, *others), plan={"command": command_line()}, swapped=scripts.after)
    return AppliedPlan(
        plan=fetched.plan,
        staged=staged,
        besides=tuple(path_change.path for path_change in others),
        link_scripts=scripts.not_run,
        remarks=remarks_of(fetched),
    )


def _staging(fetched: FetchedPlan) -> str:
    count = len(fetched.archives)
    return f"staging {count} package{'s' * (count != 1)}"


def _warn(session: RunPort, staged: StagedPlan) -> None:
    if staged.problem:
        session.warnings.append(f"modules are not compiled to bytecode: {staged.problem}")
    mode = session.settings.link_mode
    if staged.has_copied and mode in _CANNOT:
        cache = session.settings.cache_dir
        session.warnings.append(f"files were copied, for the environment cannot {_CANNOT[mode]} the cache {cache}")


def _nothing(path: str) -> Fingerprint | None:  # noqa: ARG001 - a new prefix is empty
    return None

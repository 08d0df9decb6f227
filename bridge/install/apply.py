"""Apply a change to a prefix: lock, plan, execute."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.install.applied import AppliedPlan
from bridge.install.sources import Sources, command_line
from bridge.model import PathChange, Plan, PrefixState
from bridge.transaction import commit
from converters.deferred import replace

if TYPE_CHECKING:
    from bridge.resolve.ports import RunPort

__all__ = ["change_prefix"]


def change_prefix(
    prefix: Path,
    planned: Callable[[], tuple[PrefixState, Plan, Sources]],
    session: RunPort,
    *,
    besides: Callable[[Path], tuple[PathChange, ...]] = lambda staging: (),  # noqa: ARG005
) -> AppliedPlan:
    """Lock the prefix, recover an interrupted transaction, plan, and execute the plan in one transaction.

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
            if settings.variables:
                pairs = " ".join(f"{name}={value}" for name, value in settings.variables.items())
                session.warnings.append(
                    f"no package changes, so the file's variables are not set: conda env config vars set {pairs}"
                )
            if others:
                running.commit(others, plan={"command": command_line()})
            return AppliedPlan(plan=plan, besides=names, seconds=time.perf_counter() - started)
        session.confirm(plan)
        from bridge.install import execute  # noqa: PLC0415 - see the module

        applied = execute.change(running, state, plan, sources, besides)
    if running.keeps_open:
        session.warnings.append(
            "other processes have replaced files open; the next change removes what remains of them"
        )
    return replace(applied, seconds=time.perf_counter() - started)

"""Start an audit: read the records of an environment, and let other processes hash its files.

What judges the result is in `bridge.audit.run`, which can be imported while the files are hashed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from bridge import prefix as prefixes
from bridge.audit.look import observe
from bridge.audit.look.tree import Walk, walking
from bridge.fs.processes import processors
from bridge.model import PrefixState
from bridge.prefix.claims import Claims
from converters.deferred import dataclass

__all__ = ["RunningAudit", "start"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunningAudit:
    """An audit whose files are being read by other processes."""

    state: PrefixState
    claims: Claims
    observation: observe.RunningObservation


@contextmanager
def start(prefix: Path, *, walk: Walk | None = None, jobs: int | None = None) -> Iterator[RunningAudit]:
    """Read the records of the environment at `prefix`, and start to read its files.

    :param walk: reads its paths, if that was started before.
    :param jobs: processes that read; `None`: one for each processor.
    Raises `UsageError` (`not-an-environment`) and `FaultError` (a directory cannot be read). With
    `bridge.audit.run.report`, takes about the time of hashing the owned files.
    """
    prefixes.check(prefix)
    with (
        nullcontext(walk) if walk is not None else walking(os.path.abspath(prefix), jobs) as paths,
        observe.hashing(prefix, jobs) as hashing,
    ):
        state = prefixes.read(prefix, jobs=jobs or processors(), each=hashing.add_record)
        observation = observe.RunningObservation(state, paths, hashing, jobs)
        yield RunningAudit(state=state, claims=observation.claims, observation=observation)

"""The paths that a package left to another one when it was installed (`--allow-clobber`, namespaces).

Its record does not list them, and names them under a key of its own, so that they come back with the package that has
them now removed.
"""

from __future__ import annotations

from collections.abc import Iterable

from bridge.model import Installed, Plan, Remove
from bridge.prefix.entries import paths_of
from converters.record import Record

__all__ = ["bereft", "of_yielded", "yielded_of"]

_KEY = "yielded_paths"


def yielded_of(record: Record) -> tuple[str, ...]:
    """Return the paths that an installed record names; none if an older version or another tool wrote it."""
    kept = dict(record.others).get(_KEY)
    return tuple(path for path in kept if isinstance(path, str)) if isinstance(kept, list) else ()


def of_yielded(paths: Iterable[str]) -> dict[str, object]:
    """Return the key for a conda-meta record; a value of `None`, which is not written, replaces an earlier one."""
    return {_KEY: sorted(paths) or None}


def bereft(plan: Plan) -> list[Installed]:
    """Return kept packages that lack a path of theirs once the plan has removed its owner; of several, the first."""
    yielding = [each for each in plan.keep if yielded_of(each.record)]
    if not yielding:
        return []
    gone = {path for step in plan.operations if isinstance(step, Remove) for path in paths_of(step.old.entries)}
    for each in plan.keep:
        gone.difference_update(paths_of(each.entries))
    found = []
    for each in yielding:
        if not gone.isdisjoint(own := yielded_of(each.record)):
            found.append(each)
            gone.difference_update(own)
    return found

"""Packages that a change leaves without a use, in the way of what it brings."""

from __future__ import annotations

from bridge.install.fetching import FetchedPlan
from bridge.install.manifest import predict, site_packages_after
from bridge.install.plan import orphaned
from bridge.model import PrefixState, Remove
from bridge.prefix.history import unexplained
from bridge.resolve.ports import RunPort
from converters.deferred import replace

__all__ = ["without_obstacles"]


def without_obstacles(state: PrefixState, fetched: FetchedPlan, session: RunPort) -> FetchedPlan:
    """Remove the packages that nothing needs after the plan, if it brings other content for their paths.

    conda-forge splits packages: libgdal 3.9 needs libgdal-core, and libgdal 3.8 has that one's files itself.
    """
    plan = fetched.plan
    orphans = orphaned(state, plan, unexplained(state)) if plan.keep else []
    if not orphans:
        return fetched
    predicted = predict(plan, fetched.manifests, site_packages=site_packages_after(plan, state))
    wanted = {entry.path: entry.fingerprint for entries in predicted.values() for entry in entries}
    going = [
        each
        for each in orphans
        if any(wanted.get(entry.path, entry.fingerprint) != entry.fingerprint for entry in each.entries)
    ]
    for each in going:
        label = f"{each.record.name} {each.record.version}"
        session.warnings.append(f"{label} goes: nothing needs it any longer, and this change brings its files anew")
    keep = tuple(each for each in plan.keep if each not in going)
    operations = (*plan.operations, *(Remove(old=each) for each in going))
    return replace(fetched, plan=replace(plan, operations=operations, keep=keep))

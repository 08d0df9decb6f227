"""Give packages back the paths that they left to one which a plan removes (`bridge.prefix.yielded`)."""

from __future__ import annotations

from bridge.install.sources import Sources
from bridge.model import Plan
from bridge.prefix.yielded import bereft

__all__ = ["with_returned"]


def with_returned(plan: Plan, sources: Sources, *, is_dry_run: bool) -> Plan:
    """Return the plan with these packages installed again, where their archives are available."""
    packages = bereft(plan)
    if not packages:
        return plan
    from bridge.install import repair

    return repair.with_returned(plan, packages, sources, is_dry_run=is_dry_run)

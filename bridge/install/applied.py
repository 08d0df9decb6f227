"""The result of a change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.model import Plan
from converters.deferred import dataclass

if TYPE_CHECKING:
    from bridge.install.staging import StagedPlan

__all__ = ["AppliedPlan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPlan:
    """What a change did.

    `besides` are changed paths that belong to no installed package: rewritten or removed. `link_scripts` are the
    scripts of conda packages that did not run (`package: script`). `remarks` name tolerated defects of archives.
    """

    plan: Plan
    staged: StagedPlan | None = None
    besides: tuple[str, ...] = ()
    link_scripts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    seconds: float = 0.0

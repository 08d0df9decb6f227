"""The audit: what is in a prefix, held against what its records say.

`audit` reads, observes and examines; `examine` is pure. Each kind of finding is one function in the table `CHECKS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.lazy import lazily

if TYPE_CHECKING:
    from bridge.audit.checks import CHECKS, Check
    from bridge.audit.examination import Begun, audit, begin, examine, judge
    from bridge.audit.finding import INTERRUPTED, LEVELS, Finding, Level, Report, Source
    from bridge.audit.observed import Observation, Observed
    from bridge.audit.readings import Placed, Readings

__all__ = [
    "CHECKS",
    "INTERRUPTED",
    "LEVELS",
    "Begun",
    "Check",
    "Finding",
    "Level",
    "Observation",
    "Observed",
    "Placed",
    "Readings",
    "Report",
    "Source",
    "audit",
    "begin",
    "examine",
    "judge",
]

_PLACES = {
    ".checks": ("CHECKS", "Check"),
    ".examination": ("Begun", "audit", "begin", "examine", "judge"),
    ".finding": ("INTERRUPTED", "LEVELS", "Finding", "Level", "Report", "Source"),
    ".observed": ("Observation", "Observed"),
    ".readings": ("Placed", "Readings"),
}

__getattr__ = lazily(__name__, {name: place for place, names in _PLACES.items() for name in names})

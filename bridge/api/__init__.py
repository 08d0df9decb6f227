"""The documented Python interface: what the commands do, as typed functions over values. `docs/api.md` is its contract.

Nothing is printed, nothing ends the process, and no state is shared between calls. Every error is a `BridgeError`.
"""

from __future__ import annotations

from bridge.api.changing import create, install, remove, sync, update
from bridge.api.checking import audit, convert
from bridge.api.environment import Environment
from bridge.api.options import Options
from bridge.api.running import Progress, ProgressCallback
from bridge.api.solving import lock, resolve
from bridge.api.values import (
    AuditReport,
    Change,
    Conversion,
    Converted,
    LockChange,
    LockResult,
    Outcome,
    Package,
    Solution,
)
from bridge.audit.finding import Finding
from bridge.errors import BridgeError, CancelledError

__all__ = [
    "AuditReport",
    "BridgeError",
    "CancelledError",
    "Change",
    "Conversion",
    "Converted",
    "Environment",
    "Finding",
    "LockChange",
    "LockResult",
    "Options",
    "Outcome",
    "Package",
    "Progress",
    "ProgressCallback",
    "Solution",
    "audit",
    "convert",
    "create",
    "install",
    "lock",
    "remove",
    "resolve",
    "sync",
    "update",
]

"""What each command does, over the ports of a session. Nothing here prints; what is written is written by others.

Each comes with its first mention, and brings only what it needs: `bridge list` starts without a solver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.lazy import lazily

if TYPE_CHECKING:
    from bridge.cli.commands.caching import cache
    from bridge.cli.commands.changes import adopt, create, install, recover, remove, repair, update
    from bridge.cli.commands.conversion import Conversion, Workers, convert, readable, write_report
    from bridge.cli.commands.reading import audit, inventory, owner, why, write_audit
    from bridge.cli.commands.request import Asked, asked
    from bridge.cli.commands.solving import replay, resolve, resolve_batch
    from bridge.install.apply import AppliedPlan

__all__ = [
    "AppliedPlan",
    "Asked",
    "Conversion",
    "Workers",
    "adopt",
    "asked",
    "audit",
    "cache",
    "convert",
    "create",
    "install",
    "inventory",
    "owner",
    "readable",
    "recover",
    "remove",
    "repair",
    "replay",
    "resolve",
    "resolve_batch",
    "update",
    "why",
    "write_audit",
    "write_report",
]

_PLACES = {
    "bridge.install.apply": ("AppliedPlan",),
    ".caching": ("cache",),
    ".changes": ("adopt", "create", "install", "recover", "remove", "repair", "update"),
    ".conversion": ("Conversion", "Workers", "convert", "readable", "write_report"),
    ".reading": ("audit", "inventory", "owner", "why", "write_audit"),
    ".request": ("Asked", "asked"),
    ".solving": ("replay", "resolve", "resolve_batch"),
}

__getattr__ = lazily(__name__, {name: place for place, names in _PLACES.items() for name in names})

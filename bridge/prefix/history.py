"""The requests in `conda-meta/history` (conda's `History.get_requested_specs_map`)."""

from __future__ import annotations

import re

from converters.deferred import regex

__all__ = ["requested_specs"]

_SPECS = regex(r"^#\s*(update|install|create|remove|uninstall|neutered)\s+specs:\s*\[(.*)\]\s*$", re.MULTILINE)
_QUOTED = regex(r"""'([^']*)'|"([^"]*)\"""")
_NAME = regex(r"(?:.*::)?([\w.-]+)")


def requested_specs(history: str) -> dict[str, str]:
    """Return the requests that stand after all revisions: lower-case name → MatchSpec. Unreadable lines are skipped."""
    requested: dict[str, str] = {}
    for action, listed in _SPECS.findall(history):
        specs = [single or double for single, double in _QUOTED.findall(listed)]
        named = {match[1].lower(): spec for spec in specs if (match := _NAME.match(spec))}
        for name, spec in named.items():
            if action in {"remove", "uninstall"}:
                requested.pop(name, None)
            elif action != "neutered" or name in requested:
                requested[name] = spec
    return requested

"""What `conda-meta/history` says of requests (conda's `History.get_requested_specs_map`) and of what commands added."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.model import PrefixState
from bridge.prefix.records import content
from bridge.prefix.revisions import HISTORY, identity_of, parse_revisions
from converters.deferred import regex

__all__ = ["history_of", "requested_specs", "unexplained"]

_MAX_HISTORY = 64 << 20  # bytes
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


def history_of(prefix: Path) -> str:
    """Return the text of the history; empty if there is none that can be read."""
    try:
        return content(str(prefix / HISTORY), _MAX_HISTORY).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def unexplained(state: PrefixState) -> frozenset[str]:
    """Return the meta paths of conda packages without a request that no command of the history added.

    py-rattler and pixi record neither, so each may be wanted for its own sake.
    """
    loose = {
        each.record.identity: each.meta_path
        for each in state.installed
        if each.record.ecosystem == "conda" and not each.requested
    }
    if not loose:
        return frozenset()
    revisions = parse_revisions(history_of(state.prefix))
    explained = {identity_of(text) for each in revisions if each.command for text in each.added}
    return frozenset(path for identity, path in loose.items() if identity not in explained)

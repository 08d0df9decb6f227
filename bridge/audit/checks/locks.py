"""How an environment differs from a lock. Reported only with `--against LOCK`. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.finding import Finding
from bridge.audit.view import View

__all__ = ["lock_extra", "lock_missing", "lock_other"]


def lock_missing(view: View) -> Iterator[Finding]:
    """A package that the lock has, and the environment lacks."""
    return _of(view, "lock-missing")


def lock_extra(view: View) -> Iterator[Finding]:
    """A package that the environment has, and the lock lacks."""
    return _of(view, "lock-extra")


def lock_other(view: View) -> Iterator[Finding]:
    """A package of another version, build, ecosystem or content than the lock has."""
    return _of(view, "lock-other")


def _of(view: View, name: str) -> Iterator[Finding]:
    for each in view.inspection.drift:
        if each.id == name:
            yield Finding(id=name, level="error", package=each.name, evidence=each.evidence, repair=each.repair)

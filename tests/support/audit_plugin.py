"""A check as another distribution would bring it: no package may be older than version 1."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.checks import Check
from bridge.audit.finding import Finding
from bridge.audit.view import View

__all__ = ["BROKEN", "YOUNG"]


def young_package(view: View) -> Iterator[Finding]:
    """A package whose version starts with 0."""
    for owner in view.claims.owners:
        record = owner.installed.record if owner.installed else None
        if record is not None and record.version.startswith("0"):
            yield Finding.of(owner, "young-package", "warning", None, f"{record.version} is older than 1")


def broken(view: View) -> Iterator[Finding]:
    """A check with an error in it."""
    raise KeyError(str(view.has_records))


YOUNG = Check("young-package", "warning", young_package)
BROKEN = Check("broken-check", "warning", broken)

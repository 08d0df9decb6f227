"""Installed packages whose licences break a project's rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.audit.finding import Finding
from bridge.audit.packages import PackageRow
from bridge.config.licenses import LicenseRules

__all__ = ["KIND", "denied"]

KIND = "denied-license"


def denied(rows: Iterable[PackageRow], rules: LicenseRules) -> tuple[Finding, ...]:
    """A finding for each package that the rules do not permit."""
    judged = ((row, rules.problem(row.license)) for row in rows)
    return tuple(
        Finding(
            id=KIND,
            level="error",
            package=row.name,
            owner=row.owner,
            evidence=f"its licence is {row.license!r}: {problem}" if row.license else problem,
        )
        for row, problem in judged
        if problem is not None
    )

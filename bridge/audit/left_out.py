"""What METADATA of a conda package requires and its record does not bring: its packagers left it out or changed it."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.dependencies import PrefixRecords, applicable_requirements, providers_by_project
from bridge.prefix.claims import Owner
from bridge.requirements.algebra import specifier_accepts

__all__ = ["left_out"]


def left_out(records: PrefixRecords, owner: Owner) -> Iterator[str]:
    """Yield a sentence for each unmet requirement of the distributions of a conda package, without extras."""
    if owner.source != "conda":
        return
    named = providers_by_project(records)
    for each in applicable_requirements(records):
        requirement = each.requirement
        if each.extra or requirement is None or records.claims.answering.get(each.distribution.path) is not owner:
            continue
        providers = named.get(requirement.name, [])
        specifier = requirement.specifier
        if any(specifier is None or specifier_accepts(specifier, found.version) for found in providers):
            continue
        found = f"{providers[0].label} is installed" if providers else "that is not installed"
        yield f"METADATA requires `{each.text}`, but {found}: its conda record leaves it out"

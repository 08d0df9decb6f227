"""What METADATA of a conda package requires and its record does not bring: its packagers left it out or changed it."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.dependencies import PrefixRecords, applicable_requirements, providers_by_project
from bridge.prefix.claims import Owner
from bridge.requirements.algebra import specifier_accepts
from bridge.requirements.names import name_of

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
        if any(specifier is None or specifier_accepts(specifier, provided.version) for provided in providers):
            continue
        provided = f"{providers[0].label} is installed" if providers else "that is not installed"
        names = {requirement.name, *(provider.owner.package for provider in providers)}
        stated = _instead(owner, names, is_found=bool(providers))
        yield f"METADATA requires `{each.text}`, but {provided}: the conda record of {owner.package} {stated}"


def _instead(owner: Owner, names: set[str], *, is_found: bool) -> str:
    """Say what the record of a package states on these conda names."""
    stated = owner.installed.record.requirements if owner.installed is not None else ()
    texts = ", ".join(f"`{text}`" for text in stated if name_of(text) in names)
    if not texts:
        return "leaves it out"
    return f"allows that: {texts}" if is_found else f"requires the conda package {texts}, not known as that project"

"""Checks of dist-infos: are they complete, unique, and whose are they? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bridge.audit.checks import repair
from bridge.audit.finding import Finding
from bridge.audit.policy import is_same_version, names_conda
from bridge.audit.view import View
from bridge.prefix import distinfo
from bridge.prefix.claims import Owner
from converters.projects import canonicalize_name


def distribution_without_record(view: View) -> Iterator[Finding]:
    """A dist-info without a list of its files: pip can neither upgrade nor remove it.

    Not reported for conda packages, whose files conda-meta lists. A legacy egg never had one; pip can remove it.
    """
    broken = {defect.path for defect in view.state.defects}
    for distribution in view.state.distributions:
        path = distribution.path
        is_reported = bool(broken & {path, f"{path}/RECORD", f"{path}/METADATA", f"{path}/PKG-INFO"})
        if distribution.entries is not None or is_reported or view.records.is_of_conda(distribution):
            continue
        owner = view.claims.answering[path]
        is_egg = path.endswith(".egg-info")
        yield Finding.of(
            owner,
            "distribution-without-record",
            "warning" if is_egg else "error",
            path,
            "the legacy format lists no files" if is_egg else "it has no RECORD, so its files are unknown",
            repair=repair.record_anew(view, owner),
        )


def duplicate_distribution(view: View) -> Iterator[Finding]:
    """Two dist-infos of one project in one directory: which one importlib.metadata finds is undefined."""
    for path, kept in view.stale.items():
        distribution = next(each for each in view.state.distributions if each.path == path)
        owner = view.claims.answering[kept.path]
        overwriter = view.claims.answering[path]
        is_other_package = overwriter is not owner and overwriter.source == "conda"
        is_built = owner.source == "conda" and view.records.is_of_conda(distribution) and not is_other_package
        is_certain = (
            not is_other_package
            and not view.claims.coverage[path]
            and (owner.source != "unmanaged" or bool(kept.entries))
        )
        yield Finding.of(
            view.claims.answering[path],
            "duplicate-distribution",
            # A conda package that ships two was built so; Debian keeps its own beside pip's.
            "info" if is_built or "/dist-packages/" in path else "error",
            path,
            f"{kept.path} of {owner.label} is the same project",
            by=owner,
            repair=repair.settle(view, owner, overwriter)
            if view.overwriters.get(owner) is overwriter
            else repair.delete(view, path)
            if is_certain
            else (),
        )


def misnamed_distribution(view: View) -> Iterator[Finding]:
    """A dist-info directory named after another project or version than its METADATA: lookups by name miss it."""
    for distribution in view.state.distributions:
        path = distribution.path
        if not path.endswith(".dist-info"):
            continue
        named = distinfo.name_of(path)
        is_same = canonicalize_name(named.name) == canonicalize_name(distribution.name)
        if is_same and (not named.version or is_same_version(named.version, distribution.version)):
            continue
        evidence = f"its METADATA is of {distribution.name} {distribution.version}"
        yield Finding.of(view.claims.answering[path], "misnamed-distribution", "warning", path, evidence)


def unmanaged_distribution(view: View) -> Iterator[Finding]:
    """A distribution without a conda-meta record: another installer owns it, and conda may overwrite its files.

    A fact, since it works; a RECORD that is missing or that the files contradict has findings of its own. A warning if
    it lies over a package with a record: then one of the two is not what its record says.
    Not reported where conda-meta has no record at all: pip manages everything there.
    """
    nameless, overlying = view.records.nameless, _overlying(view)
    for owner in view.claims.unmanaged if view.has_records else ():
        distribution = owner.distribution
        if distribution is None or distribution.path in nameless or view.is_of_unread(distribution):
            continue
        installer = owner.label.partition(":")[0]
        yield Finding.of(
            owner,
            "unmanaged-distribution",
            "warning" if owner in overlying else "info",
            distribution.path,
            "no conda-meta record covers it"
            + (f"; INSTALLER says {installer}" if distribution.installer else ", and it has no INSTALLER"),
            repair=repair.settle(view, overlying[owner], owner)
            if owner in overlying
            else repair.adopt(view, distribution),
        )


def _overlying(view: View) -> Mapping[Owner, Owner]:
    """Owner without a record → one with a record of which it claims a file; an equal `__init__.py` is a namespace's."""
    overlying = {overwriter: owner for owner, overwriter in view.overwriters.items()}
    for path, group in view.claims.by_path.shared:
        last = group[-1].owner  # Those without a record come last in a group.
        if last.distribution is not None and not path.endswith("/__init__.py"):
            recorded = next((claim.owner for claim in group if claim.owner.installed is not None), None)
            if recorded is not None:
                overlying.setdefault(last, recorded)
    return overlying


def installer_lies(view: View) -> Iterator[Finding]:
    """An INSTALLER that names another tool than the owner of the files.

    pip would upgrade what a conda package installed; or INSTALLER names conda, and conda has no record.
    """
    for distribution in view.state.distributions:
        installer = (distribution.installer or "").lower()
        owner = view.claims.answering[distribution.path]
        is_conda = names_conda(installer)
        if not installer:
            continue
        if owner.source == "conda" and not is_conda:
            evidence = f"INSTALLER says {installer}; the files are those of {owner.label}"
        elif owner.source == "unmanaged" and is_conda and not view.is_of_unread(distribution):
            evidence = f"INSTALLER says {installer}; no conda-meta record covers it"
        else:
            continue
        yield Finding.of(owner, "installer-lies", "info", distribution.path, evidence)

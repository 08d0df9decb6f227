"""Checks of the records themselves: can they be read, do they contradict each other, who answers for what?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from bridge.audit.checks import repair
from bridge.audit.claims import Owner
from bridge.audit.finding import INTERRUPTED, Finding, Level, at_path
from bridge.audit.policy import named_record, names_conda
from bridge.audit.view import View
from bridge.model import Defect, Distribution
from bridge.paths import META
from bridge.prefix import distinfo
from bridge.prefix.entries import Entries
from bridge.prefix.strays import FOREIGN, named_package

__all__ = [
    "broken_record",
    "distribution_without_metadata",
    "distribution_without_record",
    "duplicate_distribution",
    "duplicate_record",
    "foreign_file",
    "installer_lies",
    "interrupted_transaction",
    "misnamed_distribution",
    "record_lies",
    "unmanaged_distribution",
]


def interrupted_transaction(view: View) -> Iterator[Finding]:
    """A transaction of bridge that was neither finished nor undone: other findings may be its consequences."""
    if view.interrupted is not None:
        yield Finding(
            id=INTERRUPTED,
            level="error",
            path="conda-meta/.bridge",
            evidence=view.interrupted,
            repair=repair.recover(view),
        )


def broken_record(view: View) -> Iterator[Finding]:
    """A record, or a file of a dist-info, that cannot be read as what it claims to be."""
    yield from _defects(view, "broken-record")


def distribution_without_metadata(view: View) -> Iterator[Finding]:
    """A dist-info without METADATA: the rest of a distribution, over which pip stumbles (pip #8872)."""
    yield from _defects(view, "distribution-without-metadata")


def foreign_file(view: View) -> Iterator[Finding]:
    """A file in conda-meta that is no record and that no client keeps there: copies, backups, AppleDouble files."""
    for defect in view.state.defects:
        if defect.id == FOREIGN:
            yield Finding(
                id=FOREIGN,
                level="warning",
                path=defect.path,
                evidence=defect.detail,
                repair=repair.clear(view, defect.path),
            )


def _defects(view: View, name: str) -> Iterator[Finding]:
    for defect in view.state.defects:
        if defect.id != name:
            continue
        owner = _owner_of(view, defect.path)
        yield Finding(
            id=name,
            level="error",
            package=owner.package if owner else named_record(defect.path),
            path=defect.path,
            owner=owner.label if owner else None,
            evidence=defect.detail,
            repair=_mended(view, owner, defect),
        )


def distribution_without_record(view: View) -> Iterator[Finding]:
    """A dist-info that does not say which files are its own: pip can neither upgrade nor remove it.

    A conda package needs none, since conda-meta has its files. A legacy egg never had one: pip still knows a way.
    """
    broken = {defect.path for defect in view.state.defects}
    for distribution in view.state.distributions:
        path = distribution.path
        is_told = bool(broken & {path, f"{path}/RECORD", f"{path}/METADATA", f"{path}/PKG-INFO"})
        if distribution.entries is not None or is_told or view.records.is_of_conda(distribution):
            continue
        is_egg = path.endswith(".egg-info")
        yield _of_distribution(
            view,
            "distribution-without-record",
            distribution,
            "the legacy format lists no files"
            if is_egg
            else "there is no RECORD: nobody knows which files it installed",
            level="warning" if is_egg else "error",
            repairs=repair.record_anew(view, view.claims.answering[path]),
        )


def duplicate_distribution(view: View) -> Iterator[Finding]:
    """Two dist-infos of one project in one directory: which of them importlib.metadata finds is chance."""
    for path, first in view.stale.items():
        distribution = next(each for each in view.state.distributions if each.path == path)
        owner = view.claims.answering[first.path]
        is_built = owner.source == "conda" and view.records.is_of_conda(distribution)
        is_clear = not view.claims.coverage[path] and (owner.source != "unmanaged" or bool(first.entries))
        yield _of_distribution(
            view,
            "duplicate-distribution",
            distribution,
            f"{first.path} of {owner.label} is the same project",
            # One conda package that ships two is how it was built, not damage.
            level="info" if is_built or "/dist-packages/" in path else "error",
            by=owner,
            repairs=repair.delete(view, path) if is_clear else (),
        )


def duplicate_record(view: View) -> Iterator[Finding]:
    """Two conda-meta records of one package name: an environment has each package once.

    mamba 2.8 leaves the record of a wheel where it writes a conda package over it. To be kept is the record that
    the disk keeps best, else the one of the newer version; the finding is about the other.
    """
    groups: dict[str, list[Owner]] = {}
    for owner in view.claims.recorded:
        groups.setdefault(owner.package, []).append(owner)
    several = [owners for owners in groups.values() if len(owners) > 1]
    wrong = Counter(id(each.claim.owner) for each in view.discrepancies) if several else Counter[int]()
    for owners in several:
        kept = max(owners, key=lambda owner: (-wrong[id(owner)], _release(owner)))
        for owner in owners:
            if owner is not kept and owner.installed is not None and kept.installed is not None:
                yield Finding(
                    id="duplicate-record",
                    level="error",
                    package=owner.package,
                    path=owner.installed.meta_path,
                    owner=owner.label,
                    by=kept.label,
                    evidence=f"{kept.installed.meta_path} is a record of the same package",
                    repair=repair.clear(view, owner.installed.meta_path),
                )


def _release(owner: Owner) -> tuple[int, ...]:
    try:
        return Version(owner.installed.record.version).release if owner.installed is not None else ()
    except InvalidVersion:
        return ()


def _mended(view: View, owner: Owner | None, defect: Defect) -> tuple[str, ...]:
    folder, _, name = defect.path.rpartition("/")
    if folder == META and owner is None:
        if defect.package:
            return repair.rename(view, defect.path, f"{META}/{defect.package}.json")
        return repair.record_of_package(view) if named_package(name) else ()
    if owner is None:
        return ()
    is_empty = owner.distribution is not None and owner.distribution.entries is None
    if defect.id == "distribution-without-metadata" and is_empty:  # Nothing is known of it, so nothing can be restored.
        return repair.clear(view, defect.path.rpartition("/")[0])
    return repair.restore(view, owner)


def record_lies(view: View) -> Iterator[Finding]:
    """A conda-meta record that contradicts itself, or the dist-info that it installed; a RECORD with false sizes."""
    for owner in view.claims.recorded:
        if owner.installed is None:
            continue
        record = owner.installed.record
        said = None
        stem = _stem(record.filename)
        # conda-package-handling turns .tar.bz2 into .conda, and mamba names either: the same package.
        source = _stem(record.url.partition("#")[0].rpartition("/")[2])
        if record.ecosystem == "conda" and stem and stem != record.identity:
            said = f"it says that it is {record.identity}, and that it came as {record.filename}"
        elif record.ecosystem == "conda" and source and record.filename and source not in {stem, record.filename}:
            said = f"it says that it came as {record.filename}, and from {record.url}"
        if said is not None:
            yield _of_record(view, owner, owner.installed.meta_path, said, "warning")
    yield from _other_versions(view)
    for owner in view.claims.unmanaged:
        yield from _wrong_sizes(view, owner)


def _other_versions(view: View) -> Iterator[Finding]:
    for distribution in view.state.distributions:
        owner = view.claims.answering[distribution.path]
        if owner.installed is None:
            continue
        record = owner.installed.record
        if _same_version(record.version, distribution.version):
            continue
        is_one = canonicalize_name(distribution.name) == canonicalize_name(record.name)
        level: Level = "error" if owner.source == "wheel" else "warning"
        if owner.source == "wheel" or (is_one and _is_replaced(view, distribution)):
            said = f"it says {record.version}; {distribution.path} says {distribution.version}"
            yield _of_record(view, owner, owner.installed.meta_path, said, level)


def _wrong_sizes(view: View, owner: Owner) -> Iterator[Finding]:
    """Rows of RECORD whose hash is that of the file, and whose size is another: whoever wrote them changed them after.

    conda-meta has the size before the prefix was patched in, which decides nothing.
    """
    entries = owner.distribution.entries if owner.distribution is not None else None
    if not isinstance(entries, Entries):
        return
    pairs = zip(entries.paths, entries.sizes, strict=True)
    wrong = [path for path, size in pairs if size >= 0 and view.observed.size(path) not in (size, None)]
    path = f"{owner.distribution.path}/RECORD" if owner.distribution is not None else ""
    for each in wrong:
        said = f"{path} has another size for it than the file, which is {view.observed.size(each)} bytes long"
        yield Finding(
            id="record-lies",
            level="warning",
            package=owner.package,
            path=each,
            owner=owner.label,
            evidence=said,
            repair=repair.restore(view, owner),
        )


def _is_replaced(view: View, distribution: Distribution) -> bool:
    """Whether METADATA is another than the one that the record promised."""
    path = f"{distribution.path}/METADATA"
    return any(each.claim.entry.path == path for each in view.discrepancies)


def _stem(filename: str) -> str:
    return next((filename.removesuffix(end) for end in (".conda", ".tar.bz2") if filename.endswith(end)), "")


def _same_version(first: str, second: str) -> bool:
    if first == second:
        return True
    try:
        return Version(first) == Version(second)
    except InvalidVersion:
        return first == second


def _of_record(view: View, owner: Owner, path: str, evidence: str, level: Level) -> Finding:
    return Finding(
        id="record-lies",
        level=level,
        package=owner.package,
        path=path,
        owner=owner.label,
        evidence=evidence,
        repair=repair.restore(view, owner),
    )


def misnamed_distribution(view: View) -> Iterator[Finding]:
    """A dist-info whose folder says another project or version than its METADATA: whoever looks by name misses it."""
    for distribution in view.state.distributions:
        folder = distribution.path.rpartition("/")[2]
        if not folder.endswith(".dist-info"):
            continue
        named = distinfo.name_of(distribution.path)
        is_same = canonicalize_name(named.name) == canonicalize_name(distribution.name)
        if is_same and (not named.version or _same_version(named.version, distribution.version)):
            continue
        said = f"its METADATA says {distribution.name} {distribution.version}"
        yield _of_distribution(view, "misnamed-distribution", distribution, said, level="warning")


def unmanaged_distribution(view: View) -> Iterator[Finding]:
    """A distribution that no conda-meta record covers: conda and bridge know nothing of its files, and the next change
    may write over them. Where no record is at all, pip answers for everything, and nothing is amiss.
    """
    nameless = view.records.nameless
    for owner in view.claims.unmanaged if view.has_records else ():
        if owner.distribution is None or owner.distribution.path in nameless:
            continue
        if not view.is_of_unread(owner.distribution):
            who = owner.label.partition(":")[0]
            yield _of_distribution(
                view,
                "unmanaged-distribution",
                owner.distribution,
                f"no conda-meta record covers it; INSTALLER says {who}"
                if owner.distribution.installer
                else "no conda-meta record covers it, and it does not say who installed it",
                level="warning",
                repairs=repair.adopt(view, owner.distribution),
            )


def installer_lies(view: View) -> Iterator[Finding]:
    """An INSTALLER that names somebody else than who answers for the files.

    pip believes it has what a conda package put there, and would upgrade it; or conda is named and has no record.
    """
    for distribution in view.state.distributions:
        said = (distribution.installer or "").lower()
        if not said:
            continue
        owner = view.claims.answering[distribution.path]
        is_conda = names_conda(said)
        if owner.source == "conda" and not is_conda:
            evidence = f"INSTALLER says {said}; the files are those of {owner.label}"
        elif owner.source == "unmanaged" and is_conda and not view.is_of_unread(distribution):
            evidence = f"INSTALLER says {said}; no conda-meta record covers it"
        else:
            continue
        yield _of_distribution(view, "installer-lies", distribution, evidence, level="info")


# What makes an installed package other than its archive seems to be. The layouts of old writers do not.
_REMARKED = ("misnamed-archive", "unlisted-member")


def tolerated_archive(view: View) -> Iterator[Finding]:
    """A conda package whose archive has another name, or members that its own list lacks and that are not installed."""
    for owner in view.claims.owners:
        if owner.installed is None:
            continue
        path = owner.installed.meta_path
        for name in _REMARKED:
            told = [each for each in view.inspection.archives.get(path, ()) if each[0] == name]
            if told:
                more = f", and {len(told) - 1} more" if len(told) > 1 else ""
                evidence = f"its archive: {told[0][1]}{more}: {told[0][2]}"
                yield at_path(owner, path, "tolerated-archive", "info", evidence)


def _of_distribution(
    view: View,
    name: str,
    distribution: Distribution,
    evidence: str,
    *,
    level: Level,
    by: Owner | None = None,
    repairs: tuple[str, ...] = (),
) -> Finding:
    owner = view.claims.answering[distribution.path]
    return Finding(
        id=name,
        level=level,
        package=owner.package,
        path=distribution.path,
        owner=owner.label,
        by=by.label if by else None,
        evidence=evidence,
        repair=repairs,
    )


def _owner_of(view: View, path: str) -> Owner | None:
    """Whose the unreadable file is: that of the record itself, or of the dist-info it lies in."""
    for owner in view.claims.owners:
        if owner.installed is not None and owner.installed.meta_path == path:
            return owner
    group = view.claims.by_path.get(path)
    if group:
        return group[0].owner
    return view.claims.answering.get(path) or view.claims.answering.get(path.rpartition("/")[0])

"""Checks of conda-meta records, dist-info files that cannot be read, and transactions. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.finding import INTERRUPTED, Finding, Level
from bridge.audit.policy import is_same_version, named_record, release
from bridge.audit.view import View
from bridge.model import Defect, Distribution
from bridge.paths import META
from bridge.prefix.claims import Owner
from bridge.prefix.entries import Entries
from bridge.prefix.strays import FOREIGN, named_package
from converters.projects import canonicalize_name

# Cautions about an archive that may mean another package. Odd layouts of old writers are not among them.
_CAUTIONS = ("misnamed-archive", "unlisted-member")


def interrupted_transaction(view: View) -> Iterator[Finding]:
    """An unfinished transaction of bridge. It may be the cause of other findings."""
    if view.interrupted is not None:
        path = "conda-meta/.bridge"
        yield Finding.of(None, INTERRUPTED, "error", path, view.interrupted, repair=repair.recover(view))


def broken_record(view: View) -> Iterator[Finding]:
    """A record, or a file of a dist-info, that cannot be read."""
    yield from _defects(view, "broken-record")


def distribution_without_metadata(view: View) -> Iterator[Finding]:
    """A dist-info without METADATA: remains of a distribution, which pip fails on (pip #8872)."""
    yield from _defects(view, "distribution-without-metadata")


def foreign_file(view: View) -> Iterator[Finding]:
    """A file in conda-meta that is no record and that no client writes: copies, backups, AppleDouble files."""
    for defect in view.state.defects:
        if defect.id == FOREIGN:
            commands = repair.clear(view, defect.path)
            yield Finding.of(None, FOREIGN, "warning", defect.path, defect.detail, repair=commands)


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
            repair=_repair_defect(view, owner, defect),
        )


def _owner_of(view: View, path: str) -> Owner | None:
    """The owner of an unreadable file: its record, or the dist-info that contains it."""
    for owner in view.claims.recorded:
        if owner.installed is not None and owner.installed.meta_path == path:
            return owner
    answering = view.claims.answering
    return view.claims.by_path.owner(path) or answering.get(path) or answering.get(path.rpartition("/")[0])


def _repair_defect(view: View, owner: Owner | None, defect: Defect) -> tuple[str, ...]:
    directory, _, name = defect.path.rpartition("/")
    if owner is None:
        if directory != META:
            return repair.delete(view, defect.path) if name.endswith(".egg-link") else ()
        if defect.package:
            return repair.rename(view, defect.path, f"{META}/{defect.package}.json")
        return repair.record_of_package(view) if named_package(name) else ()
    has_entries = owner.distribution is None or owner.distribution.entries is not None
    if defect.id == "distribution-without-metadata" and not has_entries:
        return repair.clear(view, directory)  # Neither name nor files are known, so nothing can be restored.
    return repair.restore(view, owner)


def duplicate_record(view: View) -> Iterator[Finding]:
    """Two conda-meta records of one package name: an environment has each package once.

    mamba 2.8 leaves a wheel's record behind when it writes a conda package over it. The record to keep is the one with
    the fewest discrepancies, then the newest version; the finding is about the others.
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
                path, evidence = (
                    owner.installed.meta_path,
                    f"{kept.installed.meta_path} is a record of the same package",
                )
                commands = repair.clear(view, path)
                yield Finding.of(owner, "duplicate-record", "error", path, evidence, by=kept, repair=commands)


def _release(owner: Owner) -> tuple[int, ...]:
    return release(owner.installed.record.version) if owner.installed is not None else ()


def record_lies(view: View) -> Iterator[Finding]:
    """A conda-meta record that contradicts itself or its dist-info, or a RECORD with wrong sizes."""
    for owner in view.claims.recorded:
        if owner.installed is None or owner.installed.record.ecosystem != "conda":
            continue
        record = owner.installed.record
        stem = _stem(record.filename)
        # conda-package-handling turns .tar.bz2 into .conda, and mamba records either: the same package.
        source = _stem(record.url.partition("#")[0].rpartition("/")[2])
        if stem and stem != record.identity:
            evidence = f"it is the record of {record.identity}, but its archive is {record.filename}"
        elif source and record.filename and source not in {stem, record.filename}:
            evidence = f"its archive is {record.filename}, but its url is {record.url}"
        else:
            continue
        yield _lie(view, owner, owner.installed.meta_path, evidence, "warning")
    yield from _other_versions(view)
    for owner in view.claims.unmanaged:
        yield from _wrong_sizes(view, owner)


def _other_versions(view: View) -> Iterator[Finding]:
    for distribution in view.state.distributions:
        owner = view.claims.answering[distribution.path]
        if owner.installed is None:
            continue
        record = owner.installed.record
        if is_same_version(record.version, distribution.version):
            continue
        is_one = canonicalize_name(distribution.name) == canonicalize_name(record.name)
        if owner.source == "wheel" or (is_one and _is_replaced(view, distribution)):
            evidence = f"its version is {record.version}; {distribution.path} has {distribution.version}"
            level: Level = "error" if owner.source == "wheel" else "warning"
            yield _lie(view, owner, owner.installed.meta_path, evidence, level)


def _wrong_sizes(view: View, owner: Owner) -> Iterator[Finding]:
    """Entries of RECORD whose hash is right and whose size is wrong: somebody edited them.

    In conda-meta, size is that before the prefix was written in, so it is not compared.
    """
    distribution = owner.distribution
    if distribution is None:
        return
    entries = Entries.of(distribution.entries or ())
    for path, size in zip(entries.paths, entries.sizes, strict=True):
        actual = view.observed.size(path) if size >= 0 else None
        if actual not in (size, None):
            evidence = f"{distribution.path}/RECORD has the size {size}; the file has {actual} bytes"
            yield _lie(view, owner, path, evidence, "warning")


def _is_replaced(view: View, distribution: Distribution) -> bool:
    """Whether METADATA is not the one that the record promises."""
    path = f"{distribution.path}/METADATA"
    return any(each.claim.entry.path == path for each in view.discrepancies)


def _stem(filename: str) -> str:
    return next((filename.removesuffix(end) for end in (".conda", ".tar.bz2") if filename.endswith(end)), "")


def _lie(view: View, owner: Owner, path: str, evidence: str, level: Level) -> Finding:
    return Finding.of(owner, "record-lies", level, path, evidence, repair=repair.restore(view, owner))


def tolerated_archive(view: View) -> Iterator[Finding]:
    """A conda package whose archive is misnamed, or has members that its own list lacks (they are not installed)."""
    for owner in view.claims.recorded:
        path = owner.installed.meta_path if owner.installed is not None else ""
        for name in _CAUTIONS:
            cautions = [each for each in view.inspection.archives.get(path, ()) if each[0] == name]
            if cautions:
                _, first, detail = cautions[0]
                more = f", and {len(cautions) - 1} more" if len(cautions) > 1 else ""
                yield Finding.of(owner, "tolerated-archive", "info", path, f"its archive: {first}{more}: {detail}")

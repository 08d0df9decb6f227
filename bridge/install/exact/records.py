"""Make packages to install of what a lock names. What the lock does not state is read from the archives later."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from packaging.version import InvalidVersion, Version

from bridge.errors import IntegrityError, UnsafeInputError, UsageError
from bridge.install.exact.planning import OF_WHEEL
from bridge.install.plan import is_same_source
from bridge.model import Installed, Resolved
from bridge.prefix.attested import ADVERTISED
from bridge.requirements.locked import Locked, LockedConda, LockedSource, LockedWheel
from bridge.sdists.location import EDITABLE, source_of
from bridge.secrets import masked
from converters.deferred import replace
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.record import Record
from converters.target import Target
from converters.translate import translate
from converters.wheel import WheelInfo

if TYPE_CHECKING:
    from bridge.index import Index

__all__ = ["resolved_of_lock"]

_OF_PACKAGE = frozenset(
    {
        "subdir", "noarch", "build_number", "constraints", "extra_requirements", "track_features", "timestamp",
        "license", "python_site_packages_path", "purls", "others",
    }
)  # fmt: skip


def resolved_of_lock(
    packages: Iterable[Locked],
    target: Target,
    names: Callable[[], NameMap],
    index: Callable[[], Index],
    installed: Iterable[Installed] = (),
) -> tuple[Resolved, ...]:
    """Return the packages to install.

    Source code in a folder is read, and built if only that tells its version.

    :param target: with the python of the lock or the environment.
    :param names: called for the wheels that are not installed.
    :param index: builds source code; called when there is some.
    :param installed: what is installed: its records are taken for the same files, and source code at the locked
        revision is not fetched again.

    Raises `UnsafeInputError` (`hash-missing`; names that contradict each other), `UsageError` (`lock-invalid`),
    `IntegrityError` (`source-differs`: a folder or repository is not what was locked).
    """
    there = tuple(installed)
    sources = {each.record.url: each for each in there if each.record.revision is not None}
    files = {each.record.sha256: each.record for each in there if each.record.ecosystem == "wheel"}
    resolved = []
    for each in packages:
        if isinstance(each, LockedConda):
            resolved.append(_conda(each))
        elif isinstance(each, LockedWheel):
            resolved.append(_wheel(each, target, names, files.get(each.sha256)))
        elif each.kind in {"git", "directory"}:
            resolved.append(_source(each, target, names(), index, sources))
        else:
            resolved.append(_sdist(each, target, names()))
    return tuple(resolved)


def _conda(locked: LockedConda) -> Resolved:
    record = locked.record
    if record.sha256 is None:
        raise _hash_missing(record.filename or record.label)
    record = replace(record, others=(*record.others, *_attested(locked)))
    unstated = frozenset() if locked.is_complete else _OF_PACKAGE
    if not locked.is_complete and not record.requirements:
        unstated |= {"requirements"}
    return Resolved(record=record, requested=locked.requested, choice=_choice(locked), unstated=unstated)


def _attested(locked: Locked) -> tuple[tuple[str, object], ...]:
    """Return the keys of the record that the facts of a lock are recorded under."""
    facts = locked.facts
    if facts is None:
        return ()
    # Not who attested it: only what this run verifies is recorded (`bridge.install.attesting`).
    return () if facts.advertised is None else ((ADVERTISED, facts.advertised),)


def _choice(locked: Locked) -> str:
    return locked.facts.choice if locked.facts is not None else ""


def _wheel(locked: LockedWheel, target: Target, names: Callable[[], NameMap], there: Record | None) -> Resolved:
    """:param there: the record of the same file, if that is installed."""
    if not locked.sha256:
        raise _hash_missing(locked.filename)
    requested = _requests(locked, direct=locked.url if locked.is_direct else "")
    if there is not None and there.version == locked.version and there.pypi_names[:1] == (locked.name,):
        return Resolved(record=there, requested=requested, extras=locked.extras, unstated=OF_WHEEL)
    info = WheelInfo(
        filename=locked.filename,
        metadata=_metadata(locked, locked.version),
        url=locked.url,
        origin=locked.index,
        sha256=locked.sha256,
        size=locked.size,
        upload_time=locked.upload_time,
    )
    record = replace(
        translate(info, target, names()),
        md5=locked.md5,
        yanked=locked.facts.yanked if locked.facts is not None else None,
        others=_attested(locked),
    )
    return Resolved(record=record, requested=requested, extras=locked.extras, choice=_choice(locked), unstated=OF_WHEEL)


def _sdist(locked: LockedSource, target: Target, names: NameMap) -> Resolved:
    """An archive of source code. The record is that of an sdist; the wheel built of it replaces it."""
    if locked.sha256 is None:
        raise _hash_missing(locked.filename or locked.url)
    filename = locked.filename or locked.url.partition("#")[0].rpartition("/")[2]
    info = WheelInfo(
        filename=filename,
        metadata=_metadata(locked, locked.version or "0"),
        url=locked.url,
        origin=locked.index,
        sha256=locked.sha256,
        size=locked.size,
        upload_time=locked.upload_time,
    )
    unstated = OF_WHEEL if locked.version else OF_WHEEL | {"version"}
    direct = locked.url if locked.kind == "archive" and not locked.index else ""
    return Resolved(
        record=replace(translate(info, target, names), others=_attested(locked)),
        requested=_requests(locked, direct=direct),
        extras=locked.extras,
        choice=_choice(locked),
        unstated=unstated,
    )


def _source(
    locked: LockedSource, target: Target, names: NameMap, index: Callable[[], Index], installed: dict[str, Installed]
) -> Resolved:
    """A git commit or a folder, whose metadata is read now."""
    url = locked.url
    if locked.is_editable and EDITABLE not in url:
        url += f"&{EDITABLE}" if "#" in url else f"#{EDITABLE}"
    requested = _requests(locked)
    old = next((each for each in installed.values() if _is_same_source(each.record, url, locked.revision)), None)
    if old is not None:
        _check_source(locked, "version", locked.version, old.record.version)
        return Resolved(record=old.record, requested=requested, extras=locked.extras, unstated=OF_WHEEL)
    file = index().file_of_url(url, locked.name)
    _check_source(locked, "version", locked.version, file.version)
    _check_source(locked, "revision", locked.revision, file.revision)
    info = WheelInfo(
        filename=file.filename,
        metadata=index().metadata(file),
        url=_as_asked(file.url, locked.reference),
        origin=file.origin,
        revision=file.revision,
    )
    record = replace(translate(info, target, names), others=_attested(locked))
    return Resolved(record=record, requested=requested, extras=locked.extras, choice=_choice(locked))


def _as_asked(url: str, reference: str) -> str:
    """Return the URL of a repository with what was asked for instead of the commit, which the revision states."""
    source = source_of(url)
    if source is None or source.kind != "git":
        return url
    fragment = url.partition("#")[2]
    asked = f"@{quote(reference, safe='/')}" if reference else ""
    return f"git+{source.url}{asked}" + (f"#{fragment}" if fragment else "")


def _check_source(locked: LockedSource, what: str, stated: str | None, actual: str | None) -> None:
    if stated and actual and stated != actual:
        raise IntegrityError(
            "source-differs",
            f"the source code of {locked.name} is not what was locked: its {what} is {actual}, not {stated}",
            context=(masked(locked.url),),
            hint="lock it again, or restore the source code",
        )


def _is_same_source(record: Record, url: str, revision: str | None) -> bool:
    source = source_of(url)
    locked = revision or (source.reference if source is not None and source.kind == "git" else None)
    return locked is not None and record.revision == locked and is_same_source(record.url, url)


def _metadata(locked: LockedWheel | LockedSource, version: str) -> CoreMetadata:
    try:
        return CoreMetadata(name=locked.name, version=str(Version(version)))
    except InvalidVersion as error:
        raise UsageError(
            "lock-invalid", f"the lock gives {locked.name} a version that PEP 440 does not know: {version!r}"
        ) from error


def _requests(locked: LockedWheel | LockedSource, *, direct: str = "") -> tuple[str, ...]:
    if locked.requested or not direct:
        return locked.requested
    return (f"{locked.name} @ {masked(direct)}",)


def _hash_missing(what: str) -> UnsafeInputError:
    return UnsafeInputError(
        "hash-missing",
        f"the lock gives no sha256 for {masked(what)}, so what is fetched could not be verified",
        hint="write the lock again with a tool that records sha256",
    )

"""The packages of a solution as they are locked. Pure."""

from __future__ import annotations

from bridge.fetch.urls import file_name
from bridge.model import Resolution, Resolved
from bridge.prefix.attested import ADVERTISED, kept_attestations
from bridge.prefix.chosen import kept_choice
from bridge.requirements.direct import is_direct
from bridge.requirements.locked import Facts, Locked, LockedConda, LockedSource, LockedWheel, SourceKind
from bridge.sdists.location import ARCHIVES, pinned, source_of
from bridge.secrets import public
from converters.record import Record

__all__ = ["locked", "locked_packages"]


def locked_packages(resolution: Resolution) -> tuple[Locked, ...]:
    """Return the packages of a solution, sorted by name."""
    return tuple(locked(each) for each in resolution.packages)


def locked(resolved: Resolved, *, direct: bool | None = None) -> Locked:
    """Return one package as it is locked.

    :param direct: whether a URL or path requested it (default: judged by the requests).
    """
    record = resolved.record
    if record.ecosystem == "conda":
        return LockedConda(record=record, requested=resolved.requested, facts=_facts(resolved))
    is_named = is_direct(record.url, resolved.requested) if direct is None else direct
    if _is_wheel(record):
        return _wheel(resolved, is_direct=is_named)
    return _source(resolved, is_direct=is_named)


def _is_wheel(record: Record) -> bool:
    """Whether a record is of a wheel; one that was built here has the name of a wheel and the URL of an sdist."""
    if source_of(record.url) is not None or not record.filename.endswith(".whl"):
        return False
    return not record.url.partition("#")[0].endswith(ARCHIVES)


def _wheel(resolved: Resolved, *, is_direct: bool) -> LockedWheel:
    record = resolved.record
    return LockedWheel(
        name=_project(record),
        version=record.version,
        url=_bare(record.url),
        filename=record.filename,
        sha256=record.sha256 or "",
        size=record.size,
        index="" if is_direct else _index(record),
        is_direct=is_direct,
        requires_dist=record.requirements,
        requires_python=record.requires_python,
        extras=resolved.extras,
        upload_time=record.timestamp,
        requested=resolved.requested,
        facts=_facts(resolved),
    )


def _source(resolved: Resolved, *, is_direct: bool) -> LockedSource:
    record, source = resolved.record, source_of(resolved.record.url)
    kind: SourceKind = "sdist" if source is None else source.kind
    url = pinned(record.url, record.revision) if kind == "git" else record.url
    return LockedSource(
        name=_project(record),
        version=record.version,
        kind=kind,
        url=_bare(url) if kind == "sdist" else public(url),
        filename=file_name(record.url) if source is None or kind == "archive" else record.filename,
        sha256=record.sha256,
        size=record.size,
        index="" if is_direct else _index(record),
        revision=record.revision,
        reference=source.reference if source is not None else "",
        is_editable=source is not None and source.is_editable,
        requires_dist=record.requirements,
        requires_python=record.requires_python,
        extras=resolved.extras,
        upload_time=record.timestamp,
        requested=resolved.requested,
        facts=_facts(resolved),
    )


def _facts(resolved: Resolved) -> Facts:
    record = resolved.record
    is_wheel = record.ecosystem == "wheel"
    advertised = dict(record.others).get(ADVERTISED)
    advertised = advertised.hex() if isinstance(advertised, bytes) else advertised  # of a shard
    return Facts(
        license=record.license if is_wheel else None,  # the format has that of a conda package
        yanked=record.yanked if is_wheel else None,
        attestations=kept_attestations(record),
        advertised=advertised if isinstance(advertised, str) else None,
        choice=resolved.choice or kept_choice(record),
        size=record.size if is_wheel and not _is_wheel(record) else None,  # that of a wheel is known once it is fetched
    )


def _index(record: Record) -> str:
    """Return the URL of the index that has a file; empty for a directory of `--find-links` or a channel of wheels."""
    folder = _bare(record.url).rpartition("/")[0]
    is_index = "://" in record.origin and record.origin.rstrip("/") != folder and not record.is_of_channel
    return public(record.origin) if is_index else ""


def _project(record: Record) -> str:
    return record.pypi_names[0] if record.pypi_names else record.name


def _bare(url: str) -> str:
    """Return a URL without its fragment, which holds a hash at most."""
    return public(url).partition("#")[0]

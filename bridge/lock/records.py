"""What is locked as records, and as the only candidates of a solve. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from packaging.requirements import InvalidRequirement, Requirement

from bridge.errors import UsageError
from bridge.model import IndexFile
from bridge.requirements.locked import Locked, LockedConda, LockedSource
from bridge.requirements.metadata import metadata_of_record
from bridge.sdists.location import source_of
from converters.deferred import replace
from converters.metadata import CoreMetadata
from converters.projects import canonicalize_name
from converters.record import Record

__all__ = ["LockedPort", "record_of"]

_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")


def record_of(each: Locked) -> Record:
    """Return a record; that of a wheel has the name of its project and what the lock says of its METADATA."""
    if isinstance(each, LockedConda):
        return each.record
    return Record(
        ecosystem="wheel",
        name=each.name,
        version=each.version,
        build="0",
        subdir="noarch",
        requirements=each.requires_dist or (),
        requires_python=each.requires_python,
        extras=_extras(each.requires_dist or ()),
        pypi_names=(each.name,),
        filename=each.filename or each.url.partition("#")[0].rstrip("/").rpartition("/")[2],
        url=each.url,
        origin=each.index,
        sha256=each.sha256,
        size=each.size,
        license=each.facts.license if each.facts is not None else None,
        timestamp=each.upload_time,
        revision=each.revision if isinstance(each, LockedSource) else None,
    )


def _extras(requires_dist: Iterable[str]) -> tuple[str, ...]:
    """Return the extras that markers of requirements name."""
    extras: dict[str, None] = {}
    for text in requires_dist:
        try:
            marker = Requirement(text).marker
        except InvalidRequirement:
            continue
        for name in _EXTRA.findall(str(marker or "")):
            extras[canonicalize_name(name)] = None
    return tuple(extras)


class LockedPort:
    """The packages of one place of a lock as a `RecordPort` and an `IndexPort`: nothing else exists."""

    def __init__(self, packages: Iterable[Locked]) -> None:
        self._records: dict[str, Record] = {}
        self._wheels: dict[str, Record] = {}
        for each in packages:
            record = record_of(each)
            (self._records if record.ecosystem == "conda" else self._wheels)[record.name] = record

    def prefetch(self, names: Iterable[str]) -> None:
        """Nothing to fetch."""

    def records(self, name: str) -> Sequence[Record]:
        records = self._records.get(name)
        return () if records is None else (records,)

    def prefetch_files(self, projects: Iterable[str]) -> None:
        """Nothing to fetch."""

    def files(self, project: str) -> Sequence[IndexFile]:
        files = self._wheels.get(project)
        return () if files is None else (IndexFile.of_record(files),)

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        """Nothing to fetch."""

    def metadata(self, file: IndexFile) -> CoreMetadata:
        return metadata_of_record(self._wheels[file.project], file.project)

    def file_of_url(self, url: str, project: str) -> IndexFile:
        """Return what is locked of a project that a URL requests. Raises `UsageError` (`lock-outdated`)."""
        files = self._wheels.get(canonicalize_name(project))
        if files is None or not _same_place(url, files):
            was = f"{files.url} is locked" if files is not None else "it is not locked"
            raise UsageError("lock-outdated", f"{project} @ {url}: {was}")
        return replace(IndexFile.of_record(files), url=url)

    def remarks(self, project: str) -> Sequence[str]:  # noqa: ARG002 - of `IndexPort`
        return ()


def _same_place(url: str, record: Record) -> bool:
    asked, locked = source_of(url), source_of(record.url)
    if asked is not None and locked is not None:
        return asked.place[:3] == locked.place[:3]
    return url.partition("#")[0] == record.url.partition("#")[0]

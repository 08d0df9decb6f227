"""Installed packages as candidates, beside those of channels and indexes.

An installed package stays a candidate if its channel or index no longer offers it or cannot be reached, so that a lost
origin blocks nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.cache.blobs import sha256_of
from bridge.errors import BuildError, NetworkError, UsageError
from bridge.faults import faults
from bridge.fetch.urls import local_path
from bridge.index.typed import check_expected
from bridge.model import IndexFile
from bridge.resolve.sources import IndexPort, RecordPort
from converters.deferred import dataclass, replace
from converters.metadata import CoreMetadata
from converters.record import Record

if TYPE_CHECKING:
    from bridge.requirements.foreign import Foreign

__all__ = ["IndexWithInstalled", "InstalledCandidates", "RecordsWithInstalled"]

_GONE = frozenset({"build-needed", "no-project", "git-missing", "git-reference"})


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledCandidates:
    """The candidates that an environment itself offers.

    :param records: of the installed packages; a wheel's METADATA is the installed one.
    :param foreign: the distributions of other installers.
    :param requested: the projects requested now. A foreign distribution of any other project stays as it is.
    :param direct: the projects that came from a URL or directory, or as an editable (PEP 610), and are not requested
        now: no file of an index replaces them.
    :param urls: the URLs requested now, which are read. For a URL of an earlier request the installed wheel counts.
    :param updated: the projects to update; their URLs are read again if they still answer.
    :param is_known_only: `records` are those of a lock: their METADATA serves, but they are no candidates once their
        channel or index no longer offers them.
    """

    records: tuple[Record, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    requested: frozenset[str] = frozenset()
    direct: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    updated: frozenset[str] = frozenset()
    is_known_only: bool = False

    @property
    def staying(self) -> tuple[Foreign, ...]:
        """The foreign distributions that must stay: nobody requests their projects."""
        return tuple(each for each in self.foreign if each.project not in self.requested)

    @property
    def has_wheels(self) -> bool:
        return bool(self.foreign) or any(record.ecosystem == "wheel" for record in self.records)


class RecordsWithInstalled:
    """A `RecordPort` that adds the installed conda records."""

    def __init__(self, source: RecordPort, installed: Sequence[Record]) -> None:
        self._source = source
        self._installed = {record.name: record for record in installed if record.ecosystem == "conda"}

    def prefetch(self, names: Iterable[str]) -> None:
        self._source.prefetch(names)

    def records(self, name: str) -> Sequence[Record]:
        """Return the channels' records, and the installed one if no channel has it."""
        records = self._source.records(name)
        installed = self._installed.get(name)
        if installed is None or any(record.identity == installed.identity for record in records):
            return records
        return (*records, installed)


class IndexWithInstalled:
    """An `IndexPort` that adds the installed wheels, with their METADATA, and the foreign distributions.

    `gone` maps projects to the reason why the URL of an earlier request could not be read again.
    """

    def __init__(
        self, source: IndexPort, offered: InstalledCandidates, hashes: Mapping[str, frozenset[str]] | None = None
    ) -> None:
        """:param hashes: project → the sha256 that its files may have; other projects may have any."""
        self._source = source
        self._offered = offered
        self._hashes = dict(hashes or {})
        wheels = [record for record in offered.records if record.ecosystem == "wheel" and record.pypi_names]
        self._installed = {record.pypi_names[0]: record for record in wheels}
        self._foreign = {each.project: each for each in offered.foreign}
        self._staying = {each.project for each in offered.staying}
        self.gone: dict[str, str] = {}

    def prefetch_files(self, projects: Iterable[str]) -> None:
        self._source.prefetch_files(project for project in projects if project not in self._staying)

    def files(self, project: str) -> Sequence[IndexFile]:
        """Return the index's files, and the installed one if no index has it or none can be reached.

        A foreign distribution that must stay is the only candidate of its project.
        """
        foreign, installed = self._foreign.get(project), self._installed.get(project)
        if project in self._staying and foreign is not None:
            return (foreign.file,)
        if project in self._offered.direct and installed is not None:
            return (IndexFile.of_record(installed),)
        local = [each for each in (foreign and foreign.file, installed and IndexFile.of_record(installed)) if each]
        local = [] if self._offered.is_known_only else local
        try:
            served = self._bound(project, self._source.files(project))
        except NetworkError:
            if not local:
                raise
            served = ()
        if not local:
            return served
        names = {file.filename for file in served}
        return (*served, *(each for each in local if each.filename not in names))

    def _bound(self, project: str, files: Sequence[IndexFile]) -> Sequence[IndexFile]:
        """Return the files with the hashes that the request allows. A local file without a hash is hashed now."""
        allowed = self._hashes.get(project)
        if allowed is None:
            return files
        expected = tuple(sorted(allowed))
        return [replace(file, expected=expected, sha256=file.sha256 or _local_hash(file)) for file in files]

    def remarks(self, project: str) -> Sequence[str]:
        return () if project in self._staying else self._source.remarks(project)

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        self._source.prefetch_metadata(
            file for file in files if not (self._is_installed(file) or self._is_foreign(file))
        )

    def metadata(self, file: IndexFile) -> CoreMetadata:
        """Return METADATA; for an installed wheel the installed one."""
        if self._is_foreign(file):
            return self._foreign[file.project].metadata
        if not self._is_installed(file):
            return self._source.metadata(file)
        from bridge.requirements.metadata import metadata_of_record  # noqa: PLC0415 - a new environment has none

        return metadata_of_record(self._installed[file.project], file.project)

    def file_of_url(self, url: str, project: str) -> IndexFile:
        """Return the file at a URL, or the installed wheel if the URL was requested earlier and not now.

        Raises as the index's `file_of_url`, and `IntegrityError` (`hash-mismatch`); for a URL that an update reads
        again only if nothing is installed.
        """
        installed = self._installed.get(project)
        if installed is None or url in self._offered.urls:
            return self._checked(self._source.file_of_url(url, project))
        if project in self._offered.updated:
            try:
                return self._checked(self._source.file_of_url(url, project))
            except (NetworkError, BuildError, UsageError) as error:
                if not isinstance(error, NetworkError) and error.id not in _GONE:
                    raise
                self.gone[project] = error.message
        return replace(IndexFile.of_record(installed), url=url)

    def _checked(self, file: IndexFile) -> IndexFile:
        file = replace(file, expected=tuple(sorted(self._hashes.get(file.project, ()))))
        check_expected(file, file.sha256)
        return file

    def _is_installed(self, file: IndexFile) -> bool:
        installed = self._installed.get(file.project)
        if installed is None or installed.revision != file.revision:
            return False
        return (installed.filename, installed.sha256) == (file.filename, file.sha256)

    def _is_foreign(self, file: IndexFile) -> bool:
        foreign = self._foreign.get(file.project)
        return foreign is not None and foreign.file.url == file.url


def _local_hash(file: IndexFile) -> str | None:
    path = local_path(file.url)
    if path is None:
        return None
    with faults(Path(path)):
        return sha256_of(Path(path))

"""What is installed, offered to the resolver beside what channels and indexes have.

An installed package stays a candidate where its channel or index no longer offers it, or cannot be reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bridge.errors import NetworkError
from bridge.model import IndexFile
from bridge.resolve.catalog import IndexPort, RecordPort
from converters.record import Record
from converters.wheel import CoreMetadata

__all__ = ["PresentIndex", "PresentRecords"]


class PresentRecords:
    """A `RecordPort` that also knows the installed conda records."""

    def __init__(self, source: RecordPort, installed: Sequence[Record]) -> None:
        self._source = source
        self._installed = {record.name: record for record in installed if record.ecosystem == "conda"}

    def prefetch(self, names: Iterable[str]) -> None:
        self._source.prefetch(names)

    def records(self, name: str) -> Sequence[Record]:
        """The channels' records, and the installed one where no channel has it."""
        found = self._source.records(name)
        present = self._installed.get(name)
        if present is None or any(record.identity == present.identity for record in found):
            return found
        return (*found, present)


class PresentIndex:
    """An `IndexPort` that also knows the installed wheels, metadata included."""

    def __init__(
        self, source: IndexPort, installed: Sequence[Record], hashes: Mapping[str, frozenset[str]] | None = None
    ) -> None:
        """:param hashes: project → the sha256 that its files may have; other projects may have any."""
        self._source = source
        self._hashes = dict(hashes or {})
        wheels = [record for record in installed if record.ecosystem == "wheel" and record.pypi_names]
        self._installed = {record.pypi_names[0]: record for record in wheels}

    def prefetch_files(self, projects: Iterable[str]) -> None:
        self._source.prefetch_files(projects)

    def files(self, project: str) -> Sequence[IndexFile]:
        """The index's files, and the installed one where no index has it or none can be reached."""
        present = self._installed.get(project)
        if present is None:
            return self._allowed(project, self._source.files(project))
        try:
            found = self._allowed(project, self._source.files(project))
        except NetworkError:
            found = ()
        if any(file.filename == present.filename for file in found):
            return found
        return (*found, IndexFile.of_record(present))

    def _allowed(self, project: str, files: Sequence[IndexFile]) -> Sequence[IndexFile]:
        allowed = self._hashes.get(project)
        return files if allowed is None else [file for file in files if file.sha256 in allowed]

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        self._source.prefetch_metadata(file for file in files if not self._is_present(file))

    def metadata(self, file: IndexFile) -> CoreMetadata:
        """METADATA; of an installed wheel, as it was installed."""
        if not self._is_present(file):
            return self._source.metadata(file)
        present = self._installed[file.project]
        return CoreMetadata(
            name=file.project,
            version=present.version,
            requires_python=present.requires_python,
            requires_dist=present.requirements,
            provides_extra=present.extras,
            license=present.license,
        )

    def file_of_url(self, url: str, project: str) -> IndexFile:
        return self._source.file_of_url(url, project)

    def _is_present(self, file: IndexFile) -> bool:
        present = self._installed.get(file.project)
        return present is not None and (present.filename, present.sha256) == (file.filename, file.sha256)

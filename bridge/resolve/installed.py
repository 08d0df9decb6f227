"""What is installed, offered to the resolver beside what channels and indexes have.

An installed package stays a candidate where its channel or index no longer offers it, or cannot be reached: what came
from an origin that is gone blocks nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bridge.errors import NetworkError
from bridge.model import IndexFile
from bridge.requirements.foreign import Foreign
from bridge.resolve.sources import IndexPort, RecordPort
from converters.record import Record
from converters.wheel import CoreMetadata

__all__ = ["IndexWithInstalled", "InstalledCandidates", "RecordsWithInstalled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledCandidates:
    """What an environment offers the resolver.

    :param records: of the installed packages; a wheel's METADATA is what was installed.
    :param foreign: the distributions of other installers.
    :param asked: the projects that a person asks for now. A foreign distribution of any other project stays as it is.
    :param direct: the projects that came from a URL or folder, or as an editable (PEP 610), and are not asked for now:
        no file of an index takes their place.
    :param urls: the URLs that a person asks for now, which are read. Of a wheel that was asked for by URL earlier, what
        is installed counts.
    :param updated: the projects that are to be brought up to date; their URLs are read again, where these still answer.
    """

    records: tuple[Record, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    requested: frozenset[str] = frozenset()
    direct: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    updated: frozenset[str] = frozenset()

    @property
    def staying(self) -> tuple[Foreign, ...]:
        """The foreign distributions that are facts: nobody asks for their projects."""
        return tuple(each for each in self.foreign if each.project not in self.requested)

    @property
    def has_wheels(self) -> bool:
        return bool(self.foreign) or any(record.ecosystem == "wheel" for record in self.records)


class RecordsWithInstalled:
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


class IndexWithInstalled:
    """An `IndexPort` that also knows the installed wheels, metadata included, and the foreign distributions.

    `gone` names the URLs that were to be read again for an update, and do not answer.
    """

    def __init__(
        self, source: IndexPort, present: InstalledCandidates, hashes: Mapping[str, frozenset[str]] | None = None
    ) -> None:
        """:param hashes: project → the sha256 that its files may have; other projects may have any."""
        self._source = source
        self._present = present
        self._hashes = dict(hashes or {})
        wheels = [record for record in present.records if record.ecosystem == "wheel" and record.pypi_names]
        self._installed = {record.pypi_names[0]: record for record in wheels}
        self._foreign = {each.project: each for each in present.foreign}
        self._staying = {each.project for each in present.staying}
        self.gone: dict[str, str] = {}

    def prefetch_files(self, projects: Iterable[str]) -> None:
        self._source.prefetch_files(project for project in projects if project not in self._staying)

    def files(self, project: str) -> Sequence[IndexFile]:
        """The index's files, and the installed one where no index has it or none can be reached.

        A foreign distribution that is to stay is the only candidate of its project.
        """
        foreign, present = self._foreign.get(project), self._installed.get(project)
        if project in self._staying and foreign is not None:
            return (foreign.file,)
        if project in self._present.direct and present is not None:
            return (IndexFile.of_record(present),)
        there = [each for each in (foreign and foreign.file, present and IndexFile.of_record(present)) if each]
        try:
            found = self._allowed(project, self._source.files(project))
        except NetworkError:
            if not there:
                raise
            found = ()
        named = {file.filename for file in found}
        return (*found, *(each for each in there if each.filename not in named))

    def _allowed(self, project: str, files: Sequence[IndexFile]) -> Sequence[IndexFile]:
        allowed = self._hashes.get(project)
        return files if allowed is None else [file for file in files if file.sha256 in allowed]

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        self._source.prefetch_metadata(file for file in files if not (self._is_present(file) or self._is_foreign(file)))

    def metadata(self, file: IndexFile) -> CoreMetadata:
        """METADATA; of an installed wheel, as it was installed."""
        if self._is_foreign(file):
            return self._foreign[file.project].metadata
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
        """The file at a URL; what is installed, where the URL was asked for earlier and not now.

        Raises as the index's `file_of_url`; of a URL that an update reads again, only where nothing is installed.
        """
        present = self._installed.get(project)
        if present is None or url in self._present.urls:
            return self._source.file_of_url(url, project)
        if project in self._present.updated:
            try:
                return self._source.file_of_url(url, project)
            except NetworkError:
                self.gone[project] = url
        return replace(IndexFile.of_record(present), url=url)

    def _is_present(self, file: IndexFile) -> bool:
        present = self._installed.get(file.project)
        return present is not None and (present.filename, present.sha256) == (file.filename, file.sha256)

    def _is_foreign(self, file: IndexFile) -> bool:
        foreign = self._foreign.get(file.project)
        return foreign is not None and foreign.file.url == file.url

"""Wheels that conda channels list (CEP 48), as candidates beside those of indexes.

A channel is asked before the indexes: the first that has a project serves it (dependency confusion). Where the
channel's record and the wheel's METADATA disagree, METADATA counts, and the difference is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from bridge.config.indexes import IndexStrategy
from bridge.model import IndexFile
from bridge.requirements.algebra import parse_pypi, pep440_version
from bridge.requirements.names import name_of
from bridge.resolve.sources import IndexPort
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.projects import canonicalize_name
from converters.record import Record

__all__ = ["IndexWithChannels"]

_OF_CHANNELS = frozenset({"python", "python_abi"})  # a channel may add these to what METADATA says


class IndexWithChannels:
    """An `IndexPort` whose projects may come from channels.

    :param source: the indexes.
    :param wheels: project → the (file, record) of each wheel that channels list.
    :param bound: projects that only one index may serve.
    :param strategy: with `best`, channels and indexes all serve a project.

    `differences` maps the names of files whose METADATA was read to how the channel's record differs.
    """

    def __init__(
        self,
        source: IndexPort,
        wheels: Callable[[str], Sequence[tuple[IndexFile, Record]]],
        names: NameMap,
        *,
        strategy: IndexStrategy = "first",
        bound: Mapping[str, object] | None = None,
    ) -> None:
        self._source, self._wheels, self._names = source, wheels, names
        self._strategy, self._bound = strategy, bound or {}
        self._files: dict[str, tuple[IndexFile, ...]] = {}
        self._records: dict[str, Record] = {}
        self.differences: dict[str, str] = {}

    def _of_channels(self, project: str) -> tuple[IndexFile, ...]:
        if project not in self._files:
            wheels = () if project in self._bound else self._wheels(project)
            self._records |= {file.url: record for file, record in wheels}
            self._files[project] = tuple(file for file, _ in wheels if file.project == project)
        return self._files[project]

    def prefetch_files(self, projects: Iterable[str]) -> None:
        self._source.prefetch_files(
            project for project in projects if self._strategy == "best" or not self._of_channels(project)
        )

    def files(self, project: str) -> Sequence[IndexFile]:
        """Return the files of the channels, else those of the indexes; with the strategy `best` both."""
        listed = self._of_channels(project)
        if listed and self._strategy == "first":
            return listed
        served = self._source.files(project)
        names = {file.filename for file in listed}
        return (*listed, *(file for file in served if file.filename not in names)) if listed else served

    def remarks(self, project: str) -> Sequence[str]:
        """Return the remarks of the indexes, where these were asked."""
        is_asked = self._strategy == "best" or not self._of_channels(project)
        return self._source.remarks(project) if is_asked else ()

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        self._source.prefetch_metadata(files)

    def metadata(self, file: IndexFile) -> CoreMetadata:
        metadata = self._source.metadata(file)
        record = self._records.get(file.url)
        if record is not None and (difference := _difference(record, metadata, self._names)):
            self.differences[file.filename] = difference
        return metadata

    def file_of_url(self, url: str, project: str) -> IndexFile:
        return self._source.file_of_url(url, project)


def _difference(record: Record, metadata: CoreMetadata, names: NameMap) -> str:
    """Say how a channel's record differs from METADATA; empty if it does not.

    The record's versions are conda's, and its needs those of one platform. So only names count, and a requirement
    with a marker may be absent.
    """
    # Virtual packages (`__unix`) say where the record is for.
    required = (name for name in map(name_of, record.requirements) if not name.startswith("_"))
    needs = set(map(canonicalize_name, required)) - _OF_CHANNELS
    parsed = [parse_pypi(text) for text in metadata.requires_dist]
    known = {name for each in parsed for name in _names_of(each.name, names)}
    lacking = sorted(
        {each.name for each in parsed if each.marker is None and needs.isdisjoint(_names_of(each.name, names))}
    )
    added = sorted(needs - known)
    parts = [f"it lacks {', '.join(lacking)}"] if lacking else []
    parts += [f"it adds {', '.join(added)}"] if added else []
    if pep440_version(record.version) != pep440_version(metadata.version):
        parts.append(f"it has version {record.version}")
    return "; ".join(parts)


def _names_of(project: str, names: NameMap) -> set[str]:
    return {canonicalize_name(name) for name in (project, names.native_name(project), *names.providers(project))}

"""A solve as a document: its request and all its input, so that it can be repeated elsewhere, offline.

`Recorder` wraps the resolver's sources and records their answers, with secrets removed from URLs;
`bridge.resolve.replay` reads the document.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from bridge import __version__
from bridge.config.policy import Policy
from bridge.config.policy.rules import Allowance
from bridge.errors import BridgeError
from bridge.model import IndexFile, Resolution
from bridge.prefix.attested import ADVERTISED
from bridge.requirements.algebra import Requirement
from bridge.resolve import resolve
from bridge.resolve.candidates.catalog import Catalog
from bridge.resolve.candidates.provides import canonical
from bridge.resolve.documents import document_of
from bridge.resolve.search.request import SolveRequest
from bridge.resolve.sources import IndexPort, Options, RecordPort
from bridge.secrets import masked
from converters.deferred import replace
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.record import Record
from converters.target import Target

__all__ = ["FORMAT", "Recorder"]

FORMAT = 1
_T = TypeVar("_T")


class Recorder:
    """Records one solve."""

    def __init__(self) -> None:
        self._catalog: Catalog | None = None
        self._request: dict[str, object] = {}
        self._records: dict[str, Sequence[Record]] = {}
        self._files: dict[str, Sequence[IndexFile]] = {}
        self._metadata: dict[str, CoreMetadata | BridgeError] = {}
        self._urls: dict[str, IndexFile | BridgeError] = {}
        self._remarks: dict[str, Sequence[str]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no solve was started."""
        return self._catalog is None

    def resolve(self, request: SolveRequest, catalog: Catalog) -> Resolution:
        """`bridge.resolve.resolve`, recorded; the catalog must be new, because what it read before is not recorded."""
        standing = request.standing
        groups = {"requirements": request.asked, "present": standing.retained, "constraints": request.constraints}
        groups |= {"pins": (*standing.pins, *standing.configured), "foreign": standing.foreign}
        self._request = {name: [_requirement(each) for each in group] for name, group in groups.items()}
        self._request |= {
            "earlier": len(standing.earlier),
            "configured": len(standing.configured),
        }  # the last of a group
        self._request |= {"requires_python": request.requires_python}
        self._request |= {"kept": dict(standing.kept), "agreed": dict(standing.agreed)}
        self._catalog = catalog
        index = None if catalog.index is None else _RecordedIndex(catalog.index, self)
        watched = Catalog(
            _RecordedRecords(catalog.source, self),
            index,
            catalog.target,
            catalog.names,
            catalog.options,
            results=catalog.results,
        )
        return resolve(request, watched)

    def document(self, answer: Mapping[str, object]) -> dict[str, object]:
        """Return the recording as JSON; `answer` is the result, for comparison."""
        catalog = self._catalog
        assert catalog is not None, "nothing was recorded"
        index = {
            "files": {project: list(map(_values, files)) for project, files in sorted(self._files.items())},
            "metadata": {masked(url): _outcome(read) for url, read in sorted(self._metadata.items())},
            "remarks": {project: list(map(masked, said)) for project, said in sorted(self._remarks.items())},
            "urls": {masked(url): _outcome(read) for url, read in sorted(self._urls.items())},
        }
        return {
            "format": FORMAT,
            "bridge": __version__,
            "target": _target(catalog.target),
            "options": _options(catalog.options),
            "names": self._names(catalog.names),
            "request": self._request,
            "records": {name: list(map(_values, records)) for name, records in sorted(self._records.items())},
            "index": index if catalog.index is not None else None,
            "answer": dict(answer),
        }

    def _names(self, names: NameMap) -> dict[str, object]:
        """Return the relevant part of the name map: rows of names that were read, and of their projects."""
        projects = {*self._files, *map(canonical, self._records)}
        for name, records in self._records.items():
            projects.update(names.row(name) or ())
            for record in records:
                projects.update(names.provides(name, purls=record.purls, is_python=True).projects)
        table, defaults = names.part(self._records.keys(), projects)
        return {"source": masked(names.source), "table": table, "defaults": defaults}

    # Called by the recorded sources

    def saw_records(self, name: str, records: Sequence[Record]) -> None:
        self._records[name] = records

    def saw_files(self, project: str, files: Sequence[IndexFile]) -> None:
        self._files[project] = files

    def saw_remarks(self, project: str, remarks: Sequence[str]) -> None:
        self._remarks[project] = remarks

    def metadata(self, url: str, read: Callable[[], CoreMetadata]) -> CoreMetadata:
        return _kept(self._metadata, url, read)

    def file_of_url(self, url: str, read: Callable[[], IndexFile]) -> IndexFile:
        return _kept(self._urls, url, read)


def _kept(memory: dict[str, _T | BridgeError], key: str, read: Callable[[], _T]) -> _T:
    try:
        memory[key] = value = read()
    except BridgeError as error:
        memory[key] = error
        raise
    return value


class _RecordedRecords:
    """A `RecordPort` whose answers are recorded."""

    def __init__(self, source: RecordPort, recorder: Recorder) -> None:
        self._source, self._recorder = source, recorder

    def prefetch(self, names: Iterable[str]) -> None:
        self._source.prefetch(names)

    def records(self, name: str) -> Sequence[Record]:
        records = self._source.records(name)
        self._recorder.saw_records(name, records)
        return records


class _RecordedIndex:
    """An `IndexPort` whose answers and errors are recorded."""

    def __init__(self, source: IndexPort, recorder: Recorder) -> None:
        self._source, self._recorder = source, recorder

    def prefetch_files(self, projects: Iterable[str]) -> None:
        self._source.prefetch_files(projects)

    def files(self, project: str) -> Sequence[IndexFile]:
        files = self._source.files(project)
        self._recorder.saw_files(project, files)
        return files

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        self._source.prefetch_metadata(files)

    def metadata(self, file: IndexFile) -> CoreMetadata:
        return self._recorder.metadata(file.url, lambda: self._source.metadata(file))

    def file_of_url(self, url: str, project: str) -> IndexFile:
        return self._recorder.file_of_url(url, lambda: self._source.file_of_url(url, project))

    def remarks(self, project: str) -> Sequence[str]:
        remarks = self._source.remarks(project)
        self._recorder.saw_remarks(project, remarks)
        return remarks


def _values(value: Record | IndexFile | CoreMetadata) -> dict[str, object]:
    if isinstance(value, Record):  # keys that bridge does not interpret; the policy asks whether one is there
        value = replace(value, others=tuple((key, ()) for key, _ in value.others if key == ADVERTISED))
    document: dict[str, object] = document_of(value)
    return document


def _policy(policy: Policy) -> list[object]:
    """Return the rules that a solve judges by: not those on link scripts, on shared paths and on the trust root.

    Files have the rules that they had when they were read: durations are moments, and places have their URLs.
    """
    unused = Allowance()
    return [document_of(replace(each, link_scripts=unused, clobber=unused, trusted_root=None)) for each in policy.files]


def _outcome(read: Record | IndexFile | CoreMetadata | BridgeError) -> dict[str, object]:
    if not isinstance(read, BridgeError):
        return _values(read)
    error = {
        "type": type(read).__name__,
        "id": read.id,
        "message": masked(read.message),
        "context": list(map(masked, read.context)),
    }
    return {"error": error | {"hint": masked(read.hint or "") or None}}


def _requirement(requirement: Requirement) -> dict[str, object]:
    """Return a requirement by its parts: its text alone does not determine its syntax."""
    return {
        "text": masked(requirement.text),
        "name": requirement.name,
        "kind": requirement.kind,
        "bound": requirement.bound,
        "conda": masked(requirement.conda.text) if requirement.conda is not None else None,
        "origins": sorted(map(masked, requirement.conda.origins)) if requirement.conda is not None else [],
        "specifier": requirement.specifier,
        "extras": list(requirement.extras),
        "marker": requirement.marker,
        "url": masked(requirement.url) if requirement.url is not None else None,
    }


def _target(target: Target) -> dict[str, object]:
    return {"subdir": target.subdir, "virtual_packages": [list(each) for each in target.virtual_packages]}


def _options(options: Options) -> dict[str, object]:
    policy = {} if options.policy is None else {"policy": _policy(options.policy)}
    return {
        "prefer": options.prefer,
        "only": dict(options.only),
        "pre": options.pre,
        "exclude_newer": options.cooldown.default,
        "newer_exceptions": {masked(key): limit for key, limit in sorted(options.cooldown.exceptions.items())},
        "no_build": options.no_build,
        "only_binary": sorted(options.builds.only_binary),
        "no_binary": sorted(options.builds.no_binary),
        **policy,
    }

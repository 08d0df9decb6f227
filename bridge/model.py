"""Values passed between wings: Candidate → Resolution → Plan → StagedPlan, and what a prefix contains (PrefixState).

All are frozen, slotted and keyword-only. Paths below a prefix are relative POSIX text (`lib/python3.12/…`) without
`..`; hashes are lower-case hex.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import overload

from bridge.fs.fingerprint import Fingerprint, PathKind
from converters.deferred import dataclass
from converters.record import Record
from converters.target import POSIX, SUBDIRS, WINDOWS, PrefixLayout, Python, Target

__all__ = [
    "EGGS",
    "UNKNOWN_CHANNEL",
    "Change",
    "Defect",
    "Distribution",
    "Entry",
    "FileSequence",
    "Fingerprint",
    "IndexFile",
    "Install",
    "Installed",
    "Operation",
    "PathChange",
    "PathKind",
    "Plan",
    "PrefixState",
    "Reinstall",
    "Remove",
    "Resolution",
    "Resolved",
    "Statistics",
]


UNKNOWN_CHANNEL = "<unknown>"
"""The origin of a package from outside channels, as conda 4.4 and newer write it."""
EGGS = (".egg", ".egg-link")
"""Suffixes of distributions that python finds through a line in a `.pth` file (setuptools)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file on a project's page of a package index (PEP 503, 691, 700, 714), or what a URL names.

    :param upload_time: in milliseconds since the epoch.
    :param revision: of source code, as in `Record`.
    :param expected: the sha256 of which the request requires one (pip's `--hash`); empty: any will do.
    :param is_of_channel: a conda channel lists it (CEP 48), which is its origin.
    :param provenance: the URL of its attestations (PEP 740).
    """

    project: str
    filename: str
    version: str
    url: str
    origin: str
    sha256: str | None = None
    size: int | None = None
    requires_python: str | None = None
    yanked: str | None = None
    upload_time: int | None = None
    has_metadata: bool = False
    metadata_sha256: str | None = None
    is_of_channel: bool = False
    revision: str | None = None
    expected: tuple[str, ...] = ()
    provenance: str | None = None

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")

    @classmethod
    def of_record(cls, record: Record) -> IndexFile:
        """Return the file that the record of a wheel or an sdist came from."""
        return cls(
            project=record.pypi_names[0] if record.pypi_names else record.name,
            filename=record.filename,
            version=record.version,
            url=record.url,
            origin=record.origin,
            sha256=record.sha256,
            size=record.size,
            requires_python=record.requires_python,
            yanked=record.yanked,
            upload_time=record.timestamp,
            revision=record.revision,
            is_of_channel=record.is_of_channel,
        )


class FileSequence(Sequence[IndexFile]):
    """Files that are made when they are used: a page may list thousands, of which a solve needs a few.

    :ivar page: a hash of the page that lists exactly these files; empty if there is none.
    """

    __slots__ = ("_made", "_make", "page")

    def __init__(self, count: int, make: Callable[[int], IndexFile], page: str = "") -> None:
        """:param make: place → file."""
        self._make = make
        self._made: list[IndexFile | None] = [None] * count
        self.page = page

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, place: int) -> IndexFile: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[IndexFile]: ...

    def __getitem__(self, place: int | slice) -> IndexFile | Sequence[IndexFile]:
        if isinstance(place, slice):
            return [self._at(each) for each in range(*place.indices(len(self._made)))]
        return self._at(range(len(self._made))[place])

    def __iter__(self) -> Iterator[IndexFile]:
        return map(self._at, range(len(self._made)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as that of a list

    def _at(self, place: int) -> IndexFile:
        made = self._made[place]
        if made is None:
            made = self._made[place] = self._make(place)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One package of a solution. `requested`: texts of the user's requirements it meets; `extras`: extras requested of
    it; `evidence`: what links it to its PyPI names.

    :param choice: why the other ecosystem does not provide it, as a sentence; empty if that is unknown, or if there was
        nothing to choose.
    :param unstated: fields of the record that its source (a lock, a snapshot) does not state. They are read from the
        archive, which a hash identifies.
    """

    record: Record
    requested: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    evidence: str = ""
    choice: str = ""
    unstated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """The cost of a solve. `seconds` is wall time, fetching included."""

    rounds: int = 0
    backtracks: int = 0
    candidates_seen: int = 0
    metadata_fetched: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """A solution of the joint candidate space for one target, sorted by name."""

    target: Target
    packages: tuple[Resolved, ...]
    statistics: Statistics = field(default_factory=Statistics)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path that an installed package claims, with what its records state about it.

    :param packed: sha256 in the archive, if a record gives one that differs from the fingerprint's (before the prefix
        was written in); for a link, the hash of its packed target.
    :param placed: for a link, its `sha256_in_prefix` unless equal to `packed`. rattler hashes the link's text; mamba
        hashes the target and records no `packed`.
    """

    path: str
    fingerprint: Fingerprint
    packed: str | None = None
    placed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One dist-info directory, `.egg-info` or egg. `entries` is `None` if RECORD is missing or unreadable; `direct_url`
    is the parsed direct_url.json (PEP 610). `license` and `author` are as in `CoreMetadata`; `home` is its home page.
    """

    path: str
    name: str
    version: str
    installer: str | None = None
    requested: bool = False
    direct_url: Mapping[str, object] | None = None
    requires_python: str | None = None
    requires_dist: tuple[str, ...] = ()
    provides_extra: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    license: str | None = None
    author: str | None = None
    home: str | None = None
    entries: Sequence[Entry] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One installed package according to its conda-meta record: conda's, or a wheel recorded by bridge.

    `meta_path` is the path of the record; `requested` are the specs it was requested with.
    """

    record: Record
    meta_path: str
    entries: Sequence[Entry]
    requested: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """A file of the prefix that cannot be read as what it should be. `id` is the id of an audit finding.

    :param package: NAME-VERSION-BUILD, if a conda-meta record describes another package than its name says.
    """

    id: str
    path: str
    detail: str
    package: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixState:
    """The conda-meta records and dist-infos of a prefix; no file was hashed.

    `python` is the interpreter according to its record, else to the layout; `None` if there is none.
    """

    prefix: Path
    installed: tuple[Installed, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    python: Python | None = None
    site_packages: str | None = None
    defects: tuple[Defect, ...] = ()

    @property
    def platform(self) -> str | None:
        """The subdir that the packages are for; `None` if no record says."""
        ordered = sorted(self.installed, key=lambda each: each.record.name != "python")
        return next((each.record.subdir for each in ordered if each.record.subdir in SUBDIRS), None)

    @property
    def layout(self) -> PrefixLayout:
        """The layout of the platform, else the one that site-packages shows."""
        platform = self.platform
        is_windows = (self.site_packages or "").startswith("Lib/") if platform is None else platform.startswith("win-")
        return WINDOWS if is_windows else POSIX

    @property
    def interpreter(self) -> Path:
        """The path by which a person runs the environment's python."""
        return self.prefix / ("python.exe" if self.layout.is_windows else "bin/python")


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """Install a package that is not installed."""

    new: Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Replace a package by another version, build or ecosystem; the name may change with the ecosystem."""

    old: Installed
    new: Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinstall:
    """Install the same package again: python's minor version changed, or its files need repair."""

    old: Installed
    new: Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Remove an installed package."""

    old: Installed


Operation = Install | Change | Reinstall | Remove


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The operations on a prefix, as pure data. `keep`: packages left alone; `python`: the interpreter afterwards."""

    prefix: Path
    target: Target
    operations: tuple[Operation, ...] = ()
    keep: tuple[Installed, ...] = ()
    python: Python | None = None

    @property
    def is_empty(self) -> bool:
        return not self.operations


@dataclass(frozen=True, slots=True, kw_only=True)
class PathChange:
    """One path of a transaction: its fingerprint before and after; `None` means absent.

    The new inode is staged at the same relative path below the transaction's `new/` directory. `is_record` marks
    records (conda-meta JSON, dist-info, history), which are swapped last.
    """

    path: str
    before: Fingerprint | None
    after: Fingerprint | None
    owner: str = ""
    is_record: bool = False

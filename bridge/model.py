"""The values that travel: Candidate → Resolution → Plan → StagedPlan, and what a prefix holds (PrefixState).

All are frozen, slotted and keyword-only. Paths below a prefix are POSIX text relative to it (`lib/python3.12/…`), never
absolute, never with `..`; hashes are lower-case hex.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.fs.fingerprint import Fingerprint, PathKind
from converters.record import Record
from converters.target import Python, Target

__all__ = [
    "EGGS",
    "Defect",
    "Distribution",
    "Entry",
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
    "Replace",
    "Resolution",
    "Resolved",
    "Statistics",
]


EGGS = (".egg", ".egg-link")
"""How the path of a distribution ends that python finds by a line of a `.pth` (setuptools)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file of a project's page on a package index (PEP 503, 691, 700, 714). `upload_time`: ms since the epoch."""

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

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")

    @classmethod
    def of_record(cls, record: Record) -> IndexFile:
        """The file that a wheel's record, or that of an sdist, came from."""
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
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One package of a solution: its record, whether it was asked for, by whom it is needed, and why it is this one.

    `requested` holds the texts of the person's requirements that it meets. `extras` are those asked of it.
    """

    record: Record
    requested: tuple[str, ...] = ()
    required_by: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a solve cost. `seconds` is wall time, fetching included."""

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
    """One path that an installed package claims, with what its records promise to lie there.

    :param packed: the sha256 it had in its archive, where a record says so and it is another than that of the
        fingerprint: before the prefix was written in; for a link, that of the file it was packed to lead to.
    :param placed: of a link: its `sha256_in_prefix`, where that is not `packed`. rattler hashes the text of the link;
        mamba hashes the file that it leads to, and records no `packed`.
    """

    path: str
    fingerprint: Fingerprint
    packed: str | None = None
    placed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One dist-info directory (or `.egg-info`, or an egg). `entries` is `None` where RECORD is missing or unreadable.

    `path` is the dist-info's prefix-relative path. `direct_url` is the parsed direct_url.json (PEP 610).
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
    entries: Sequence[Entry] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One installed package, as its conda-meta record says: conda's, or a wheel's that bridge recorded.

    `meta_path` is the record's own prefix-relative path. `requested` are the specs it was asked for with.
    """

    record: Record
    meta_path: str
    entries: Sequence[Entry]
    requested: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """Something in a prefix that could not be read as what it claims to be. `id` is an audit finding's id.

    :param package: NAME-VERSION-BUILD of the package that a record of conda-meta describes under another's name.
    """

    id: str
    path: str
    detail: str
    package: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixState:
    """What a prefix says of itself: its conda-meta records and its dist-infos. Nothing here was hashed yet.

    `python` is the installed interpreter, from its conda-meta record, else from the layout; `None`: no python.
    `virtual_packages` play no part: they belong to the target.
    """

    prefix: Path
    installed: tuple[Installed, ...] = ()
    distributions: tuple[Distribution, ...] = ()
    python: Python | None = None
    site_packages: str | None = None
    defects: tuple[Defect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """A package that is not there yet."""

    new: Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """Another version, build or ecosystem of an installed package (it may bear another name there)."""

    old: Installed
    new: Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinstall:
    """The same package again: python's minor changed, or its files are to be repaired."""

    old: Installed
    new: Resolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """An installed package that is to go."""

    old: Installed


Operation = Install | Replace | Reinstall | Remove


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to happen to a prefix. Pure data: `--dry-run` prints it, `link` stages it.

    `keep` are the packages left alone; `python` is the interpreter after the change.
    """

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
    """One path of a transaction: what lies there before (`None`: nothing) and after (`None`: nothing).

    A change with `after` finds its new inode at the same relative path below the transaction's `new/` directory.
    `is_record` marks the records (conda-meta JSON, dist-info, history), which are swapped in last.
    """

    path: str
    before: Fingerprint | None
    after: Fingerprint | None
    owner: str = ""
    is_record: bool = False

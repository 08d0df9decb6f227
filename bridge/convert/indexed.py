"""Packages as the index of a channel has them: read from archives, and remembered between runs.

`DIR/.index/SUBDIR.msgpack` remembers the record of each file by its size and modification time, so that only new files
are read. It is a cache: without it, or if it cannot be read, every package is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgpack

from bridge import fs
from bridge.archive.conda import check_conda
from bridge.convert.digests import digests
from bridge.errors import BridgeError, UnsafeInputError
from bridge.faults import faults
from bridge.index.strict_json import parse_json
from bridge.requirements.matchspec import conda_version
from bridge.requirements.names import name_of
from converters.deferred import NamedTuple
from converters.names import projects_of_purls
from converters.record import conda_record
from converters.repodata import PlacedRecord, RepodataEntry, placed

__all__ = ["EXTENSIONS", "IndexedPackage", "Memory", "Stamp", "indexed", "read_package", "read_pointers"]

EXTENSIONS = ("conda", "tar.bz2")
_BLOCK = 1 << 20
_VERSION = 2  # of the remembered form
_DIRECTORY = ".index"
Stamp = tuple[int, int]  # size and modification time in ns


class IndexedPackage(NamedTuple):
    """A record of the index. `text` is its JSON. A tuple, because an index has many of them.

    :param section: the keys of repodata under which it stands; `key`: its own.
    :param projects: the PyPI projects of its purls; `requires`: the names in its `depends` and
        `extra_depends`, if it has projects. With spaces between: one text is read and written faster than a list.
    """

    section: tuple[str, ...]
    key: str
    name: str
    version: str
    text: bytes
    projects: str = ""
    requires: str = ""

    @property
    def is_wheel(self) -> bool:
        return self.section[-1] == "whl"

    @property
    def file(self) -> str:
        """The name of its archive."""
        return self.key if len(self.section) == 1 else f"{self.key}.{self.section[-1]}"

    @property
    def record(self) -> dict[str, object]:
        record: dict[str, object] = json.loads(self.text)
        return record

    @property
    def placed(self) -> PlacedRecord:
        return PlacedRecord(section=self.section, key=self.key, record=self.record)


@dataclass(slots=True, kw_only=True)
class Memory:
    """What the last run knew of a subdir.

    :param packages: file name → its stamp and its record.
    :param pointers: records that point to wheels, valid while repodata.json has the stamp `repodata`.
    :param shards: package name → a hash of its records, and the sha256 of its shard.
    :param written: a hash of the text of repodata.json.
    """

    packages: dict[str, tuple[Stamp, IndexedPackage]] = field(default_factory=dict)
    pointers: list[IndexedPackage] = field(default_factory=list)
    shards: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    repodata: Stamp | None = None
    written: bytes = b""

    @classmethod
    def load(cls, channel: Path, subdir: str) -> Memory:
        """Return what is remembered of a subdir; nothing if it cannot be read."""
        try:
            with (channel / _DIRECTORY / f"{subdir}.msgpack").open("rb") as stream:
                document = msgpack.unpackb(stream.read(), use_list=False)
            if document["version"] != _VERSION:
                return cls()
            stamps = zip(document["sizes"], document["times"], strict=True)
            return cls(
                packages=dict(
                    zip(document["files"], zip(stamps, _rows(document["packages"]), strict=True), strict=True)
                ),
                pointers=list(_rows(document["pointers"])),
                shards={name: (key, digest) for name, key, digest in document["shards"]},
                repodata=document["repodata"],
                written=document["written"],
            )
        except (OSError, ValueError, TypeError, KeyError, msgpack.UnpackException):
            return cls()

    def save(self, channel: Path, subdir: str) -> None:
        """Remember this for the next run. Raises `FaultError`."""
        document = {
            "version": _VERSION,
            "files": list(self.packages),
            "sizes": [stamp[0] for stamp, _ in self.packages.values()],
            "times": [stamp[1] for stamp, _ in self.packages.values()],
            "packages": _columns([package for _, package in self.packages.values()]),
            "pointers": _columns(self.pointers),
            "shards": [(name, *digests) for name, digests in self.shards.items()],
            "repodata": self.repodata,
            "written": self.written,
        }
        fs.make_directories(channel / _DIRECTORY)
        fs.publish_file(channel / _DIRECTORY / f"{subdir}.msgpack", [msgpack.packb(document)])


def _columns(packages: Sequence[IndexedPackage]) -> list[list[object]]:
    """Return the fields of packages, a list for each field: msgpack reads few long lists faster than many tuples."""
    return [list(column) for column in zip(*packages, strict=True)]


def _rows(columns: Sequence[Sequence[object]]) -> Iterator[IndexedPackage]:
    """Return the packages of `_columns`. Raises `ValueError` if fields are missing."""
    if columns and len(columns) != len(IndexedPackage._fields):
        raise ValueError(f"{len(columns)} columns")
    return map(IndexedPackage._make, zip(*columns, strict=True))


def indexed(entry: RepodataEntry) -> IndexedPackage:
    """Return the indexed form of an entry.

    Raises `UnsafeInputError` for a record that would make a client refuse the whole index.
    """
    filename = f"{entry.stem}.{entry.extension}"
    try:
        record = conda_record(entry.record)
    except UnsafeInputError as error:
        raise UnsafeInputError("record-invalid", f"{filename}: {error.message}", context=error.context) from error
    if conda_version(record.version) is None:
        message = f"{filename}: {record.version!r} is not a version that conda's clients can order"
        raise UnsafeInputError("record-invalid", message)
    place = placed(entry)
    try:
        text = json.dumps(place.record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        data = text.encode()
    except ValueError as error:  # such as half a surrogate pair
        message = f"{filename}: its index.json cannot be written as JSON"
        raise UnsafeInputError("record-invalid", message, context=(str(error),)) from error
    projects = projects_of_purls(record.purls)
    needs = (*record.requirements, *(text for _, texts in record.extra_requirements for text in texts))
    return IndexedPackage(
        section=place.section,
        key=place.key,
        name=str(entry.record["name"]),
        version=record.version,
        text=data,
        projects=" ".join(projects),
        requires=" ".join(dict.fromkeys(map(name_of, needs))) if projects else "",
    )


def read_package(path: Path) -> IndexedPackage | BridgeError:
    """Validate a package and return its record; the error if it is invalid or cannot be read."""
    extension = next(extension for extension in EXTENSIONS if path.name.endswith(f".{extension}"))
    try:
        with faults(path):
            # An index only lists packages; whether links may leave the environment is decided where they are installed.
            index = check_conda(path, allow_external_symlinks=True).index
        sha256, md5, size = digests(path)
        record = {**index, "sha256": sha256, "md5": md5, "size": size}
        return indexed(RepodataEntry(stem=path.name.removesuffix(f".{extension}"), extension=extension, record=record))
    except BridgeError as error:
        return error


def read_pointers(subdir: Path) -> list[IndexedPackage]:
    """Return the records of wheels in the existing index; empty if it is missing or unreadable."""
    path = subdir / "repodata.json"
    if not path.is_file():
        return []
    try:
        with faults(path):
            document = parse_json(path.read_bytes(), str(path))
    except UnsafeInputError:
        return []
    later = document.get("v3") if isinstance(document, dict) else None
    records = later.get("whl") if isinstance(later, dict) else None
    return list(_valid(records)) if isinstance(records, dict) else []


def _valid(records: Mapping[str, object]) -> Iterable[IndexedPackage]:
    for stem, record in records.items():
        if isinstance(record, dict):
            try:
                for digest in ("sha256", "md5"):
                    bytes.fromhex(record.get(digest) or "")
                yield indexed(RepodataEntry(stem=stem, extension="whl", record=record))
            except (BridgeError, TypeError, ValueError):
                continue

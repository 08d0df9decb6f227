"""Index a directory of packages as a channel: plain, compressed and sharded repodata, and a name map.

Every package is validated and read again, so the index describes the files that are there now.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgpack
import zstandard
from packaging.utils import canonicalize_name

from bridge import fs
from bridge.archive.conda import check_conda
from bridge.errors import UnsafeInputError
from bridge.faults import faults
from bridge.index.strict_json import parse_json
from bridge.paths import NAMES_FILE
from bridge.requirements.names import name_of
from converters.names import NameMap, projects_of_purls
from converters.repodata import RepodataEntry, repodata, shards
from converters.target import SUBDIRS

__all__ = ["digests", "write_index", "write_names"]

_BLOCK = 1 << 20
_LEVEL = 19  # repodata is read far more often than it is written
_SHARDS = "shards"
_SHARD_SUFFIX = ".msgpack.zst"
_INTERPRETER = frozenset({"python", "python_abi", "cpython"})
_EXTENSIONS = ("conda", "tar.bz2")


def write_index(channel: Path, wheels: Iterable[RepodataEntry] = ()) -> None:
    """Write the index of each subdir that `channel` has or `wheels` need, and of `noarch`.

    An index is `repodata.json`, `repodata.json.zst` and shards (`repodata_shards.msgpack.zst`). Equal packages and
    records give equal indexes.

    :param wheels: records that point to wheels; records of an earlier index stay, unless one has the same stem.

    Raises `FaultError`, and `UnsafeInputError` or `IntegrityError` for an invalid package; then the index of its subdir
    and of those after it are unchanged.
    """
    fs.make_directories(channel)
    with faults(channel):
        subdirs = {path.name for path in channel.iterdir() if path.name in SUBDIRS and path.is_dir()}
    added: dict[str, list[RepodataEntry]] = {}
    for entry in wheels:
        added.setdefault(str(entry.record["subdir"]), []).append(entry)
    for name in dict.fromkeys(["noarch", *sorted(subdirs | added.keys())]):
        subdir = channel / name
        fs.make_directories(subdir)
        pointers = {entry.stem: entry for entry in (*_indexed_wheels(subdir), *added.get(name, ()))}
        _write(subdir, [*_packages(subdir), *pointers.values()])


def _write(subdir: Path, entries: Sequence[RepodataEntry]) -> None:
    document = repodata(subdir.name, entries)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    # Write shards before the index that names them, so that a concurrent reader finds them.
    directory = subdir / _SHARDS
    fs.make_directories(directory)
    digests_by_name: dict[str, bytes] = {}
    for name, shard in shards(entries).items():
        packed = _compressed(msgpack.packb(shard))
        digests_by_name[name] = hashlib.sha256(packed).digest()
        fs.publish_file(directory / _shard_file(digests_by_name[name]), [packed])
    fs.publish_file(subdir / "repodata.json", [text])
    fs.publish_file(subdir / "repodata.json.zst", [_compressed(text)])
    info = {"subdir": subdir.name, "base_url": "./", "shards_base_url": f"./{_SHARDS}/"}
    index = msgpack.packb({"version": 1, "info": info, "shards": digests_by_name})
    fs.publish_file(subdir / "repodata_shards.msgpack.zst", [_compressed(index)])
    named = set(map(_shard_file, digests_by_name.values()))
    with faults(directory):
        stale = [path for path in directory.iterdir() if path.name.endswith(_SHARD_SUFFIX) and path.name not in named]
    for path in stale:
        fs.remove_tree(path)


def _compressed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)


def _shard_file(digest: bytes) -> str:
    return f"{digest.hex()}{_SHARD_SUFFIX}"


def _packages(subdir: Path) -> list[RepodataEntry]:
    """Validate and read the packages in a subdir."""
    with faults(subdir):
        files = sorted(subdir.iterdir())
    entries = []
    for path in files:
        extension = next((extension for extension in _EXTENSIONS if path.name.endswith(f".{extension}")), None)
        if extension is not None and not path.name.startswith("."):
            stem = path.name.removesuffix(f".{extension}")
            entries.append(RepodataEntry(stem=stem, extension=extension, record=_record(path)))
    return entries


def _record(path: Path) -> Mapping[str, object]:
    """Return a package's index.json with the hashes and the size of the archive."""
    with faults(path):
        index = check_conda(path).index
    sha256, md5, size = digests(path)
    return {**index, "sha256": sha256, "md5": md5, "size": size}


def digests(path: Path) -> tuple[str, str, int]:
    """Return sha256 and md5 (hex) and the size of a file. Raises `FaultError`."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with faults(path), path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return sha256.hexdigest(), md5.hexdigest(), size


def _indexed_wheels(subdir: Path) -> list[RepodataEntry]:
    """Return the records of wheels in the existing index; empty if it is missing or unreadable."""
    path = subdir / "repodata.json"
    if not path.is_file():
        return []
    try:
        document = parse_json(path.read_bytes(), str(path))
    except UnsafeInputError:
        return []
    later = document.get("v3") if isinstance(document, dict) else None
    records = later.get("whl") if isinstance(later, dict) else None
    if not isinstance(records, dict):
        return []
    return [
        RepodataEntry(stem=stem, extension="whl", record=record)
        for stem, record in records.items()
        if isinstance(record, dict) and isinstance(record.get("name"), str)
    ]


def write_names(channel: Path, names: NameMap) -> None:
    """Write the name map of a channel of converted packages, in the form of `--name-map`.

    The names are those in the packages' purls and `depends`. Without the map, a name that no other channel has would be
    unknown, and never be resolved from an index. Raises `FaultError`.
    """
    rows: dict[str, list[str]] = {}
    with faults(channel):
        repodata_files = sorted(channel.glob("*/repodata.json"))
    for path in repodata_files:
        with faults(path):
            document = json.loads(path.read_bytes())
        sections = [document["packages.conda"], document["packages"], *document.get("v3", {}).values()]
        for record in (record for section in sections for record in section.values()):
            projects = projects_of_purls(record.get("purls") or ())
            if not projects:
                continue
            rows[record["name"]] = list(projects)
            for text in record["depends"]:
                name = name_of(text)
                if not name.startswith("_") and name not in _INTERPRETER:
                    rows.setdefault(name, list(names.row(name) or (canonicalize_name(name),)))
    fs.publish_file(channel / NAMES_FILE, [json.dumps(rows, sort_keys=True, indent=2).encode() + b"\n"])

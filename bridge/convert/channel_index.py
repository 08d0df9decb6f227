"""A folder of packages becomes a channel: repodata, its compressed and its sharded form, and what its names are.

Every package is judged and read again, whoever put it there, so that the index says what lies there now.
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
_INTERPRETER = frozenset({"python", "python_abi", "cpython"})
_EXTENSIONS = ("conda", "tar.bz2")


def write_index(folder: Path, wheels: Iterable[RepodataEntry] = ()) -> None:
    """Make a channel of `folder`: the index of each subdir that it has, or that `wheels` go to, and of `noarch`.

    An index is `repodata.json`, `repodata.json.zst` and shards (`repodata_shards.msgpack.zst`). It depends on the
    packages, and on the records of wheels, alone: equal folders get equal indexes.

    :param wheels: records that point to wheels; those of an earlier index stay, unless one has the same stem.

    Raises `UnsafeInputError` and `IntegrityError` for a package that is no sound one, `FaultError`; the indexes of the
    subdirs before it are written then, its own is as it was.
    """
    fs.make_directories(folder)
    with faults(folder):
        subdirs = {path.name for path in folder.iterdir() if path.name in SUBDIRS and path.is_dir()}
    pointing: dict[str, list[RepodataEntry]] = {}
    for entry in wheels:
        pointing.setdefault(str(entry.record["subdir"]), []).append(entry)
    for subdir in dict.fromkeys(["noarch", *sorted(subdirs | pointing.keys())]):
        place = folder / subdir
        fs.make_directories(place)
        known = {entry.stem: entry for entry in (*_known_wheels(place), *pointing.get(subdir, ()))}
        _write(place, [*_packages(place), *known.values()])


def _write(place: Path, entries: Sequence[RepodataEntry]) -> None:
    text = json.dumps(repodata(place.name, entries), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    # Shards before the list that names them: who reads in between finds what the list says.
    folder = place / _SHARDS
    fs.make_directories(folder)
    named: dict[str, bytes] = {}
    for name, shard in shards(entries).items():
        packed = _packed(msgpack.packb(shard))
        named[name] = hashlib.sha256(packed).digest()
        fs.publish_file(folder / f"{named[name].hex()}.msgpack.zst", [packed])
    fs.publish_file(place / "repodata.json", [text])
    fs.publish_file(place / "repodata.json.zst", [_packed(text)])
    info = {"subdir": place.name, "base_url": "./", "shards_base_url": f"./{_SHARDS}/"}
    fs.publish_file(
        place / "repodata_shards.msgpack.zst",
        [_packed(msgpack.packb({"version": 1, "info": info, "shards": named}))],
    )
    _forget(folder, named.values())


def _packed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)


def _forget(folder: Path, kept: Iterable[bytes]) -> None:
    """Remove the shards that no list names any more."""
    names = {f"{digest.hex()}.msgpack.zst" for digest in kept}
    with faults(folder):
        stale = [path for path in folder.iterdir() if path.name.endswith(".msgpack.zst") and path.name not in names]
    for path in stale:
        fs.remove_tree(path)


def _packages(place: Path) -> list[RepodataEntry]:
    """The packages that lie in a subdir, each judged."""
    with faults(place):
        files = sorted(place.iterdir())
    found = []
    for path in files:
        extension = next((extension for extension in _EXTENSIONS if path.name.endswith(f".{extension}")), None)
        if extension is not None and not path.name.startswith("."):
            stem = path.name.removesuffix(f".{extension}")
            found.append(RepodataEntry(stem=stem, extension=extension, record=_record(path)))
    return found


def _record(path: Path) -> Mapping[str, object]:
    """A package's record: its index.json, and the hashes and size of the archive."""
    with faults(path):
        index = check_conda(path).index
    sha256, md5, size = digests(path)
    return {**index, "sha256": sha256, "md5": md5, "size": size}


def digests(path: Path) -> tuple[str, str, int]:
    """sha256 and md5 (hex) and size of a file, read once. Raises `FaultError`."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with faults(path), path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return sha256.hexdigest(), md5.hexdigest(), size


def _known_wheels(place: Path) -> list[RepodataEntry]:
    """The records of wheels that the index of before has; none where there was no index, or none that can be read."""
    path = place / "repodata.json"
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


def write_names(folder: Path, names: NameMap) -> None:
    """Write what is known of the names in a channel of converted packages, as `--name-map` reads it.

    A converted package knows which project it is (its purl), and its `depends` were translated from projects: without
    this a name that no other channel has would be unknown, and never taken from an index. Raises `FaultError`.
    """
    known: dict[str, list[str]] = {}
    with faults(folder):
        repodata_files = sorted(folder.glob("*/repodata.json"))
    for path in repodata_files:
        with faults(path):
            document = json.loads(path.read_bytes())
        sections = [document["packages.conda"], document["packages"], *document.get("v3", {}).values()]
        for record in (record for section in sections for record in section.values()):
            projects = projects_of_purls(record.get("purls") or ())
            if not projects:
                continue
            known[record["name"]] = list(projects)
            for text in record["depends"]:
                name = name_of(text)
                if not name.startswith("_") and name not in _INTERPRETER:
                    known.setdefault(name, list(names.row(name) or (canonicalize_name(name),)))
    fs.publish_file(folder / NAMES_FILE, [json.dumps(known, sort_keys=True, indent=2).encode() + b"\n"])

"""The files of a subdir's index: plain and compressed repodata, and shards (CEP 16)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from json.encoder import encode_basestring
from pathlib import Path

import msgpack
import zstandard

from bridge import fs
from bridge.convert.indexed import IndexedPackage, Memory, Stamp
from bridge.faults import faults
from bridge.paths import NAMES_KEY
from converters.repodata import shard

__all__ = ["stamp", "write_subdir"]

_BEST_LEVEL, _FAST_LEVEL = 19, 1  # for large repodata level 1 is also smaller than 2 to 6, since hashes do not repeat
_LARGE = 4 << 20  # bytes of repodata.json from which the fast level is used, as a matter of seconds
_THREADS = 2  # of zstd for large files; the bytes are the same for every number but one
_SHARDS = "shards"
_SHARD_SUFFIX = ".msgpack.zst"
_INDEX = "repodata_shards.msgpack.zst"


def write_subdir(
    subdir: Path, packages: Sequence[IndexedPackage], known: Memory, *, names_file: str | None = None
) -> Memory:
    """Write the index of a subdir, and return what to remember of its files.

    Files that would not change are not written. Raises `FaultError`.

    :param known: of the last run.
    :param names_file: the channel's name map, which `info` states.
    """
    stated = {NAMES_KEY: names_file} if names_file is not None else {}
    text = _repodata(subdir.name, packages, stated)
    written = hashlib.sha256(text).digest()
    is_same = written == known.written and stamp(subdir / "repodata.json") == known.repodata is not None
    with ThreadPoolExecutor(1) as pool:
        compressed = None if is_same and (subdir / "repodata.json.zst").is_file() else pool.submit(_compressed, text)
        shards = _write_shards(subdir, packages, known)
        if compressed is not None:
            fs.publish_file(subdir / "repodata.json", [text])
            fs.publish_file(subdir / "repodata.json.zst", [compressed.result()])
    info = {"subdir": subdir.name, "base_url": "./", "shards_base_url": f"./{_SHARDS}/", **stated}
    digests = {name: digest for name, (_, digest) in sorted(shards.items())}
    if not (is_same and shards == known.shards and (subdir / _INDEX).is_file()):
        index = msgpack.packb({"version": 1, "info": info, "shards": digests})
        fs.publish_file(subdir / _INDEX, [_compressed(index)])
    _remove_stale(subdir / _SHARDS, set(digests.values()))
    return Memory(shards=shards, written=written, repodata=stamp(subdir / "repodata.json"))


def stamp(path: Path) -> Stamp | None:
    """Return the size and the modification time of a file; `None` if it is missing."""
    with faults(path):
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return None
    return status.st_size, status.st_mtime_ns


def _repodata(subdir: str, packages: Sequence[IndexedPackage], stated: Mapping[str, str]) -> bytes:
    """Return the text of `converters.repodata.repodata`, from the texts of the records, with sorted keys."""
    sections: dict[tuple[str, ...], list[IndexedPackage]] = {("packages",): [], ("packages.conda",): []}
    for each in packages:
        sections.setdefault(each.section, []).append(each)
    later = {section[1]: records for section, records in sorted(sections.items()) if len(section) > 1}
    info: dict[str, object] = {"subdir": subdir, **stated}
    if later:
        info["repodata_revisions"] = {"v3": {"n_packages": sum(map(len, later.values()))}}
    members = [
        b'"info":' + _json(info),
        *(_json(key) + b":" + _section(sections[(key,)]) for key in ("packages", "packages.conda")),
        b'"removed":[],"repodata_version":1',
    ]
    if later:
        members.append(b'"v3":{' + b",".join(_json(key) + b":" + _section(each) for key, each in later.items()) + b"}")
    return b"{" + b",".join(members) + b"}"


def _section(packages: Sequence[IndexedPackage]) -> bytes:
    texts = {each.key: each.text for each in packages}
    return b"{" + b",".join([b"%b:%b" % (encode_basestring(key).encode(), texts[key]) for key in sorted(texts)]) + b"}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _write_shards(subdir: Path, packages: Sequence[IndexedPackage], known: Memory) -> dict[str, tuple[bytes, bytes]]:
    """Write the shards that changed, before the index that names them; return name → (key, digest) of all."""
    directory = subdir / _SHARDS
    fs.make_directories(directory)
    with faults(directory):
        there = set(os.listdir(directory))
    groups: dict[str, list[IndexedPackage]] = {}
    for each in packages:
        groups.setdefault(each.name, []).append(each)
    shards: dict[str, tuple[bytes, bytes]] = {}
    for name, group in groups.items():
        group.sort(key=lambda each: (each.section, each.key))
        hashed = hashlib.sha256()
        for each in group:
            hashed.update(f"{each.section} {each.key}\n".encode())
            hashed.update(each.text)
        before = known.shards.get(name)
        if before is not None and before[0] == hashed.digest() and _shard_file(before[1]) in there:
            shards[name] = before
            continue
        packed = _compressed(msgpack.packb(shard(each.placed for each in group)))
        shards[name] = (hashed.digest(), hashlib.sha256(packed).digest())
        fs.publish_file(directory / _shard_file(shards[name][1]), [packed])
    return shards


def _compressed(data: bytes) -> bytes:
    is_large = len(data) >= _LARGE
    compressor = zstandard.ZstdCompressor(
        level=_FAST_LEVEL if is_large else _BEST_LEVEL, write_checksum=True, threads=_THREADS if is_large else 0
    )
    return compressor.compress(data)


def _shard_file(digest: bytes) -> str:
    return f"{digest.hex()}{_SHARD_SUFFIX}"


def _remove_stale(directory: Path, digests: set[bytes]) -> None:
    named = set(map(_shard_file, digests))
    with faults(directory):
        stale = [name for name in os.listdir(directory) if name.endswith(_SHARD_SUFFIX) and name not in named]
    for name in stale:
        fs.remove_tree(directory / name)

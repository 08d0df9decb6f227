"""Sharded repodata (CEP 16): an index of names, and one small document of records for each name. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import msgpack
import zstandard

from bridge.channels.repodata.base_urls import check_base, invalid
from bridge.channels.repodata.name_maps import stated
from bridge.errors import IntegrityError, UnsafeInputError
from bridge.paths import NAMES_KEY
from bridge.secrets import masked
from converters.deferred import dataclass

__all__ = ["INDEX_NAME", "MAGIC", "MAX_INDEX", "MAX_SHARD", "ShardIndex", "read_index", "read_shard"]

INDEX_NAME = "repodata_shards.msgpack.zst"
MAGIC = b"\x28\xb5\x2f\xfd"  # of a zstd frame (RFC 8878, 3.1.1)
MAX_INDEX = 64 << 20  # bytes, unpacked; conda-forge's are below 4 MiB
MAX_SHARD = 32 << 20  # bytes, unpacked; conda-forge's largest has a few MiB
_MAX_WINDOW = 1 << 27  # of `zstd --ultra -22`

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardIndex:
    """The index of one subdir; URLs are absolute, with secrets and a trailing slash.

    :param digests: name → sha256 of its shard, which names the shard's file.
    :param names_file: the channel's name map, beside the subdirs.
    """

    base: str
    shards: str
    digests: Mapping[str, bytes]
    names_file: str | None = None


def read_index(content: bytes, url: str, trusted_hosts: tuple[str, ...]) -> ShardIndex:
    """Read `repodata_shards.msgpack.zst`, fetched from `url`.

    Raises `UnsafeInputError`: `repodata-invalid`, `limit-size`; `url-refused` for a forbidden `base_url` or
    `shards_base_url`.
    """
    document = _unpacked(content, MAX_INDEX, url)
    shards, info = document.get("shards"), document.get("info")
    if document.get("version", 1) != 1 or not isinstance(shards, dict) or not isinstance(info, dict):
        raise invalid(url, "it is not a shard index of version 1")
    if not all(
        isinstance(name, str) and isinstance(hash_, bytes) and len(hash_) == 32 for name, hash_ in shards.items()
    ):
        raise invalid(url, "it maps a name to something other than a sha256")
    return ShardIndex(
        base=check_base(info.get("base_url"), url, trusted_hosts),
        shards=check_base(info.get("shards_base_url"), url, trusted_hosts),
        digests=shards,
        names_file=stated(info.get(NAMES_KEY)),
    )


def read_shard(content: bytes, name: str, digest: bytes, url: str) -> Iterator[tuple[str, dict[str, object]]]:
    """(file name, record) of each package in a shard, hashes in hex; a `.conda` hides the `.tar.bz2` of its name.

    Raises `IntegrityError` (`hash-mismatch`) and `UnsafeInputError` (`repodata-invalid`, `limit-size`).
    """
    actual = hashlib.sha256(content).digest()
    if actual != digest:
        raise IntegrityError(
            "hash-mismatch",
            f"the records of {name} do not match the channel's index",
            context=(f"expected: {digest.hex()}", f"found: {actual.hex()}", masked(url)),
            hint="the channel is being updated, or its data was changed on the way: try again",
        )
    document = _unpacked(content, MAX_SHARD, url)
    removed = document.get("removed")
    hidden = frozenset(part for part in removed if isinstance(part, str)) if isinstance(removed, list) else frozenset()
    packages = {**_section(document, "packages", url), **_section(document, "packages.conda", url)}
    later = document.get("v3")
    sections = later if isinstance(later, dict) else {}
    for extension in ("tar.bz2", "conda"):
        section = _section(sections, extension, url)
        packages.update({f"{stem}.{extension}": record for stem, record in section.items()})
    for filename, record in packages.items():
        newer = f"{filename.removesuffix('.tar.bz2')}.conda"
        if filename in hidden or (filename.endswith(".tar.bz2") and newer in packages and newer not in hidden):
            continue
        # Hashes are bytes in a shard (CEP 16), text in JSON.
        yield filename, _in_hex(record)
    for stem, record in {**_section(document, "packages.whl", url), **_section(sections, "whl", url)}.items():
        yield f"{stem.removesuffix('.whl')}.whl", _in_hex(record)


def _in_hex(record: Json) -> dict[str, object]:
    return {key: value.hex() if isinstance(value, bytes) else value for key, value in record.items()}


def _section(document: Json, key: str, url: str) -> dict[str, dict[str, object]]:
    section = document.get(key) or {}
    if not isinstance(section, dict) or not all(
        isinstance(name, str) and isinstance(record, dict) for name, record in section.items()
    ):
        raise invalid(url, f"its {key} does not map file names to records")
    return section


def _unpacked(content: bytes, most: int, url: str) -> dict[str, object]:
    try:
        with zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(content) as reader:
            data = reader.read(most + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise invalid(url, f"it is not valid zstd: {error}") from error
    if len(data) > most:
        raise UnsafeInputError("limit-size", f"more than {most} bytes of repodata: {masked(url)}")
    try:
        document = msgpack.unpackb(data, raw=False, strict_map_key=False)
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as error:
        raise invalid(url, f"it is not MessagePack: {error}") from error
    if not isinstance(document, dict):
        raise invalid(url, "it is not a map")
    return document

"""Find a zip's central directory so that no reader can find another one (APPNOTE 6.3.10, 4.3.14 to 4.3.16).

Only one end record may reach the end of the file, the directory must end where the end records begin, and the 32-bit
and 64-bit records must agree.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from bridge.archive.limits import Limits
from bridge.archive.refusal import refused
from converters.deferred import dataclass

__all__ = ["Directory", "find_directory", "read_at"]

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_END_MAGIC = b"PK\x05\x06"
_LOCATOR_MAGIC = b"PK\x06\x07"
_END64_MAGIC = b"PK\x06\x06"
_LONGEST_COMMENT = 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The central directory's offset and size in bytes, and its declared number of entries."""

    offset: int
    size: int
    entries: int


def read_at(stream: BinaryIO, offset: int, size: int, archive: str) -> bytes:
    """Exactly `size` bytes at `offset`. Raises `UnsafeInputError` (`zip-frame`) if the file is shorter."""
    stream.seek(offset)
    data = stream.read(size)
    if len(data) != size:
        raise refused("zip-frame", archive, f"the file ends inside a record of {size} bytes", offset=offset)
    return data


def find_directory(stream: BinaryIO, archive: str, limits: Limits) -> Directory:
    """Find the central directory. Raises `UnsafeInputError`: `zip-frame`, `zip-zip64`, `limit-*`."""
    size = stream.seek(0, 2)
    position, fields = _find_end(stream, size, archive)
    _, disk, start_disk, disk_entries, entries, length, offset, _ = fields
    end = position
    locator = _read_locator(stream, position, archive)
    if locator is not None:
        end, (disk, start_disk, disk_entries, entries, length, offset) = _read_end64(
            stream, position, locator, fields, archive
        )
    elif entries == 0xFFFF or 0xFFFFFFFF in {length, offset}:
        problem = "the end record points to a zip64 record, which is missing"
        raise refused("zip-zip64", archive, problem, offset=position)
    if disk or start_disk or disk_entries != entries:
        raise refused("zip-frame", archive, "the archive spans several disks", offset=position)
    if entries > limits.entries:
        raise refused("limit-entries", archive, f"{entries} members; at most {limits.entries} are allowed")
    if offset + length != end:
        problem = f"the central directory should end at byte {offset + length}, but ends at byte {end}"
        raise refused("zip-frame", archive, f"bytes before the archive or inside it: {problem}", offset=position)
    if length > limits.directory:
        raise refused("limit-size", archive, f"a central directory of {length} bytes; at most {limits.directory}")
    return Directory(offset=offset, size=length, entries=entries)


def _find_end(stream: BinaryIO, size: int, archive: str) -> tuple[int, tuple[int, ...]]:
    """The position and fields of the last end record, which must be the only one to reach the end."""
    tail_size = min(size, _END.size + _LONGEST_COMMENT)
    base = size - tail_size
    tail = read_at(stream, base, tail_size, archive)
    last = tail.rfind(_END_MAGIC)
    if last < 0:
        raise refused("zip-frame", archive, "no end record: not a zip, or truncated", offset=size)
    if not _reaches_end(tail, last):
        raise refused("zip-frame", archive, "bytes after the archive, or a truncated end", offset=base + last)
    other = tail.find(_END_MAGIC)
    while other < last:
        if _reaches_end(tail, other):
            raise refused("zip-frame", archive, "two end records, one in the other's comment", offset=base + other)
        other = tail.find(_END_MAGIC, other + 1)
    return base + last, _END.unpack_from(tail, last)


def _reaches_end(tail: bytes, position: int) -> bool:
    """Whether an end record at `position`, with its comment, ends at the end of the file."""
    if position + _END.size > len(tail):
        return False
    comment = int.from_bytes(tail[position + 20 : position + 22], "little")
    return position + _END.size + comment == len(tail)


def _read_locator(stream: BinaryIO, position: int, archive: str) -> int | None:
    """The target of the zip64 locator before the end record; `None` without a locator."""
    if position < _LOCATOR.size:
        return None
    fields = _LOCATOR.unpack(read_at(stream, position - _LOCATOR.size, _LOCATOR.size, archive))
    magic, disk, offset, disks = fields
    if magic != _LOCATOR_MAGIC:
        return None
    if disk or disks != 1:
        raise refused("zip-zip64", archive, "the zip64 locator refers to several disks", offset=position - 20)
    return int(offset)


def _read_end64(
    stream: BinaryIO, position: int, located: int, short: tuple[int, ...], archive: str
) -> tuple[int, tuple[int, ...]]:
    """The zip64 end record's position and fields, in the order of the 32-bit record (W13, W14, W15)."""
    start = position - _LOCATOR.size - _END64.size
    if located != start or start < 0:
        problem = f"the locator points to byte {located}; a zip64 end record without extensions would be at {start}"
        raise refused("zip-zip64", archive, problem, offset=position - _LOCATOR.size)
    magic, size, _, _, *fields = _END64.unpack(read_at(stream, start, _END64.size, archive))
    if magic != _END64_MAGIC or size != _END64.size - 12:
        raise refused("zip-zip64", archive, "the zip64 end record is missing or has extensions", offset=start)
    unknown = (0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    for old, new, missing in zip(short[1:7], fields, unknown, strict=True):
        if old not in {new, missing}:
            problem = f"the end record has {old}, the zip64 end record {new}"
            raise refused("zip-zip64", archive, problem, offset=start)
    return start, tuple(fields)

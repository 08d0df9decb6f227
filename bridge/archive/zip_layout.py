"""Check local headers, data and descriptors of a zip in file order for gaps, overlaps and contradictions."""

from __future__ import annotations

import struct
from operator import attrgetter
from typing import BinaryIO

from bridge.archive.refusal import refused, shown
from bridge.archive.zip_end import read_at
from bridge.archive.zip_extra import ZIP64, parse_extra, unicode_name, zip64_values
from bridge.archive.zip_member import CentralEntry

__all__ = ["check_layout"]

_DESCRIPTOR = 1 << 3  # flag: sizes and CRC follow the data
_ENOUGH = 1000  # unlisted members to look at in a gap
_TUNING = 1 << 1 | 1 << 2  # flags: the compression level

_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"


def check_layout(stream: BinaryIO, entries: list[CentralEntry], end: int, archive: str) -> dict[int, int]:
    """Check the members up to the central directory at `end`; return header offset → offset of the data.

    Raises `UnsafeInputError`: `zip-mismatch`, `zip-overlap`, `zip-duplicate`, `zip-frame`, `zip-zip64`, `zip-name`.
    """
    names = {entry.raw_name for entry in entries}
    starts: dict[int, int] = {}
    reached = 0
    for entry in sorted(entries, key=attrgetter("offset")):
        if entry.offset < reached:
            raise refused("zip-overlap", archive, "it overlaps another member", member=entry.name, offset=entry.offset)
        if entry.offset + _LOCAL.size > end:
            raise refused("zip-mismatch", archive, "no local header", member=entry.name, offset=entry.offset)
        if entry.offset > reached:
            _explain_gap(stream, reached, entry.offset, names, archive)
        start, width = _check_local(stream, entry, archive)
        starts[entry.offset] = start
        reached = start + entry.packed
        if width:
            reached += _check_descriptor(stream, entry, reached, width, archive)
        if reached > end:
            problem = "it overlaps the central directory"
            raise refused("zip-overlap", archive, problem, member=entry.name, offset=entry.offset)
    if reached < end:
        _explain_gap(stream, reached, end, names, archive)
    return starts


def _check_local(stream: BinaryIO, entry: CentralEntry, archive: str) -> tuple[int, int]:
    """Compare a local header with the directory; return the data's offset, and the width of sizes in its descriptor.

    Width 0 means no descriptor. Only the local header decides this: some writers clear the flag in the directory.
    """
    head = read_at(stream, entry.offset, _LOCAL.size, archive)
    magic, _, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(head)
    if magic != _LOCAL_MAGIC:
        raise refused("zip-mismatch", archive, "no local header", member=entry.name, offset=entry.offset)
    tail = stream.read(name_length + extra_length)
    if tail[:name_length] != entry.raw_name:
        problem = f"the local header has the name {shown(tail[:name_length])}"
        raise refused("zip-mismatch", archive, problem, member=entry.name, offset=entry.offset)
    if (flags ^ entry.flags) & ~(_TUNING | flags & _DESCRIPTOR) or method != entry.method:
        problem = "flags or compression method differ between local header and directory"
        raise refused("zip-mismatch", archive, problem, member=entry.name, offset=entry.offset)
    fields = parse_extra(tail[name_length:], archive, entry.name, entry.offset)
    if unicode_name(fields) not in {None, entry.raw_name}:
        raise refused("zip-name", archive, "the extra field has another name", member=entry.name, offset=entry.offset)
    deferred = bool(flags & _DESCRIPTOR)
    stated = (size, packed, 0, 0)
    size, packed, _, _ = zip64_values(fields, stated, archive, entry.name, entry.offset, deferred=deferred)
    values = (("CRC", crc, entry.crc), ("packed size", packed, entry.packed), ("size", size, entry.size))
    for what, local, central in values:
        if local != central and not (deferred and local == 0):
            problem = f"the local header has {what} {local}, the directory {central}"
            raise refused("zip-mismatch", archive, problem, member=entry.name, offset=entry.offset)
    width = 8 if ZIP64 in fields else 4
    return entry.offset + _LOCAL.size + len(tail), width if deferred else 0


def _check_descriptor(stream: BinaryIO, entry: CentralEntry, position: int, width: int, archive: str) -> int:
    """Compare a data descriptor (with or without signature) with the directory; return its size in bytes."""
    stream.seek(position)
    data = stream.read(24)
    skip = 4 if data.startswith(_DESCRIPTOR_MAGIC) else 0
    sizes = [value.to_bytes(8, "little")[:width] for value in (entry.packed, entry.size)]
    expected = entry.crc.to_bytes(4, "little") + b"".join(sizes)
    if data[skip : skip + len(expected)] != expected:
        problem = "the data descriptor differs from the directory"
        raise refused("zip-mismatch", archive, problem, member=entry.name, offset=position)
    return skip + len(expected)


def _explain_gap(stream: BinaryIO, start: int, end: int, names: set[bytes], archive: str) -> None:
    """Refuse the bytes from `start` to `end`, which belong to no member (W01, W08, W11).

    Raises `UnsafeInputError`: `zip-duplicate` or `zip-mismatch` for unlisted members, which streaming readers would
    see; `zip-frame` for anything else.
    """
    hidden: list[bytes] = []
    position = start
    while position + _LOCAL.size <= end and len(hidden) < _ENOUGH:
        fields = _LOCAL.unpack(read_at(stream, position, _LOCAL.size, archive))
        if fields[0] != _LOCAL_MAGIC:
            break
        name = stream.read(fields[9])
        if name in names:
            raise refused("zip-duplicate", archive, "an unlisted second member", member=name, offset=position)
        hidden.append(name)
        position = end if fields[2] & _DESCRIPTOR else position + _LOCAL.size + fields[9] + fields[10] + fields[7]
    if hidden and (position == end or len(hidden) == _ENOUGH):
        raise refused("zip-mismatch", archive, "the directory does not list it", member=hidden[0], offset=start)
    raise refused("zip-frame", archive, f"{end - start} bytes belong to no member", offset=start)

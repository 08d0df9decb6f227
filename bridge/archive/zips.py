"""Validate the structure of a zip, so that every reader sees the same members (APPNOTE 6.3.10, ISO/IEC 21320-1).

The file must have the local headers with their data without gaps, then the central directory, then the end records.
Local headers and data descriptors must repeat the directory. Members must be stored or deflated, and not encrypted.
`zipfile` is not used: it is lenient by design.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from bridge.archive.limits import DEFAULT_LIMITS, Limits
from bridge.archive.paths import check_path, check_tree
from bridge.archive.refusal import refused, shown, too_large
from bridge.archive.zip_end import Directory, find_directory, read_at
from bridge.archive.zip_extra import has_idle_zip64, parse_extra, unicode_name, zip64_values
from bridge.archive.zip_layout import check_layout
from bridge.archive.zip_member import DEFLATED, STORED, CentralEntry, ZipMember
from converters.deferred import regex

__all__ = ["read_directory"]

_CENTRAL = struct.Struct("<4s6H3L5H2L")
_CENTRAL_MAGIC = b"PK\x01\x02"
_REFUSED_FLAGS = 1 << 0 | 1 << 5 | 1 << 6 | 1 << 13  # encrypted, patch data, strong encryption, masked headers
_UTF8 = 1 << 11
_NEWEST = 63  # APPNOTE 6.3: the newest version a member can need
_DOS_DIRECTORY = 0x10
_TAR_CHECKSUM = regex(rb" *([0-7]+)[ \0]+\Z")


def read_directory(stream: BinaryIO, name: str, limits: Limits = DEFAULT_LIMITS) -> tuple[ZipMember, ...]:
    """Validate all but the content, and return the members in the order of the central directory.

    :param stream: seekable; `name` is the archive's name in errors.

    Raises `UnsafeInputError`: `zip-*`, `path-escape`, `path-collision`, `limit-*`.
    """
    directory = find_directory(stream, name, limits)
    _check_no_tar(stream, name)
    entries = _read_central(stream, directory, name, limits)
    _check_names(entries, name)
    _check_sizes(entries, name, limits)
    starts = check_layout(stream, entries, directory.offset, name)
    return tuple(
        ZipMember(
            name=entry.name,
            size=entry.size,
            compressed_size=entry.packed,
            crc=entry.crc,
            offset=entry.offset,
            method=entry.method,
            is_directory=entry.name.endswith("/"),
            mode=entry.mode,
            data_offset=starts[entry.offset],
            has_idle_zip64=entry.has_idle_zip64,
        )
        for entry in entries
    )


def _check_no_tar(stream: BinaryIO, archive: str) -> None:
    """Refuse a file that is also a tar (W28)."""
    stream.seek(0)
    block = stream.read(512)
    field = _TAR_CHECKSUM.match(block[148:156]) if len(block) == 512 else None
    if field and int(field[1], 8) == sum(block) - sum(block[148:156]) + 8 * 0x20:
        raise refused("zip-frame", archive, "the file is a tar archive as well", offset=0)


def _read_central(stream: BinaryIO, directory: Directory, archive: str, limits: Limits) -> list[CentralEntry]:
    data = read_at(stream, directory.offset, directory.size, archive)
    entries: list[CentralEntry] = []
    position = 0
    while position < len(data):
        offset = directory.offset + position
        if data[position : position + 4] != _CENTRAL_MAGIC or position + _CENTRAL.size > len(data):
            raise refused("zip-frame", archive, "invalid data in the central directory", offset=offset)
        if len(entries) == directory.entries:
            raise refused("zip-frame", archive, f"more members than the {directory.entries} claimed", offset=offset)
        fields = _CENTRAL.unpack_from(data, position)
        name_end = position + _CENTRAL.size + fields[10]
        extra_end = name_end + fields[11]
        if extra_end + fields[12] > len(data):
            raise refused("zip-frame", archive, "an entry exceeds the central directory", offset=offset)
        raw_name = data[position + _CENTRAL.size : name_end]
        extra = parse_extra(data[name_end:extra_end], archive, raw_name, offset)
        entries.append(_read_entry(fields, raw_name, extra, offset=offset, archive=archive, limits=limits))
        position = extra_end + fields[12]
    if len(entries) != directory.entries:
        problem = f"{len(entries)} members, but {directory.entries} claimed"
        raise refused("zip-frame", archive, problem, offset=directory.offset)
    return entries


def _read_entry(
    fields: tuple[int, ...],
    raw_name: bytes,
    extra: Mapping[int, bytes],
    *,
    offset: int,
    archive: str,
    limits: Limits,
) -> CentralEntry:
    _, made_by, needed, flags, method, _, _, crc, packed, size, _, _, _, disk, _, attributes, start = fields
    name = _decode_name(raw_name, flags, extra, offset, archive)
    check_path(name.removesuffix("/"), archive, "zip-name", limits, offset)
    if flags & _REFUSED_FLAGS:
        problem = "the member is encrypted or a patch, which hides it from scanners"
        raise refused("zip-method", archive, problem, member=name, offset=offset)
    if method not in {STORED, DEFLATED}:
        problem = f"compression method {method} hides the content from unpackers and scanners that only know stored (0)"
        problem += " and deflated (8)"
        raise refused("zip-method", archive, problem, member=name, offset=offset)
    if needed & 0xFF > _NEWEST:
        problem = f"it needs the unknown version {(needed & 0xFF) / 10} of the format"
        raise refused("zip-method", archive, problem, member=name, offset=offset)
    stated = (size, packed, start, disk)
    size, packed, start, disk = zip64_values(extra, stated, archive, name, offset)
    if disk:
        raise refused("zip-frame", archive, "the member is on another disk", member=name, offset=offset)
    if method == STORED and size != packed:  # readers differ in which one they use
        problem = f"stored in {packed} bytes, but declared as {size}"
        raise refused("zip-size", archive, problem, member=name, offset=offset)
    if name.endswith("/") and size:
        raise refused("zip-size", archive, f"a directory with {size} bytes of content", member=name, offset=offset)
    return CentralEntry(
        raw_name=raw_name,
        name=name,
        flags=flags,
        method=method,
        crc=crc,
        packed=packed,
        size=size,
        offset=start,
        mode=_check_mode(name, made_by, attributes, offset, archive),
        has_idle_zip64=has_idle_zip64(extra, stated),
    )


def _decode_name(raw_name: bytes, flags: int, extra: Mapping[int, bytes], offset: int, archive: str) -> str:
    """Decode UTF-8 if bit 11 is set, else ASCII; readers differ in anything else (W16, W17)."""
    try:
        name = raw_name.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        problem = "the name is not UTF-8" if flags & _UTF8 else "a non-ASCII name that is not marked as UTF-8"
        problem += ", so unpackers and scanners give it different names"
        raise refused("zip-name", archive, problem, member=raw_name, offset=offset) from error
    other = unicode_name(extra)
    if other is not None and other != raw_name:
        problem = f"the extra field has another name: {shown(other)}"
        raise refused("zip-name", archive, problem, member=name, offset=offset)
    return name


def _check_mode(name: str, made_by: int, attributes: int, offset: int, archive: str) -> int:
    """Return 0o755 or 0o644; refuse anything but a file or a directory (W30).

    The high half of the attributes is a Unix mode whatever the entry's system: unpackers read it so.
    """
    mode = attributes >> 16
    kind = stat.S_IFMT(mode)
    is_directory = name.endswith("/")
    if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
        problem = f"neither a file nor a directory (mode {mode:o}): links and devices lead outside the archive"
        raise refused("zip-type", archive, problem, member=name, offset=offset)
    claims_directory = kind == stat.S_IFDIR or (made_by >> 8 == 0 and bool(attributes & _DOS_DIRECTORY))
    if (claims_directory and not is_directory) or (kind == stat.S_IFREG and is_directory):
        problem = "the name and the attributes disagree on whether it is a directory, and so do unpackers"
        raise refused("zip-type", archive, problem, member=name, offset=offset)
    return 0o755 if is_directory or mode & 0o111 else 0o644


def _check_names(entries: list[CentralEntry], archive: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            raise refused("zip-duplicate", archive, "two members of this name", member=entry.name, offset=entry.offset)
        seen.add(entry.name)
    files = [name for name in seen if not name.endswith("/")]
    check_tree(files, [name[:-1] for name in seen if name.endswith("/")], archive)


def _check_sizes(entries: Iterable[CentralEntry], archive: str, limits: Limits) -> None:
    total = packed = 0
    for entry in entries:
        total += entry.size
        packed += entry.packed
        if entry.size > limits.member_size:
            raise too_large(archive, entry.size, limits.member_size, member=entry.name, offset=entry.offset)
    if total > limits.total_size:
        raise too_large(archive, total, limits.total_size)
    if total > limits.ratio_free and total > limits.ratio * packed:
        problem = f"{packed} bytes would become {total}; at most {limits.ratio} to 1 is allowed"
        raise refused("limit-ratio", archive, problem)

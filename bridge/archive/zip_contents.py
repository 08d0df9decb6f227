"""Read a zip member's content in blocks, checking its declared size and CRC."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from bridge.archive.refusal import damaged, refused
from bridge.archive.zip_member import DEFLATED, ZipMember

__all__ = ["read_member"]

_BLOCK = 1 << 18  # bytes read at once
_OUTPUT = 1 << 20  # bytes inflated at once


def read_member(stream: BinaryIO, member: ZipMember, archive: str) -> Iterator[bytes]:
    """Yield the content in blocks of at most 1 MiB; trust it only once the iterator has ended.

    Raises `UnsafeInputError` (`zip-size`: another size than declared) and `IntegrityError` (`zip-crc`: another CRC, or
    invalid deflate data).
    """
    stream.seek(member.data_offset)
    blocks = _inflate(stream, member, archive) if member.method == DEFLATED else _read_packed(stream, member, archive)
    crc = size = 0
    for block in blocks:
        crc = zlib.crc32(block, crc)
        size += len(block)
        if size > member.size:
            problem = f"more content than the {member.size} bytes declared"
            raise refused("zip-size", archive, problem, member=member.name, offset=member.data_offset)
        yield block
    if size != member.size:
        problem = f"{size} bytes of content, but {member.size} declared"
        raise refused("zip-size", archive, problem, member=member.name, offset=member.data_offset)
    if crc != member.crc:
        problem = f"the content's CRC is {crc:08x}, but {member.crc:08x} is declared"
        raise damaged("zip-crc", archive, problem, member=member.name, offset=member.data_offset)


def _read_packed(stream: BinaryIO, member: ZipMember, archive: str) -> Iterator[bytes]:
    left = member.compressed_size
    while left:
        block = stream.read(min(left, _BLOCK))
        if not block:
            raise refused("zip-frame", archive, "the file ends inside a member", member=member.name)
        left -= len(block)
        yield block


def _inflate(stream: BinaryIO, member: ZipMember, archive: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    budget = member.size + 1  # one byte too many suffices to refuse it
    has_rest = False
    try:
        for packed in _read_packed(stream, member, archive):
            if inflater.eof:
                has_rest = True
                break
            data = packed
            while data and not inflater.eof:
                block = inflater.decompress(data, min(_OUTPUT, budget))
                budget = max(budget - len(block), 1)
                data = inflater.unconsumed_tail
                yield block
        while not inflater.eof and (block := inflater.decompress(b"", _OUTPUT)):
            yield block
    except zlib.error as error:
        problem = f"the content cannot be inflated: {error}"
        raise damaged("zip-crc", archive, problem, member=member.name, offset=member.data_offset) from error
    if has_rest or inflater.unused_data or not inflater.eof:
        problem = f"the deflate data does not have the {member.compressed_size} bytes declared"
        raise refused("zip-size", archive, problem, member=member.name, offset=member.data_offset)

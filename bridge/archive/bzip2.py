"""Decompress a single-stream bzip2 file in bounded blocks."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from typing import BinaryIO

from bridge.archive.refusal import refused

__all__ = ["bzip2_content"]

_INPUT = 1 << 17
_OUTPUT = 1 << 20


def bzip2_content(stream: BinaryIO, archive: str) -> Iterator[bytes]:
    """Yield the content from the start of the file in blocks of at most 1 MiB.

    Raises `UnsafeInputError` (`conda-layout`), also for data after the first stream: Python's bz2 reads all streams,
    rattler's decoder stops after the first, so they would unpack different trees.
    """
    stream.seek(0)
    decoder = bz2.BZ2Decompressor()
    try:
        while not decoder.eof:
            data = stream.read(_INPUT) if decoder.needs_input else b""
            if decoder.needs_input and not data:
                raise refused("conda-layout", archive, "the bzip2 stream is truncated", offset=stream.tell())
            block = decoder.decompress(data, _OUTPUT)
            if block:
                yield block
    except (OSError, EOFError, ValueError) as error:
        raise refused("conda-layout", archive, f"it cannot be decompressed: {error}", offset=stream.tell()) from error
    if decoder.unused_data or stream.read(1):
        offset = stream.tell() - len(decoder.unused_data)
        raise refused("conda-layout", archive, "bytes after the bzip2 stream, or a second stream", offset=offset)

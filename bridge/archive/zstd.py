"""Zstandard: validate frames by their headers (RFC 8878), and decompress in bounded blocks.

Before any decompression, the validation proves that the frames fill the stream, and bounds the decoder's memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import zstandard

from bridge.archive.limits import Limits
from bridge.archive.refusal import refused
from converters.deferred import dataclass

__all__ = ["check_frames", "zstd_content"]

_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"  # after a byte of 0x50 to 0x5f
_LARGEST_BLOCK = 128 << 10
_RESERVED_BIT = 1 << 3
_CHECKSUM = 1 << 2
_SINGLE_SEGMENT = 1 << 5
_OUTPUT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame. `window` and `content_size` (if declared) are in bytes."""

    offset: int
    size: int
    is_skippable: bool = False
    window: int = 0
    content_size: int | None = None


def check_frames(stream: BinaryIO, offset: int, size: int, *, archive: str, member: str, limits: Limits) -> list[Frame]:
    """The frames in `size` bytes at `offset`, which they must fill exactly.

    Raises `UnsafeInputError`: `conda-layout`, `limit-size` (a window above the limit). Offsets in errors count from the
    start of the file.
    """
    walk = _Walk(stream, offset, offset + size, archive, member)
    frames: list[Frame] = []
    while walk.position < walk.end:
        start = walk.position
        magic = walk.take(4)
        if magic == _MAGIC:
            window, content_size = _walk_frame(walk, limits)
            frames.append(Frame(offset=start, size=walk.position - start, window=window, content_size=content_size))
        elif magic[1:] == _SKIPPABLE and magic[0] >> 4 == 5:
            walk.skip(int.from_bytes(walk.take(4), "little"))
            frames.append(Frame(offset=start, size=walk.position - start, is_skippable=True))
        else:  # decoders stop here with or without an error (CA14)
            raise walk.refused("these bytes are not a zstd frame", start)
    if all(frame.is_skippable for frame in frames):
        raise walk.refused("no zstd frame", offset)
    return frames


class _Walk:
    """A position inside a bounded part of a file."""

    __slots__ = ("archive", "end", "member", "position", "stream")

    def __init__(self, stream: BinaryIO, position: int, end: int, archive: str, member: str) -> None:
        self.stream = stream
        self.position = position
        self.end = end
        self.archive = archive
        self.member = member

    def take(self, size: int) -> bytes:
        self.stream.seek(self.position)
        self.skip(size)
        return self.stream.read(size)

    def skip(self, size: int) -> None:
        if size > self.end - self.position:
            raise self.refused("a zstd frame is truncated", self.position)
        self.position += size

    def refused(self, problem: str, offset: int, error_id: str = "conda-layout") -> Exception:
        return refused(error_id, self.archive, problem, member=self.member, offset=offset)


def _walk_frame(walk: _Walk, limits: Limits) -> tuple[int, int | None]:
    """Read one frame after its magic number; return the window and the declared content size."""
    start = walk.position
    descriptor = walk.take(1)[0]
    is_single = bool(descriptor & _SINGLE_SEGMENT)
    if descriptor & _RESERVED_BIT:
        raise walk.refused("a reserved bit of the zstd frame is set", start)
    window = 0
    if not is_single:
        exponent, mantissa = divmod(walk.take(1)[0], 8)
        base = 1 << (10 + exponent)
        window = base + base // 8 * mantissa
    if any(walk.take((0, 1, 2, 4)[descriptor & 3])):
        raise walk.refused("the zstd frame needs a dictionary", start)
    width = (1 if is_single else 0, 2, 4, 8)[descriptor >> 6]
    content_size = int.from_bytes(walk.take(width), "little") + (256 if width == 2 else 0) if width else None
    if is_single and content_size is not None:
        window = content_size
    if window > limits.zstd_window:
        problem = f"the zstd frame needs a window of {window} bytes; at most {limits.zstd_window} are allowed"
        raise walk.refused(problem, start, "limit-size")
    _walk_blocks(walk, min(window, _LARGEST_BLOCK))
    if descriptor & _CHECKSUM:
        walk.skip(4)
    return window, content_size


def _walk_blocks(walk: _Walk, largest: int) -> None:
    is_last = False
    while not is_last:
        start = walk.position
        header = int.from_bytes(walk.take(3), "little")
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if kind == 3 or size > largest:
            raise walk.refused("a zstd block of a reserved type, or larger than its frame allows", start)
        walk.skip(1 if kind == 1 else size)  # 1: one byte, repeated


class _Packed:
    """Blocks as a file for the decoder."""

    __slots__ = ("blocks",)

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self.blocks = blocks

    def read(self, _size: int = -1) -> bytes:
        return next(self.blocks, b"")


def zstd_content(packed: Iterator[bytes], archive: str, member: str, limits: Limits) -> Iterator[bytes]:
    """Yield the content of all frames in blocks of at most 1 MiB. Raises `UnsafeInputError` (`conda-layout`).

    Call `check_frames` first: the decoder does not notice a truncated frame.
    """
    decoder = zstandard.ZstdDecompressor(max_window_size=limits.zstd_window)
    try:
        with decoder.stream_reader(_Packed(packed), read_across_frames=True) as reader:  # type: ignore[arg-type]
            while block := reader.read(_OUTPUT):
                yield block
    except zstandard.ZstdError as error:
        raise refused("conda-layout", archive, f"it cannot be decompressed: {error}", member=member) from error

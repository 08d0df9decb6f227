"""Unpacked bytes, read in exact amounts and counted against the limits."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.archive.limits import Limits
from bridge.archive.refusal import refused

__all__ = ["BoundedStream"]


class BoundedStream:
    """A stream of unpacked bytes that holds one block at a time.

    :param blocks: of any size; an empty block ends them.
    :param packed_size: in bytes, for the ratio.

    Reading raises `UnsafeInputError`: `limit-size`, `limit-ratio`; `conda-layout` if the bytes end early.
    """

    __slots__ = ("archive", "block", "blocks", "limits", "packed_size", "position", "total", "used")

    def __init__(self, blocks: Iterator[bytes], packed_size: int, archive: str, limits: Limits) -> None:
        self.blocks = blocks
        self.packed_size = packed_size
        self.archive = archive
        self.limits = limits
        self.block = b""
        self.used = 0  # bytes of `block` already handed out
        self.total = 0  # bytes unpacked so far
        self.position = 0  # bytes handed out so far

    def _next_block(self) -> bool:
        self.block = next(self.blocks, b"")
        self.used = 0
        self.total += len(self.block)
        if self.total > self.limits.total_size:
            raise refused("limit-size", self.archive, f"more than {self.limits.total_size} bytes once unpacked")
        if self.total > self.limits.ratio_free and self.total > self.limits.tar_ratio * self.packed_size:
            problem = f"{self.packed_size} bytes become more than {self.limits.tar_ratio} times as many"
            raise refused("limit-ratio", self.archive, problem, offset=self.position)
        return bool(self.block)

    def views(self, size: int) -> Iterator[memoryview]:
        """Exactly `size` bytes, in pieces without copying."""
        left = size
        while left:
            if self.used == len(self.block) and not self._next_block():
                raise refused("conda-layout", self.archive, "the tar is truncated", offset=self.position)
            view = memoryview(self.block)[self.used : self.used + left]
            self.used += len(view)
            self.position += len(view)
            left -= len(view)
            yield view

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes, in one piece."""
        end = self.used + size
        if end <= len(self.block):
            data = self.block[self.used : end]
            self.used = end
            self.position += size
            return data
        return b"".join(self.views(size))

    def rest(self) -> Iterator[bytes]:
        """The remaining bytes, in pieces."""
        while self.used < len(self.block) or self._next_block():
            piece = self.block[self.used :]
            self.used = len(self.block)
            yield piece
            self.position += len(piece)

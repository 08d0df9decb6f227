"""Where the contents of files lie in one file of the cache: one after another, large ones in blocks of their own.

A block that belongs to one content only can be cloned into an environment (`bridge.fs.linking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from bridge.fs.linking import BLOCK

__all__ = ["AlignedWriter", "is_aligned", "places"]

_LARGE = 4 * BLOCK  # a smaller content is copied about as fast as cloned


def is_aligned(size: int) -> bool:
    """Whether a content of that size has blocks of its own."""
    return size >= _LARGE


def places(sizes: Iterable[int]) -> Iterator[int]:
    """Yield the offset of each content."""
    position = 0
    for size in sizes:
        if is_aligned(size):
            position += -position % BLOCK
        yield position
        position += size
        if is_aligned(size):
            position += -position % BLOCK


class AlignedWriter:
    """Writes contents to a stream, at the offsets of `places`."""

    def __init__(self, stream: BinaryIO, check: Callable[[], object] = bool) -> None:
        """:param check: called before each write; raises to end it: a content may take a minute."""
        self._stream = stream
        self._check = check
        self._position = 0
        self._is_aligned = False

    def begin(self, size: int) -> Callable[[bytes | memoryview], object]:
        """Begin with the next content; return what takes its bytes."""
        if self._is_aligned or is_aligned(size):
            self.fill()
        self._is_aligned = is_aligned(size)
        return self._write

    def fill(self) -> None:
        """Write zeros up to the next block."""
        self._write(bytes(-self._position % BLOCK))

    def _write(self, data: bytes | memoryview) -> None:
        self._check()
        self._stream.write(data)
        self._position += len(data)

"""Read the members of a validated wheel."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from bridge.archive.wheels import WheelManifest
from bridge.archive.zip_contents import read_member
from bridge.archive.zip_member import ZipMember

__all__ = ["WheelContents", "as_stream"]

_SMALL = 1 << 20  # bytes; larger members are inflated while they are read
_BUFFER = 1 << 16


class WheelContents:
    """An open wheel, of which one member at a time can be read.

    Raises `IntegrityError` or `UnsafeInputError` if a member's size or CRC changed since validation.
    """

    def __init__(self, path: Path, manifest: WheelManifest) -> None:
        self._entries: Mapping[str, ZipMember] = {member.path: member.entry for member in manifest.members}
        self._filename = manifest.filename
        self._stream = path.open("rb", buffering=_BUFFER)

    def __enter__(self) -> WheelContents:  # noqa: PYI034 - `typing.Self` is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def open(self, name: str) -> IO[bytes]:
        """A stream of a member's content."""
        entry = self._entries[name]
        if entry.size <= _SMALL:
            return io.BytesIO(self.read(name))
        return as_stream(read_member(self._stream, entry, self._filename))

    def blocks(self, name: str) -> Iterable[bytes]:
        """A member's content in blocks."""
        return read_member(self._stream, self._entries[name], self._filename)

    def source(self, name: str) -> None:
        """Nothing can be cloned: the content is compressed."""

    def read(self, name: str) -> bytes:
        """A member's content."""
        return b"".join(read_member(self._stream, self._entries[name], self._filename))


def as_stream(blocks: Iterable[bytes]) -> IO[bytes]:
    """A stream over blocks, each requested when it is read."""
    return cast("IO[bytes]", io.BufferedReader(_Blocks(blocks), _SMALL))


class _Blocks(io.RawIOBase):
    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks: Iterator[bytes] = iter(blocks)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # the base class takes any buffer
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(block)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size

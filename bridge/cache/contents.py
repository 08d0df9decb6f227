"""One file of the cache with the contents of many: read by name, and checked by the sha256 of each.

The contents come first (`bridge.cache.aligned`), then a JSON index, then its length and its sha256. The file's own
modification time is a function of its name, so that a later write is noticed.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from bridge import fs
from bridge.archive.wheel_contents import as_stream
from bridge.errors import BridgeError, IntegrityError
from bridge.faults import fault
from bridge.fs.linking import BLOCK, stamp_of

__all__ = ["Contents", "StoredContents", "hold", "read_index", "write_index"]

_SMALL = 1 << 20  # bytes; larger contents are read in blocks of that size
_LENGTH, _DIGEST = 8, 64
_SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}  # what this process lacks says nothing of a file
_MOST = 256 << 20  # bytes of an index; a wheel with a million members has less

Places = Mapping[str, tuple[int, int]]
"""Name → offset and size."""


class Contents(AbstractContextManager["Contents"], Protocol):
    """The files of a validated archive, by name."""

    def open(self, name: str) -> IO[bytes]:
        """A stream of a file's content."""

    def blocks(self, name: str) -> Iterable[bytes]:
        """A file's content in blocks."""

    def source(self, name: str) -> tuple[int, int] | None:
        """A descriptor and the offset of a file's content; `None` unless nobody wrote to it since it was checked."""


class StoredContents:
    """Contents in a file of the cache. The caller compares them with what they should be.

    Raises `IntegrityError` (`record-hash`), here or from a stream, if the file cannot be read; `FaultError` if this
    process has no descriptor or memory left.
    """

    def __init__(self, path: Path, places: Places) -> None:
        self._path, self._places = path, places
        with _converting(path):
            self._stream = fs.open_regular(path, root=path.parents[1])
            self._is_unchanged = os.fstat(self._stream.fileno()).st_mtime == stamp_of(path.stem)

    def __enter__(self) -> StoredContents:  # noqa: PYI034 - `typing.Self` is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def open(self, name: str) -> IO[bytes]:
        place, size = self._places[name]
        if size > _SMALL:
            return as_stream(self._blocks(place, size))
        with _converting(self._path):
            return io.BytesIO(os.pread(self._stream.fileno(), size, place))

    def blocks(self, name: str) -> Iterable[bytes]:
        place, size = self._places[name]
        if size > _SMALL:
            return self._blocks(place, size)
        try:
            return (os.pread(self._stream.fileno(), size, place),)
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def source(self, name: str) -> tuple[int, int] | None:
        return (self._stream.fileno(), self._places[name][0]) if self._is_unchanged else None

    def _blocks(self, place: int, size: int) -> Iterator[bytes]:
        with _converting(self._path):
            yield from _read_blocks(self._stream.fileno(), place, size)


@contextmanager
def _converting(path: Path) -> Iterator[None]:
    """Turn `OSError` into `IntegrityError`, so that the caller falls back to the archive itself."""
    try:
        yield
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> BridgeError:
    if error.errno in _SCARCE:
        return fault(error, path)
    return IntegrityError("record-hash", f"{path} cannot be read: {error.strerror}")


def _read_blocks(descriptor: int, place: int, size: int) -> Iterator[bytes]:
    """The content in blocks, incomplete if the file ends early."""
    left = size
    while left and (block := os.pread(descriptor, min(left, _SMALL), place)):
        place, left = place + len(block), left - len(block)
        yield block


def hold(path: Path, root: Path, expected: Iterable[tuple[int, int, str]]) -> bool:
    """Whether the contents have their sha256, with only zeros between them. Raises `OSError`.

    :param expected: offset, size and sha256 of each.
    """
    position = 0
    with fs.open_regular(path, root=root) as stream:
        descriptor = stream.fileno()
        for place, size, sha256 in sorted(expected):
            digest = hashlib.sha256()
            for block in _read_blocks(descriptor, place, size):
                digest.update(block)
            if digest.hexdigest() != sha256 or any(os.pread(descriptor, place - position, position)):
                return False
            position = place + size
        return not any(os.pread(descriptor, -position % BLOCK, position))


def write_index(stream: BinaryIO, document: Mapping[str, object]) -> None:
    """Write the index after the contents."""
    index = json.dumps(document, separators=(",", ":")).encode()
    stream.write(index)
    stream.write(len(index).to_bytes(_LENGTH, "big"))
    stream.write(hashlib.sha256(index).hexdigest().encode())


def read_index(path: Path, root: Path) -> dict[str, Any] | None:
    """The index; `None` if the file is damaged or missing. Raises `FaultError`, as `StoredContents` does."""
    try:
        with fs.open_regular(path, root=root) as stream:
            size = os.fstat(stream.fileno()).st_size
            tail = os.pread(stream.fileno(), _LENGTH + _DIGEST, max(size - _LENGTH - _DIGEST, 0))
            length = int.from_bytes(tail[:_LENGTH], "big")
            start = size - _LENGTH - _DIGEST - length
            if start < 0 or length > _MOST:
                return None
            text = os.pread(stream.fileno(), length, start)
        if hashlib.sha256(text).hexdigest().encode() != tail[_LENGTH:]:
            return None
        document = json.loads(text)
    except OSError as error:
        if error.errno in _SCARCE:
            raise fault(error, path) from error
        return None
    except (ValueError, OverflowError, RecursionError):
        return None
    return document if isinstance(document, dict) else None

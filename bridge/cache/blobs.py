"""A cache of small values, each with a checksum of its own; `bridge.artifacts` is that of large ones.

Whatever is read back is checked: a cache may have lost a bit, or half a file, since it was written. A cache that cannot
be written costs time, never the result. All writing is `bridge.fs`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from bridge import fs
from bridge.errors import BridgeError, FaultError

__all__ = ["BlobStore", "cache_faults", "sha256_of"]

_BLOCK = 1 << 20
_DIGEST = 64

Value = TypeVar("Value")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file's content, as lower-case hex. Raises `OSError`."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def cache_faults() -> Iterator[None]:
    """What the system refuses in the block is told as a fault of the cache, with the way to another one."""
    try:
        yield
    except FaultError as error:
        raise FaultError(
            error.id,
            f"the cache cannot be written: {error.message}",
            context=error.context,
            hint=error.hint or "name another folder for the cache in BRIDGE_CACHE_DIR",
            objects=error.objects,
        ) from error


class BlobStore:
    """Values of up to some megabytes by key, each a file: the sha256 of the value as hex, a line feed, the value."""

    def __init__(self, folder: Path, *, root: Path | None = None) -> None:
        """:param root: the cache that `folder` lies in; from there on no symlink is followed."""
        self._folder = folder
        self._root = root or folder

    def _path(self, key: str) -> Path:
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._folder / name[:2] / name

    def get(self, key: str) -> bytes | None:
        """The value that was last set; `None` where there is none, or it was damaged."""
        try:
            data = fs.read_regular(self._path(key), root=self._root)
        except OSError:
            return None
        value = data[_DIGEST + 1 :]
        return value if data[:_DIGEST].decode("ascii", "replace") == hashlib.sha256(value).hexdigest() else None

    def set(self, key: str, value: bytes) -> None:
        """Keep `value`, for this account only: pages of private indexes are among them."""
        digest = hashlib.sha256(value).hexdigest().encode()
        path = self._path(key)
        try:
            fs.publish_file(path, [digest, b"\n", value], mode=0o600, root=self._root)
        except FaultError:
            return

    def read(self, key: str, parse: Callable[[Any], Value]) -> Value | None:
        """What `parse` makes of the JSON document that was last set; `None` where there is none.

        An entry whose checksum is right may still hold nonsense: another version, or somebody else, wrote it. Whatever
        `parse` raises of that kind, the entry is dropped, and the caller computes the value again.
        """
        value = self.get(key)
        if value is None:
            return None
        try:
            return parse(json.loads(value))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, BridgeError):
            self.drop(key)
            return None

    def drop(self, key: str) -> None:
        """Forget the value of `key`, where the cache can be written."""
        with suppress(FaultError):
            fs.remove_regular(self._path(key), root=self._root)

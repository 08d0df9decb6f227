"""A cache of small values, each stored with a checksum; `bridge.fetch.artifacts` stores large ones.

Damaged values count as absent, and a cache that cannot be written costs only time.
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
from bridge.fs.digests import sha256_hex

__all__ = ["BlobStore", "cache_faults", "sha256_of"]

_BLOCK = 1 << 20
_DIGEST = 64
_NO_CACHE = "the cache cannot be written: "

Value = TypeVar("Value")


def sha256_of(path: str | os.PathLike[str], name: str = "sha256") -> str:
    """The sha256 of a file's content, as lower-case hex, or the digest of another name. Raises `OSError`."""
    digest = hashlib.new(name, usedforsecurity=name != "md5")
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def cache_faults() -> Iterator[None]:
    """Turn a `FaultError` of the block into one about the cache that suggests another directory."""
    try:
        yield
    except FaultError as error:
        if error.message.startswith(_NO_CACHE):
            raise
        elsewhere = "name another directory for the cache in BRIDGE_CACHE_DIR"
        raise FaultError(
            error.id,
            f"{_NO_CACHE}{error.message}",
            context=error.context,
            hint=f"{error.hint}, or {elsewhere}" if error.hint else elsewhere,
            objects=error.objects,
        ) from error


class BlobStore:
    """Values of up to some megabytes by key, each a file: sha256 in hex, a line feed, the value."""

    def __init__(self, directory: Path, *, root: Path | None = None) -> None:
        """:param root: the cache that contains `directory`; no symlink below it is followed."""
        self._directory = directory
        self._root = root or directory
        self._files = fs.SmallFiles(directory, root=self._root)

    def _path(self, key: str) -> Path:
        name = sha256_hex(key.encode())
        return self._directory / name[:2] / name

    def get(self, key: str) -> bytes | None:
        """The stored value; `None` if absent or damaged."""
        name = sha256_hex(key.encode())
        if not os.path.lexists(f"{self._directory}/{name[:2]}/{name}"):  # the usual reason, told in no time
            return None
        try:
            data = self._files.read_regular(name[:2], name)
        except OSError:
            return None
        value = data[_DIGEST + 1 :]
        return value if data[:_DIGEST].decode("ascii", "replace") == sha256_hex(value) else None

    def has(self, key: str) -> bool:
        """Whether there is a value, going by its path alone."""
        return os.path.isfile(self._path(key))

    def set(self, key: str, value: bytes) -> None:
        """Store `value` if possible, readable by this account only: it may come from a private index."""
        digest = sha256_hex(value).encode()
        with suppress(FaultError):
            fs.publish_file(self._path(key), [digest, b"\n", value], mode=0o600, root=self._root)

    def read(self, key: str, parse: Callable[[Any], Value]) -> Value | None:
        """The stored JSON document as converted by `parse`; `None` if absent.

        An entry with a valid checksum may still be invalid, written by another version: it is dropped if `parse` fails.
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
        """Remove the value of `key`, if possible."""
        with suppress(FaultError):
            fs.remove_regular(self._path(key), root=self._root)

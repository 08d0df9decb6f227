"""METADATA that earlier runs read: that of a verified archive, and what one index states of a file.

The metadata file beside a wheel (PEP 658), or the end of a wheel read by Range requests, is not covered by the wheel's
hash. It is kept as the statement of its index, and never serves another index that offers a file of the same hash.
Of a file without a hash, only METADATA whose own hash the index states is kept.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

import packaging

from bridge import __version__
from bridge.cache.blobs import BlobStore
from bridge.fetch.urls import local_path
from bridge.model import IndexFile
from converters.metadata import CoreMetadata, parse_metadata

__all__ = ["KeptMetadata"]

_FIELDS = tuple(CoreMetadata.__annotations__)
_CONTEXT = repr((2, __version__, packaging.__version__, _FIELDS))
_PARSED = b"\x00"  # the first byte of a value: a line with the fields, METADATA. It never begins with this byte.


class KeptMetadata:
    """METADATA by the sha256 of its archive; as long as it is unverified, by its index too. Kept with its fields."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    def get(self, file: IndexFile) -> bytes | None:
        """Return the METADATA of the verified archive, else what the file's index states; `None` if neither is kept."""
        kept = self._value(file)
        return None if kept is None else kept[1]

    def parsed(self, file: IndexFile) -> CoreMetadata | None:
        """Return the fields of what `get` returns. Raises as `parse_metadata`."""
        kept = self._value(file)
        if kept is None:
            return None
        key, data, context, fields = kept
        if context == _CONTEXT:
            return CoreMetadata(**dict(zip(_FIELDS, fields, strict=True)))
        metadata = parse_metadata(data, file.filename)
        self._keep(key, data, metadata)
        return metadata

    def _value(self, file: IndexFile) -> tuple[str, bytes, str, tuple[Any, ...]] | None:
        """Return the key of METADATA, its text, and its fields with the versions of the programs that parsed it."""
        for key in _keys(file):
            if (value := self._store.get(key)) is not None:
                if value[:1] != _PARSED:
                    return key, value, "", ()
                with suppress(ValueError, TypeError, RecursionError):
                    head, _, data = value[1:].partition(b"\n")
                    context, fields = json.loads(head)
                    return key, data, context, tuple(map(_frozen, fields))
        return None

    def _keep(self, key: str, data: bytes, metadata: CoreMetadata) -> None:
        head = json.dumps((_CONTEXT, [getattr(metadata, name) for name in _FIELDS]), separators=(",", ":"))
        self._store.set(key, _PARSED + head.encode() + b"\n" + data)

    def has(self, file: IndexFile) -> bool:
        """Return whether `get` has an answer, going by paths alone."""
        return any(self._store.has(key) for key in _keys(file))

    def is_stated_only(self, file: IndexFile) -> bool:
        """Return whether what is kept was not compared with the archive."""
        return self.has(file) and not self._store.has(_keys(file)[0])

    def set(self, file: IndexFile, data: bytes, *, is_verified: bool) -> None:
        """Keep METADATA for later runs, without the description, which a solver does not need."""
        is_stated = bool(file.sha256) or hashlib.sha256(data).hexdigest() == file.metadata_sha256
        if is_stated and local_path(file.url) is None:
            head = data[: data.find(b"\n\n") + 2] if b"\n\n" in data else data
            metadata = parse_metadata(data, file.filename)
            is_same = parse_metadata(head, file.filename) == metadata
            self._keep(_keys(file)[0 if is_verified else -1], head if is_same else data, metadata)

    def drop(self, file: IndexFile) -> None:
        """Remove what is kept of a file, if possible."""
        for key in _keys(file):
            self._store.drop(key)


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _keys(file: IndexFile) -> tuple[str, ...]:
    if file.sha256:
        return f"verified {file.sha256}", f"stated {file.sha256} {file.origin}"
    return (f"metadata {file.metadata_sha256} {file.origin}",) if file.metadata_sha256 else ()

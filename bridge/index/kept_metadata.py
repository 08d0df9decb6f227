"""METADATA that earlier runs read: that of a verified archive, and what one index states of a file.

The metadata file beside a wheel (PEP 658), or the end of a wheel read by Range requests, is not covered by the wheel's
hash. It is kept as the statement of its index, and never serves another index that offers a file of the same hash.
Of a file without a hash, only METADATA whose own hash the index states is kept.
"""

from __future__ import annotations

import hashlib

from bridge.cache.blobs import BlobStore
from bridge.fetch.urls import local_path
from bridge.model import IndexFile
from converters.metadata import parse_metadata

__all__ = ["KeptMetadata"]


class KeptMetadata:
    """METADATA by the sha256 of its archive; as long as it is unverified, by its index too."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store

    def get(self, file: IndexFile) -> bytes | None:
        """Return the METADATA of the verified archive, else what the file's index states; `None` if neither is kept."""
        return next((data for key in _keys(file) if (data := self._store.get(key)) is not None), None)

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
            is_same = parse_metadata(head, file.filename) == parse_metadata(data, file.filename)
            self._store.set(_keys(file)[0 if is_verified else -1], head if is_same else data)

    def drop(self, file: IndexFile) -> None:
        """Remove what is kept of a file, if possible."""
        for key in _keys(file):
            self._store.drop(key)


def _keys(file: IndexFile) -> tuple[str, ...]:
    if file.sha256:
        return f"verified {file.sha256}", f"stated {file.sha256} {file.origin}"
    return (f"metadata {file.metadata_sha256} {file.origin}",) if file.metadata_sha256 else ()

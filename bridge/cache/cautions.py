"""The cautions of validated conda packages by sha256, for later audits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from bridge.cache.blobs import BlobStore

__all__ = ["CautionStore"]


class CautionStore:
    """Cautions in a directory of the cache; a package without any has no file there."""

    def __init__(self, directory: Path, *, root: Path | None = None) -> None:
        """:param root: as in `BlobStore`."""
        self._blobs = BlobStore(directory, root=root)

    def set(self, sha256: str, cautions: Iterable[tuple[str, str, str]]) -> None:
        """Store cautions, each as `(id, path, detail)`."""
        rows = list(cautions)
        if rows:
            self._blobs.set(f"remarks {sha256}", json.dumps(rows).encode())

    def get(self, sha256: str) -> Sequence[tuple[str, str, str]]:
        """The stored cautions of a package."""
        rows = json.loads(self._blobs.get(f"remarks {sha256}") or b"[]")
        return [(str(name), str(path), str(detail)) for name, path, detail in rows]

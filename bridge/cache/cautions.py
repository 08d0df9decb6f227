"""What was remarked of conda packages when they were judged, remembered by their sha256, for whoever audits later."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from bridge.cache.blobs import BlobStore

__all__ = ["CautionStore"]


class CautionStore:
    """The remarks in a folder of the cache. A package without any has no file there."""

    def __init__(self, folder: Path, *, root: Path | None = None) -> None:
        """:param root: as in `BlobStore`."""
        self._blobs = BlobStore(folder, root=root)

    def keep(self, sha256: str, remarks: Iterable[tuple[str, str, str]]) -> None:
        """Remember remarks, each as `(id, path, detail)`."""
        found = list(remarks)
        if found:
            self._blobs.set(f"remarks {sha256}", json.dumps(found).encode())

    def recall(self, sha256: str) -> Sequence[tuple[str, str, str]]:
        """What is remembered of a package; empty where nothing was remarked, or it is forgotten."""
        known = self._blobs.get(f"remarks {sha256}")
        return (
            [] if known is None else [(str(name), str(path), str(detail)) for name, path, detail in json.loads(known)]
        )

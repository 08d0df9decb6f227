"""Manifests of validated conda packages by sha256, so that each package is validated once.

Staged files are still compared with the manifest; a corrupt entry is ignored (`BlobStore`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from operator import attrgetter
from pathlib import Path
from typing import Any

from bridge import __version__
from bridge.archive.conda import CondaManifest, CondaPath, check_conda
from bridge.archive.paths import Caution
from bridge.cache.blobs import BlobStore
from bridge.cache.cautions import CautionStore

__all__ = ["CondaManifests"]

_FORMAT = 2
_FIELDS = ("filename", "index", "noarch", "entry_points", "link_scripts", "about")
_COLUMNS = tuple(field.name for field in fields(CondaPath))
_row = attrgetter(*_COLUMNS)


class CondaManifests:
    """Manifests in a directory of the cache. Safe for threads and processes."""

    def __init__(self, directory: Path, *, root: Path | None = None) -> None:
        self._blobs = BlobStore(directory, root=root)
        self._cautions = CautionStore(directory, root=root)

    def check(
        self, archive: Path, *, sha256: str | None, filename: str, allow_external_symlinks: bool = False
    ) -> CondaManifest:
        """As `check_conda`, with the result cached.

        :param sha256: of the archive, verified by the caller; nothing is cached without it.
        """
        key = f"{_FORMAT} {__version__} {filename} {allow_external_symlinks} {sha256}"
        cached = self._blobs.read(key, _read) if sha256 is not None else None
        if cached is not None:
            return cached
        manifest = check_conda(archive, filename=filename, allow_external_symlinks=allow_external_symlinks)
        if sha256 is not None:
            self._blobs.set(key, json.dumps(_document(manifest), separators=(",", ":")).encode())
            self._cautions.set(sha256, ((each.id, each.path, each.detail) for each in manifest.cautions))
        return manifest


def _document(manifest: CondaManifest) -> dict[str, object]:
    return {name: getattr(manifest, name) for name in _FIELDS} | {
        "paths": [_row(path) for path in manifest.paths],
        "cautions": [asdict(caution) for caution in manifest.cautions],
    }


def _read(document: dict[str, Any]) -> CondaManifest:
    values: dict[str, Any] = {name: document[name] for name in _FIELDS} | {
        "paths": tuple(CondaPath(**dict(zip(_COLUMNS, row, strict=True))) for row in document["paths"]),
        "cautions": tuple(Caution(**caution) for caution in document["cautions"]),
        "entry_points": tuple(document["entry_points"]),
        "link_scripts": tuple(document["link_scripts"]),
    }
    return CondaManifest(**values)

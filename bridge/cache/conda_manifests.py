"""What conda packages were judged to hold, remembered by their sha256: a package is read through once, not every time.

What is staged is still held against it, file by file: a judgement that the disk lost a bit of is no judgement
(`BlobStore`), and an archive that changed has another sha256.
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
_COLUMNS = tuple(field.name for field in fields(CondaPath))
_row = attrgetter(*_COLUMNS)


class CondaManifests:
    """The judgements in a folder of the cache. For many threads and processes at once."""

    def __init__(self, folder: Path, *, root: Path | None = None) -> None:
        self._blobs = BlobStore(folder, root=root)
        self._remarks = CautionStore(folder, root=root)

    def judge(
        self, archive: Path, *, sha256: str | None, filename: str, allow_external_symlinks: bool = False
    ) -> CondaManifest:
        """What `check_conda` finds in a package, and raises; found now or at any time before.

        :param sha256: of the archive, verified by who fetched it; `None`: nobody knows it, and nothing is remembered.
        """
        key = f"{_FORMAT} {__version__} {filename} {allow_external_symlinks} {sha256}"
        known = self._blobs.read(key, _read) if sha256 is not None else None
        if known is not None:
            return known
        found = check_conda(archive, filename=filename, allow_external_symlinks=allow_external_symlinks)
        if sha256 is not None:
            self._blobs.set(key, json.dumps(_document(found), separators=(",", ":")).encode())
            self._remarks.keep(sha256, ((each.id, each.path, each.detail) for each in found.cautions))
        return found


def _document(manifest: CondaManifest) -> dict[str, object]:
    return {
        "filename": manifest.filename,
        "index": manifest.index,
        "paths": [_row(path) for path in manifest.paths],
        "noarch": manifest.noarch,
        "entry_points": manifest.entry_points,
        "link_scripts": manifest.link_scripts,
        "about": manifest.about,
        "cautions": [asdict(caution) for caution in manifest.cautions],
    }


def _read(document: dict[str, Any]) -> CondaManifest:
    return CondaManifest(
        filename=document["filename"],
        index=document["index"],
        paths=tuple(CondaPath(**dict(zip(_COLUMNS, row, strict=True))) for row in document["paths"]),
        noarch=document["noarch"],
        entry_points=tuple(document["entry_points"]),
        link_scripts=tuple(document["link_scripts"]),
        about=document["about"],
        cautions=tuple(Caution(**caution) for caution in document["cautions"]),
    )

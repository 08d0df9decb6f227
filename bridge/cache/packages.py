"""Validated conda packages: their manifests, and each unpacked into one file of the cache, as wheels are.

Each package is validated and decompressed once. The manifest is compared with what is placed; a damaged entry is
ignored. A cache that cannot be written costs only time.
"""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO

from bridge import __version__, fs
from bridge.archive.conda import CondaManifest, CondaPath, check_conda
from bridge.archive.paths import Caution
from bridge.archive.tars import Keep, is_info
from bridge.cache.aligned import AlignedWriter, places
from bridge.cache.blobs import BlobStore
from bridge.cache.cautions import CautionStore
from bridge.cache.contents import Contents, StoredContents, hold, read_index, write_index
from bridge.errors import FaultError, IntegrityError
from bridge.fs.durability import begin_to_write
from bridge.fs.linking import stamp_of

__all__ = ["PackageStore", "is_intact", "unpacked_package"]

_FORMAT = 3
_FIELDS = ("filename", "index", "noarch", "entry_points", "link_scripts", "about")
_COLUMNS = tuple(field.name for field in fields(CondaPath))
_row = attrgetter(*_COLUMNS)


class PackageStore:
    """Manifests and unpacked packages in a cache. Safe for threads and processes."""

    def __init__(self, cache: Path, check: Callable[[], object] = bool) -> None:
        """:param check: as in `AlignedWriter`."""
        self._cache = cache
        self._check = check
        self._blobs = BlobStore(cache / "judged", root=cache)
        self._cautions = CautionStore(cache / "judged", root=cache)

    def path(self, sha256: str) -> Path:
        """The path of the unpacked package, which may not exist yet."""
        return self._cache / "unpacked" / sha256[:2] / f"{sha256}.package"

    def known(self, sha256: str, filename: str, allows_external_symlinks: bool) -> tuple[CondaManifest, Path] | None:
        """What `check` returned before of the archive with that hash, if it is kept."""
        path = self.path(sha256)
        manifest = self._blobs.read(_key(sha256, filename, allows_external_symlinks), _read)
        return (manifest, path) if manifest is not None and _rows(path, self._cache) is not None else None

    def check(
        self, archive: Path, *, sha256: str | None, filename: str, allow_external_symlinks: bool = False
    ) -> tuple[CondaManifest, Path | None]:
        """As `check_conda`, with the result cached; also return the unpacked package, unless there can be none.

        :param sha256: of the archive, verified by the caller; nothing is cached without it.
        """
        if sha256 is None:
            return check_conda(archive, filename=filename, allow_external_symlinks=allow_external_symlinks), None
        known = self.known(sha256, filename, allow_external_symlinks)
        if known is not None:
            return known
        path = self.path(sha256)
        try:
            with fs.publish_stream(path, root=self._cache, time=stamp_of(sha256)) as stream:
                unpacking = _Unpacking(stream, self._check)
                manifest = check_conda(
                    archive, filename=filename, allow_external_symlinks=allow_external_symlinks, keep=unpacking.keep
                )
                unpacking.finish(manifest)
        except (FaultError, _ScatteredError):
            manifest = check_conda(archive, filename=filename, allow_external_symlinks=allow_external_symlinks)
            return manifest, None
        self._remember(manifest, sha256, allow_external_symlinks)
        return manifest, path

    def keep(
        self, fill: Callable[[Keep], CondaManifest], hashed: Callable[[Mapping[str, memoryview]], str]
    ) -> tuple[CondaManifest, str]:
        """Keep a package that has no archive; return its manifest and the sha256 that the archive would have.

        :param fill: passes on the files, in order, and returns the manifest.
        :param hashed: returns that sha256, of the contents by name.
        """
        name = f".{os.urandom(8).hex()}.bridge-tmp"
        aside = self._cache / "unpacked" / name
        with fs.publish_stream(aside, root=self._cache) as stream:
            unpacking = _Unpacking(stream, self._check)
            manifest = fill(unpacking.keep)
            unpacking.finish(manifest)
            stream.flush()
            begin_to_write(stream.fileno())  # The disk is idle while the rest is hashed and placed.
            sha256 = hashed(unpacking.contents())
        path = self.path(sha256).relative_to(self._cache)
        with fs.WritableTree(self._cache) as tree:
            tree.set_time(f"unpacked/{name}", stamp_of(sha256))
            tree.make_directory(path.parent.as_posix())
            tree.rename(f"unpacked/{name}", tree, path.as_posix())
        self._remember(manifest, sha256, allows_external_symlinks=False)
        return manifest, sha256

    def _remember(self, manifest: CondaManifest, sha256: str, allows_external_symlinks: bool) -> None:
        key = _key(sha256, manifest.filename, allows_external_symlinks)
        self._blobs.set(key, json.dumps(_document(manifest), separators=(",", ":")).encode())
        self._cautions.set(sha256, ((each.id, each.path, each.detail) for each in manifest.cautions))


class _Unpacking:
    """Writes the files of a package into a stream, one after another, and then their index."""

    def __init__(self, stream: BinaryIO, check: Callable[[], object]) -> None:
        self._stream = stream
        self._contents = AlignedWriter(stream, check)
        self._files: list[tuple[str, int]] = []

    def keep(self, name: str, size: int) -> Callable[[bytes | memoryview], object]:
        """Begin with the next file; return what takes its bytes."""
        if is_info(name):
            return _drop
        self._files.append((name, size))
        return self._contents.begin(size)

    def finish(self, manifest: CondaManifest) -> None:
        """Write the index. Raises `_ScatteredError`."""
        self._contents.fill()
        write_index(self._stream, {"format": _FORMAT, "files": _index(self._files, manifest)})

    def contents(self) -> dict[str, memoryview]:
        """The content of each file that was written, mapped: reading them again would take as long as hashing them."""
        mapped = memoryview(mmap.mmap(self._stream.fileno(), 0, access=mmap.ACCESS_READ))
        offsets = places(size for _, size in self._files)
        return {name: mapped[start : start + size] for (name, size), start in zip(self._files, offsets, strict=True)}


def _key(sha256: str, filename: str, allows_external_symlinks: bool) -> str:
    """The key of a manifest: another version of bridge may have validated the package by other rules."""
    return f"{_FORMAT} {__version__} {filename} {allows_external_symlinks} {sha256}"


class _ScatteredError(Exception):
    """A hard link's content belongs to a file that is not installed."""


def _drop(data: bytes | memoryview) -> None:
    """Do nothing with metadata, which is not installed."""


def _index(files: list[tuple[str, int]], manifest: CondaManifest) -> list[tuple[str, int, int, str]]:
    """Name, offset, size and sha256 of each file; of hard links too, which share the content of an earlier file."""
    offsets = dict(zip((name for name, _ in files), places(size for _, size in files), strict=True))
    known: dict[str, int] = {}
    rows = []
    for path in sorted(manifest.paths, key=lambda path: path.path not in offsets):
        if path.kind != "file" or path.sha256 is None or path.size is None:
            continue
        offset = offsets.get(path.path, known.get(path.sha256))
        if offset is None:
            raise _ScatteredError(path.path)
        known.setdefault(path.sha256, offset)
        rows.append((path.path, offset, path.size, path.sha256))
    return rows


def _rows(path: Path, root: Path) -> list[tuple[str, int, int, str]] | None:
    document = read_index(path, root)
    try:
        if document is None or document["format"] != _FORMAT:
            return None
        return [(str(name), int(place), int(size), str(sha256)) for name, place, size, sha256 in document["files"]]
    except (ValueError, TypeError, LookupError):
        return None


def unpacked_package(path: Path) -> Contents:
    """The contents of an unpacked package, which the caller compares with the manifest.

    Raises `IntegrityError` (`record-hash`), here or from a stream, if the file cannot be read.
    """
    rows = _rows(path, path.parents[2])
    if rows is None:
        raise IntegrityError("record-hash", f"{path} is damaged")
    return StoredContents(path, {name: (place, size) for name, place, size, _ in rows})


def is_intact(path: Path) -> bool:
    """Whether every file of an unpacked package has its sha256. Raises `OSError`."""
    rows = _rows(path, path.parents[2])
    return rows is not None and hold(path, path.parents[2], {row[1:] for row in rows})


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

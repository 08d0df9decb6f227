"""Validated wheels, each unpacked into one file of the cache, with its manifest.

A wheel is inflated and validated once, not for every environment. The file (`bridge.cache.contents`) is named for the
wheel's sha256. It appears by one rename and costs one inode, and no prefix can change it: environments get copies or
clones (decision 0010).

Each member's sha256 is checked again when it is copied. Clones are made only while nobody wrote to the file, which its
modification time shows. If the cache is damaged, the wheel itself is used and the entry dropped. A cache that cannot be
written costs only time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from bridge import __version__, fs
from bridge.archive.entry_points import EntryPoint
from bridge.archive.paths import Caution
from bridge.archive.wheels import WheelManifest, WheelMember, check_wheel
from bridge.archive.zip_member import ZipMember
from bridge.cache.aligned import AlignedWriter, places
from bridge.cache.contents import Contents, StoredContents, hold, read_index, write_index
from bridge.errors import FaultError
from bridge.fs.linking import stamp_of
from converters.metadata import CoreMetadata
from converters.native import NativeFile

__all__ = ["WheelStore", "is_intact", "unpacked_contents"]

_FORMAT = 5
_FIELDS = ("filename", "dist_info", "wheel_version", "root_is_purelib")  # stored as they are


class WheelStore:
    """The unpacked wheels in a directory of the cache. Safe for threads and processes."""

    def __init__(self, directory: Path, *, root: Path | None = None, check: Callable[[], object] = bool) -> None:
        """
        :param root: as in `BlobStore`.
        :param check: as in `AlignedWriter`.
        """
        self._directory = directory
        self._check = check
        self._root = root or directory

    def path(self, sha256: str) -> Path:
        """The path of the unpacked wheel, which may not exist yet."""
        return self._directory / sha256[:2] / f"{sha256}.unpacked"

    def known(self, archive: Path, *, filename: str, sha256: str) -> tuple[WheelManifest, Path] | None:
        """What `check` returned before of an archive of that hash and size, if it is kept. The archive is not read."""
        path = self.path(sha256)
        manifest = _read(path, filename, self._root, archive)
        return None if manifest is None else (manifest, path)

    def check(self, archive: Path, *, filename: str, sha256: str) -> tuple[WheelManifest, Path | None]:
        """As `check_wheel`, with the result cached; also return the unpacked wheel, unless the cache is read-only.

        :param sha256: of the archive, verified by the caller.
        """
        known = self.known(archive, filename=filename, sha256=sha256)
        if known is not None:
            return known
        path = self.path(sha256)
        try:
            with fs.publish_stream(path, root=self._root, time=stamp_of(sha256)) as stream:
                contents = AlignedWriter(stream, self._check)
                return _unpack(archive, filename, stream, contents), path
        except FaultError:
            return check_wheel(archive, filename=filename), None


def unpacked_contents(manifest: WheelManifest, unpacked: Path) -> Contents:
    """The content of an unpacked wheel, which the caller compares with the manifest.

    Raises `IntegrityError` (`record-hash`), here or from a stream, if the file cannot be read.
    """
    offsets = _places(manifest)
    return StoredContents(unpacked, {member.path: (offsets[member.path], member.size) for member in manifest.members})


def is_intact(path: Path) -> bool:
    """Whether every member of an unpacked wheel has its sha256; what another version wrote, which nobody reads, counts.

    Raises `OSError`.
    """
    root = path.parents[1]
    document = read_index(path, root)
    if document is not None and (document.get("format"), document.get("version")) != (_FORMAT, __version__):
        return True
    manifest = _read(path, None, root)
    if manifest is None:
        return False
    offsets = _places(manifest)
    return hold(path, root, ((offsets[member.path], member.size, member.sha256) for member in manifest.members))


def _places(manifest: WheelManifest) -> dict[str, int]:
    """The offset of each member's content; the members are in the order of the archive."""
    in_order = sorted(manifest.members, key=lambda member: member.entry.offset)
    offsets = places(member.size for member in in_order)
    return {member.path: offset for member, offset in zip(in_order, offsets, strict=True)}


def _unpack(archive: Path, filename: str, stream: BinaryIO, contents: AlignedWriter) -> WheelManifest:
    manifest = check_wheel(archive, filename=filename, keep=contents.begin)
    contents.fill()
    write_index(stream, _to_json(manifest) | {"archive": archive.stat().st_size})
    return manifest


def _read(path: Path, filename: str | None, root: Path, archive: Path | None = None) -> WheelManifest | None:
    """The manifest of an unpacked wheel, if intact, of that file name and archive (if given), from this version of
    bridge.

    Another version may have validated it by other rules.
    """
    document = read_index(path, root)
    if document is None:
        return None
    try:
        if document["format"] != _FORMAT or document["version"] != __version__:
            return None
        if filename is not None and document["filename"] != filename:
            return None
        if archive is not None and document["archive"] != archive.stat().st_size:
            return None
        return _from_json(document)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return None


def _to_json(manifest: WheelManifest) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "version": __version__,
        **{name: getattr(manifest, name) for name in (*_FIELDS, "data_dirs", "tags")},
        "metadata": asdict(manifest.metadata),
        "entry_points": [asdict(point) for point in manifest.entry_points],
        "cautions": [asdict(caution) for caution in manifest.cautions],
        "members": [_member_json(member) for member in manifest.members],
    }


def _member_json(member: WheelMember) -> list[object]:
    entry, native = member.entry, member.native
    packed = (entry.compressed_size, entry.crc, entry.offset, entry.data_offset, entry.method)
    code = None if native is None else [native.system, sorted(native.subdirs)]
    return [member.path, member.sha256, member.size, member.is_executable, *packed, code, member.is_namespace]


def _from_json(document: Mapping[str, Any]) -> WheelManifest:
    metadata: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in document["metadata"].items()
    }
    values: dict[str, Any] = {name: document[name] for name in _FIELDS} | {
        "members": tuple(map(_member, document["members"])),
        "metadata": CoreMetadata(**metadata),
        "entry_points": tuple(EntryPoint(**point) for point in document["entry_points"]),
        "data_dirs": tuple(document["data_dirs"]),
        "tags": tuple(document["tags"]),
        "cautions": tuple(Caution(**caution) for caution in document["cautions"]),
    }
    return WheelManifest(**values)


def _member(row: list[Any]) -> WheelMember:
    path, sha256, size, is_executable, compressed_size, crc, offset, data_offset, method, code, is_namespace = row
    mode = 0o755 if is_executable else 0o644
    return WheelMember(
        path,
        sha256,
        size,
        is_executable,
        NativeFile(path=path, system=code[0], subdirs=frozenset(code[1])) if code else None,
        ZipMember(path, size, compressed_size, crc, offset, method, False, mode, data_offset),
        is_namespace,
    )

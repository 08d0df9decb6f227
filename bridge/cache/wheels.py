"""Validated wheels, each unpacked into one file of the cache, with its manifest.

A wheel is inflated and validated once, not for every environment. The file is named for the wheel's sha256 and holds
the members' content (`bridge.cache.aligned`), then a JSON index, then its length and its sha256. One file appears by
one rename and costs one inode, and no prefix can change it: environments get copies or clones (decision 0010).

Each member's sha256 is checked again when it is copied. Clones are made only while nobody wrote to the file, which its
modification time shows. If the cache is damaged, the wheel itself is used and the entry dropped. A cache that cannot be
written costs only time.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, BinaryIO, Protocol

from bridge import __version__, fs
from bridge.archive.entry_points import EntryPoint
from bridge.archive.paths import Caution
from bridge.archive.wheel_contents import as_stream
from bridge.archive.wheels import WheelManifest, WheelMember, check_wheel
from bridge.archive.zip_member import ZipMember
from bridge.cache.aligned import AlignedWriter, is_aligned, places
from bridge.errors import FaultError, IntegrityError
from bridge.fs.linking import BLOCK, stamp_of
from converters.native import NativeFile
from converters.wheel import CoreMetadata

__all__ = ["Contents", "WheelStore", "is_intact", "unpacked_contents"]

_FORMAT = 4
_SMALL = 1 << 20  # bytes; larger members are read in blocks of that size
_LENGTH, _DIGEST = 8, 64
_MOST = 256 << 20  # bytes of an index; a wheel with a million members has less
_FIELDS = ("filename", "dist_info", "wheel_version", "root_is_purelib")  # stored as they are


class Contents(AbstractContextManager["Contents"], Protocol):
    """The members of a validated wheel, by name."""

    def open(self, name: str) -> IO[bytes]:
        """A stream of a member's content."""

    def blocks(self, name: str) -> Iterable[bytes]:
        """A member's content in blocks."""

    def source(self, name: str) -> tuple[int, int] | None:
        """A descriptor and the offset from which a member's blocks may be cloned; `None`: they may not."""


class WheelStore:
    """The unpacked wheels in a directory of the cache. Safe for threads and processes."""

    def __init__(self, directory: Path, *, root: Path | None = None) -> None:
        """:param root: as in `BlobStore`."""
        self._directory = directory
        self._root = root or directory

    def path(self, sha256: str) -> Path:
        """The path of the unpacked wheel, which may not exist yet."""
        return self._directory / sha256[:2] / f"{sha256}.unpacked"

    def check(self, archive: Path, *, filename: str, sha256: str) -> tuple[WheelManifest, Path | None]:
        """As `check_wheel`, with the result cached; also return the unpacked wheel, unless the cache is read-only.

        :param sha256: of the archive, verified by the caller.
        """
        path = self.path(sha256)
        known = _read(path, filename, self._root)
        if known is not None:
            return known, path
        try:
            with fs.publish_stream(path, root=self._root, time=stamp_of(sha256)) as stream:
                return _unpack(archive, filename, stream), path
        except FaultError:
            return check_wheel(archive, filename=filename), None


def unpacked_contents(manifest: WheelManifest, unpacked: Path) -> Contents:
    """The content of an unpacked wheel, which the caller compares with the manifest.

    Raises `IntegrityError` (`record-hash`), here or from a stream, if the file cannot be read.
    """
    with _converting(unpacked):
        return _Unpacked(unpacked, manifest)


def is_intact(path: Path) -> bool:
    """Whether every member of an unpacked wheel has its sha256. Raises `OSError`."""
    root = path.parents[1]
    manifest = _read(path, None, root)
    if manifest is None:
        return False
    places = _places(manifest)
    position = 0
    with fs.open_regular(path, root=root) as stream:
        for member in sorted(manifest.members, key=lambda member: places[member.path]):
            place = places[member.path]
            if any(os.pread(stream.fileno(), place - position, position)):  # between the contents there are zeros
                return False
            if not _has_hash(stream.fileno(), member, place):
                return False
            position = place + member.size
        return not any(os.pread(stream.fileno(), -position % BLOCK, position))


def _places(manifest: WheelManifest) -> dict[str, int]:
    """The offset of each member's content; the members are in the order of the archive."""
    in_order = sorted(manifest.members, key=lambda member: member.entry.offset)
    offsets = places(member.size for member in in_order)
    return {member.path: offset for member, offset in zip(in_order, offsets, strict=True)}


class _Unpacked:
    def __init__(self, path: Path, manifest: WheelManifest) -> None:
        self._path, self._places = path, _places(manifest)
        self._members = {member.path: member for member in manifest.members}
        self._stream = fs.open_regular(path, root=path.parents[1])
        self._is_unchanged = os.fstat(self._stream.fileno()).st_mtime == stamp_of(path.stem)

    def __enter__(self) -> _Unpacked:  # noqa: PYI034 - `typing.Self` is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def open(self, name: str) -> IO[bytes]:
        member, place, descriptor = self._members[name], self._places[name], self._stream.fileno()
        if member.size > _SMALL:
            return as_stream(self._blocks(member, place))
        with _converting(self._path):
            return io.BytesIO(os.pread(descriptor, member.size, place))

    def blocks(self, name: str) -> Iterable[bytes]:
        member, place = self._members[name], self._places[name]
        if member.size > _SMALL:
            return self._blocks(member, place)
        try:
            return (os.pread(self._stream.fileno(), member.size, place),)
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def source(self, name: str) -> tuple[int, int] | None:
        is_cloned = self._is_unchanged and is_aligned(self._members[name].size)
        return (self._stream.fileno(), self._places[name]) if is_cloned else None

    def _blocks(self, member: WheelMember, place: int) -> Iterator[bytes]:
        with _converting(self._path):
            yield from _blocks(self._stream.fileno(), member, place)


@contextmanager
def _converting(path: Path) -> Iterator[None]:
    """Turn `OSError` into `IntegrityError`, so that the caller falls back to the wheel itself."""
    try:
        yield
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> IntegrityError:
    return IntegrityError("record-hash", f"{path} cannot be read: {error.strerror}")


def _has_hash(descriptor: int, member: WheelMember, place: int) -> bool:
    digest = hashlib.sha256()
    for block in _blocks(descriptor, member, place):
        digest.update(block)
    return digest.hexdigest() == member.sha256


def _blocks(descriptor: int, member: WheelMember, place: int) -> Iterator[bytes]:
    """The content in blocks, incomplete if the file ends early."""
    left = member.size
    while left and (block := os.pread(descriptor, min(left, _SMALL), place)):
        place, left = place + len(block), left - len(block)
        yield block


def _unpack(archive: Path, filename: str, stream: BinaryIO) -> WheelManifest:
    contents = AlignedWriter(stream)
    manifest = check_wheel(archive, filename=filename, keep=contents.begin)
    contents.fill()
    index = json.dumps(_to_json(manifest), separators=(",", ":")).encode()
    stream.write(index)
    stream.write(len(index).to_bytes(_LENGTH, "big"))
    stream.write(hashlib.sha256(index).hexdigest().encode())
    return manifest


def _read(path: Path, filename: str | None, root: Path) -> WheelManifest | None:
    """The manifest of an unpacked wheel, if intact, of that file name (if given) and from this version of bridge.

    Another version may have validated it by other rules.
    """
    try:
        with fs.open_regular(path, root=root) as stream:
            size = os.fstat(stream.fileno()).st_size
            tail = os.pread(stream.fileno(), _LENGTH + _DIGEST, max(size - _LENGTH - _DIGEST, 0))
            length = int.from_bytes(tail[:_LENGTH], "big")
            start = size - _LENGTH - _DIGEST - length
            if start < 0 or length > _MOST:
                return None
            text = os.pread(stream.fileno(), length, start)
        if hashlib.sha256(text).hexdigest().encode() != tail[_LENGTH:]:
            return None
        document = json.loads(text)
        if document["format"] != _FORMAT or document["version"] != __version__:
            return None
        if filename is not None and document["filename"] != filename:
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
    return WheelMember(
        path=path,
        sha256=sha256,
        size=size,
        is_executable=is_executable,
        is_namespace=is_namespace,
        native=NativeFile(path=path, system=code[0], subdirs=frozenset(code[1])) if code else None,
        entry=ZipMember(
            name=path,
            size=size,
            compressed_size=compressed_size,
            crc=crc,
            offset=offset,
            method=method,
            is_directory=False,
            mode=0o755 if is_executable else 0o644,
            data_offset=data_offset,
        ),
    )

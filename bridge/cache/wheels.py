"""Wheels that were judged once: each unpacked into one file of the cache, with what the judgement found.

A wheel is inflated and judged when it is first installed, not for every environment. The file is named for the sha256
of the wheel and holds the members' content, one after the other, then an index, then its length and its sha256. One
file, not a tree: it appears by one rename, costs one inode, and needs no directories; and nothing in a prefix is ever
linked to it, so nobody can write through a prefix into the cache (decision 0010).

What is read back is held against the sha256 that the judgement found, as it is placed. Where the cache lost a bit, the
wheel itself is placed, and the entry is dropped. A cache that cannot be written costs time, never the result.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import IO, Any, BinaryIO, Protocol

from bridge import __version__, fs
from bridge.archive.entry_points import EntryPoint
from bridge.archive.paths import Caution
from bridge.archive.wheel_contents import as_stream
from bridge.archive.wheels import WheelManifest, WheelMember, check_wheel
from bridge.archive.zip_member import ZipMember
from bridge.errors import FaultError, IntegrityError
from converters.native import NativeFile
from converters.wheel import CoreMetadata

__all__ = ["Contents", "WheelStore", "is_whole", "unpacked_contents"]

_FORMAT = 1
_SMALL = 1 << 20  # bytes; what is larger is read in blocks of that size
_LENGTH, _DIGEST = 8, 64
_MOST = 256 << 20  # bytes of an index; a wheel of a million members has less


class Contents(Protocol):
    """The content of a wheel that was judged, by its members' names. A context manager."""

    def __enter__(self) -> Contents: ...  # noqa: PYI034 - `typing.Self` is of Python 3.11

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def open(self, name: str) -> IO[bytes]:
        """A stream of a member's content."""


class WheelStore:
    """The unpacked wheels in a folder of the cache. For many threads and processes at once."""

    def __init__(self, folder: Path, *, root: Path | None = None) -> None:
        """:param root: the cache that `folder` lies in; from there on no symlink is followed."""
        self._folder = folder
        self._root = root or folder

    def path(self, sha256: str) -> Path:
        """Where the unpacked wheel of that hash lies or is to lie."""
        return self._folder / sha256[:2] / f"{sha256}.unpacked"

    def judge(self, archive: Path, *, filename: str, sha256: str) -> tuple[WheelManifest, Path | None]:
        """What `check_wheel` finds in a wheel, and raises, found now or by whoever unpacked it; and where it lies
        unpacked, unless the cache cannot be written.

        :param sha256: of the archive, verified by who fetched it.
        """
        path = self.path(sha256)
        known = _read(path, filename, self._root)
        if known is not None:
            return known, path
        try:
            with fs.publish_stream(path, root=self._root) as stream:
                return _unpack(archive, filename, stream), path
        except FaultError:
            return check_wheel(archive, filename=filename), None


def unpacked_contents(manifest: WheelManifest, unpacked: Path) -> Contents:
    """The content of a judged wheel, out of what was unpacked: to be held against what was found when it was judged.

    Raises `IntegrityError` (`record-hash`), there or from a stream, where it cannot be read.
    """
    with _told(unpacked):
        return _Unpacked(unpacked, manifest)


def is_whole(path: Path) -> bool:
    """Whether every member of an unpacked wheel is as it was judged. Raises `OSError`."""
    root = path.parents[1]
    manifest = _read(path, None, root)
    if manifest is None:
        return False
    places = _places(manifest)
    with fs.open_regular(path, root=root) as stream:
        return all(_is_intact(stream.fileno(), member, places[member.path]) for member in manifest.members)


def _places(manifest: WheelManifest) -> dict[str, int]:
    """Where the content of each member begins: they follow each other as in the archive."""
    in_order = sorted(manifest.members, key=lambda member: member.entry.offset)
    ends = accumulate(member.size for member in in_order)
    return {member.path: end - member.size for member, end in zip(in_order, ends, strict=True)}


class _Unpacked:
    """The content of a wheel in the store."""

    def __init__(self, path: Path, manifest: WheelManifest) -> None:
        self._path, self._places = path, _places(manifest)
        self._members = {member.path: member for member in manifest.members}
        self._stream = fs.open_regular(path, root=path.parents[1])

    def __enter__(self) -> _Unpacked:  # noqa: PYI034 - `typing.Self` is of Python 3.11
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def open(self, name: str) -> IO[bytes]:
        member, place, descriptor = self._members[name], self._places[name], self._stream.fileno()
        if member.size > _SMALL:
            return as_stream(self._blocks(member, place))
        with _told(self._path):
            return io.BytesIO(os.pread(descriptor, member.size, place))

    def _blocks(self, member: WheelMember, place: int) -> Iterator[bytes]:
        with _told(self._path):
            yield from _blocks(self._stream.fileno(), member, place)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system refuses to read is no fault of the change: the wheel itself is there."""
    try:
        yield
    except OSError as error:
        raise IntegrityError("record-hash", f"{path} cannot be read: {error.strerror}") from error


def _is_intact(descriptor: int, member: WheelMember, place: int) -> bool:
    digest = hashlib.sha256()
    for block in _blocks(descriptor, member, place):
        digest.update(block)
    return digest.hexdigest() == member.sha256


def _blocks(descriptor: int, member: WheelMember, place: int) -> Iterator[bytes]:
    """The content, in blocks; less than there should be, where the file ends early."""
    left = member.size
    while left and (block := os.pread(descriptor, min(left, _SMALL), place)):
        place, left = place + len(block), left - len(block)
        yield block


# --- the file ---------------------------------------------------------------------------------------------------------


def _unpack(archive: Path, filename: str, stream: BinaryIO) -> WheelManifest:
    manifest = check_wheel(archive, filename=filename, keep=stream.write)
    index = json.dumps(_to_json(manifest), separators=(",", ":")).encode()
    stream.write(index)
    stream.write(len(index).to_bytes(_LENGTH, "big"))
    stream.write(hashlib.sha256(index).hexdigest().encode())
    return manifest


def _read(path: Path, filename: str | None, root: Path) -> WheelManifest | None:
    """What was found in the wheel of that name (`None`: whatever its name); `None`: there is none, or it is damaged.

    What another version of bridge judged is judged anew: its rules may have been others.
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
        return None  # It is unpacked again.


def _to_json(manifest: WheelManifest) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "version": __version__,
        "filename": manifest.filename,
        "dist_info": manifest.dist_info,
        "data_dir": manifest.data_dir,
        "metadata": asdict(manifest.metadata),
        "entry_points": [asdict(point) for point in manifest.entry_points],
        "wheel_version": manifest.wheel_version,
        "root_is_purelib": manifest.root_is_purelib,
        "tags": manifest.tags,
        "cautions": [asdict(caution) for caution in manifest.cautions],
        "members": [_member_json(member) for member in manifest.members],
    }


def _member_json(member: WheelMember) -> list[object]:
    entry, native = member.entry, member.native
    packed = (entry.compressed_size, entry.crc, entry.offset, entry.data_offset, entry.method)
    code = None if native is None else [native.system, sorted(native.subdirs)]
    return [member.path, member.sha256, member.size, member.is_executable, *packed, code]


def _from_json(document: Mapping[str, Any]) -> WheelManifest:
    metadata: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in document["metadata"].items()
    }
    return WheelManifest(
        filename=document["filename"],
        members=tuple(_member(*row) for row in document["members"]),
        dist_info=document["dist_info"],
        data_dir=document["data_dir"],
        metadata=CoreMetadata(**metadata),
        entry_points=tuple(EntryPoint(**point) for point in document["entry_points"]),
        wheel_version=document["wheel_version"],
        root_is_purelib=document["root_is_purelib"],
        tags=tuple(document["tags"]),
        cautions=tuple(Caution(**caution) for caution in document["cautions"]),
    )


def _member(
    path: str,
    sha256: str,
    size: int,
    is_executable: bool,
    compressed_size: int,
    crc: int,
    offset: int,
    data_offset: int,
    method: int,
    code: tuple[str, list[str]] | None,
) -> WheelMember:
    return WheelMember(
        path=path,
        sha256=sha256,
        size=size,
        is_executable=is_executable,
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

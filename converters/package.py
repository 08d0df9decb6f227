"""Writing a conda package, byte for byte the same wherever and whenever it is written (CEP 34, CEP 35).

A `.conda` is an uncompressed zip of `metadata.json`, `pkg-STEM.tar.zst` and `info-STEM.tar.zst`; the older `.tar.bz2`
is one tar with `info/` first. Members are sorted, owned by nobody, dated 1980-01-01 and have one of two modes, so that
equal input gives equal bytes: clock, umask, time zone, file system and the number of cores play no part; the release of
the zstd library may. Contents are streamed: memory does not grow with the package.
"""

from __future__ import annotations

import bz2
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal

import zstandard

from converters.compression import DEFAULT_LEVEL

__all__ = ["Member", "write_conda", "write_tar_bz2"]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold
_EPOCH_SECONDS = 315532800
_BLOCK = 1 << 18  # bytes given to the compressor at once
_FAR_FROM_LEVEL = 3  # below it, looking far back would take longer than all the rest
_FAR_MATCH = 256  # bytes; matches that are shorter are found better by the search for near ones
_WINDOW_LOG = 27  # 128 MiB: the largest window that decoders accept unasked
_NARROW_WINDOW_LOG = 25  # of what is larger than such a window, so that memory stays below 200 MB
_NARROW_JOB = 1 << 23
_JOB_SIZES = ((12, 1 << 24), (22, 1 << 25))  # up to a level: bytes that one thread compresses at a time
_LARGEST_OCTAL = 1 << 33  # bytes; larger sizes are written otherwise
_WIDEST = 9  # zstd's overlap of such pieces
_SMALL_ZIP = (1 << 31) - (1 << 24)  # bytes of a tar of which it is sure that its zip entry needs no 64 bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One path of a package: `open` gives a fresh stream of exactly `size` bytes; a symlink has `link` instead."""

    path: str
    size: int = 0
    open: Callable[[], BinaryIO] | None = None
    is_executable: bool = False
    link: str | None = None

    @classmethod
    def of_bytes(cls, path: str, data: bytes, *, is_executable: bool = False) -> Member:
        """A member that holds `data`."""
        return cls(path=path, size=len(data), open=lambda: io.BytesIO(data), is_executable=is_executable)


def write_conda(
    stream: BinaryIO,
    stem: str,
    info: Mapping[str, bytes] | Callable[[], Mapping[str, bytes]],
    members: Iterable[Member],
    *,
    level: int = DEFAULT_LEVEL,
    threads: int = 1,
    packed: BinaryIO | None = None,
) -> None:
    """Write `STEM.conda` to `stream`, which must be seekable.

    :param stem: `name-version-build`.
    :param info: file name below `info/` → content; or a function that gives it and is called once the payload is
        written, so that paths.json can hold what was learned from the bytes on their way.
    :param members: the payload; consumed once, written in the order of their paths.
    :param level: zstd's, 1 to 22. Level 3 and above also search 128 MiB back for repeats.
    :param threads: zstd's worker threads, 1 or more; the bytes do not depend on their number.
    :param packed: a `.conda` of the very same payload, compressed alike: its payload is copied, not compressed again.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(_entry("metadata.json"), json.dumps({"conda_pkg_format_version": 2}).encode())
        if packed is None:
            _write_part(archive, f"pkg-{stem}.tar.zst", sorted(members, key=_path), level, threads)
        else:
            _copy_part(archive, f"pkg-{stem}.tar.zst", packed)
        found = info() if callable(info) else info
        described = [Member.of_bytes(f"info/{name}", data) for name, data in found.items()]
        _write_part(archive, f"info-{stem}.tar.zst", sorted(described, key=_path), level, 1)


def write_tar_bz2(stream: BinaryIO, info: Mapping[str, bytes], members: Iterable[Member]) -> None:
    """Write a `.tar.bz2` to `stream`: `info/` first, so that it can be read without the rest. As `write_conda` else."""
    described = [Member.of_bytes(f"info/{name}", data) for name, data in info.items()]
    with bz2.BZ2File(stream, "wb") as packed:
        for block in _tar([*sorted(described, key=_path), *sorted(members, key=_path)]):
            packed.write(block)


def _path(member: Member) -> str:
    return member.path


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.compress_type = zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    entry.create_system = 3  # Unix, also where it is not
    return entry


def _write_part(archive: zipfile.ZipFile, name: str, members: Sequence[Member], level: int, threads: int) -> None:
    """One compressed tar. Its size is written into the zip afterwards; of a huge one it must be known before."""
    size = _tar_size(members)
    packer = zstandard.ZstdCompressor(compression_params=_parameters(level, threads, size))
    if size <= _SMALL_ZIP:
        with archive.open(_entry(name), "w") as out, packer.stream_writer(out, size=size, closefd=False) as packed:
            for block in _tar(members):
                packed.write(block)
        return
    with tempfile.TemporaryFile() as spool:
        with packer.stream_writer(spool, size=size, closefd=False) as packed:
            for block in _tar(members):
                packed.write(block)
        entry = _entry(name)
        entry.file_size = spool.tell()
        spool.seek(0)
        with archive.open(entry, "w", force_zip64=entry.file_size >= 1 << 31) as out:
            while block := spool.read(_BLOCK):
                out.write(block)


def _copy_part(archive: zipfile.ZipFile, name: str, packed: BinaryIO) -> None:
    with zipfile.ZipFile(packed) as other:
        source = next(entry for entry in other.infolist() if entry.filename.startswith("pkg-"))
        entry = _entry(name)
        entry.file_size = source.file_size
        is_huge = source.file_size >= 1 << 31
        with other.open(source) as content, archive.open(entry, "w", force_zip64=is_huge) as out:
            while block := content.read(_BLOCK):
                out.write(block)


def _parameters(level: int, threads: int, size: int) -> zstandard.ZstdCompressionParameters:
    """The parameters of zstd. Always with worker threads: without any the bytes would be others."""
    far: dict[Literal["enable_ldm", "ldm_min_match", "window_log", "job_size", "overlap_log"], int] = {}
    if level >= _FAR_FROM_LEVEL:
        is_huge = size > 1 << _WINDOW_LOG
        job = next(job for highest, job in _JOB_SIZES if level <= highest)
        far = {
            "enable_ldm": 1,
            "ldm_min_match": _FAR_MATCH,
            "window_log": _NARROW_WINDOW_LOG if is_huge else _WINDOW_LOG,
            "job_size": min(job, _NARROW_JOB) if is_huge else job,
            "overlap_log": _WIDEST,
        }
    return zstandard.ZstdCompressionParameters.from_level(
        level, source_size=size, threads=max(threads, 1), write_checksum=1, **far
    )


def _tar(members: Sequence[Member]) -> Iterator[bytes]:
    """A tar in blocks, none of them small but the last: many small files cost little that way."""
    waiting, length, total = [], 0, 0
    for piece in _pieces(members):
        waiting.append(piece)
        length += len(piece)
        if length >= _BLOCK:
            yield b"".join(waiting)
            waiting, total, length = [], total + length, 0
    end = 2 * tarfile.BLOCKSIZE
    end += -(total + length + end) % tarfile.RECORDSIZE
    yield b"".join((*waiting, bytes(end)))


def _pieces(members: Sequence[Member]) -> Iterator[bytes]:
    """The headers and the contents; of a content that is not as long as it says, a `ValueError`."""
    for member in members:
        yield _header(member)
        if member.link is not None:
            continue
        if member.open is None:
            raise ValueError(f"{member.path} has neither content nor a link")
        size = 0
        with member.open() as content:
            while block := content.read(_BLOCK):
                size += len(block)
                yield block
        if size != member.size:
            raise ValueError(f"{member.path} has {size} bytes, not {member.size}")
        yield bytes(-size % tarfile.BLOCKSIZE)


def _header(member: Member) -> bytes:
    path = member.path.encode("utf-8", "surrogateescape")
    if member.link is None and len(path) <= tarfile.LENGTH_NAME and member.size < _LARGEST_OCTAL:
        return _plain_header(path, member)
    header = tarfile.TarInfo(member.path)
    header.mtime = _EPOCH_SECONDS
    header.mode = 0o755 if member.is_executable else 0o644
    if member.link is not None:
        header.type = tarfile.SYMTYPE
        header.linkname = member.link
        header.mode = 0o777
    else:
        header.size = member.size
    return header.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _plain_header(path: bytes, member: Member) -> bytes:
    """The same for an ordinary file, in a tenth of the time."""
    mode = b"0000755" if member.is_executable else b"0000644"
    head = b"%b%b\0%b%011o\0%011o\0" % (path.ljust(100, b"\0"), mode, 2 * b"0000000\0", member.size, _EPOCH_SECONDS)
    tail = b"0".ljust(101, b"\0") + b"ustar  \0"
    checksum = sum(head) + sum(tail) + 8 * ord(" ")
    return (head + b"%06o\0 " % checksum + tail).ljust(tarfile.BLOCKSIZE, b"\0")


def _tar_size(members: Sequence[Member]) -> int:
    """The size of the tar that `_tar` gives."""
    size = 2 * tarfile.BLOCKSIZE
    for member in members:
        size += tarfile.BLOCKSIZE + (_in_blocks(member.size) if member.link is None else 0)
        for text in (member.path, member.link or ""):
            length = len(text.encode("utf-8", "surrogateescape"))
            if length > tarfile.LENGTH_NAME:  # a header and a content of its own, with a zero byte after it
                size += tarfile.BLOCKSIZE + _in_blocks(length + 1)
    return size + -size % tarfile.RECORDSIZE


def _in_blocks(size: int) -> int:
    return size + -size % tarfile.BLOCKSIZE

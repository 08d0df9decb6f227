"""Write conda packages reproducibly (CEP 34, CEP 35).

A `.conda` is an uncompressed zip of `metadata.json`, `pkg-STEM.tar.zst` and `info-STEM.tar.zst`; the older `.tar.bz2`
is one tar with `info/` first. Members are sorted, have no owner, the date 1980-01-01 and one of two modes, so equal
input gives equal bytes with the same release of zstd. Contents are streamed.
"""

from __future__ import annotations

import bz2
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import IO, BinaryIO, Literal

import zstandard

from converters.compression import DEFAULT_LEVEL

__all__ = ["Member", "write_conda", "write_tar_bz2"]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold
_EPOCH_SECONDS = 315532800
_BLOCK = 1 << 18  # bytes given to the compressor at once
_INFO_LEVEL = 15  # for `info/` from the default level on: 2 to 5 % smaller than at 11, and little to compress
_LONG_MATCH_LEVEL = 3  # the lowest level with long-distance matching, which dominates the time of lower ones
_LONG_MATCH = 256  # bytes; the ordinary search finds shorter matches better
_WINDOW_LOG = 27  # 128 MiB, the largest window that decoders accept by default
_NARROW_WINDOW_LOG = 25  # for tars larger than that window, to keep memory below 200 MB
_NARROW_JOB = 1 << 23
_JOB_SIZES = ((12, 1 << 24), (22, 1 << 25))  # (highest level, bytes that one thread compresses at a time)
_WIDEST = 9  # zstd's overlap of jobs
_LARGEST_OCTAL = 1 << 33  # bytes; tar headers encode larger sizes differently
_SMALL_ZIP = (1 << 31) - (1 << 24)  # bytes; the zip entry of a smaller tar surely needs no zip64
_FRAME = b"\x28\xb5\x2f\xfd\xc0\x38"  # a frame of zstd with its size in 8 bytes, no checksum, a window of 128 KiB
_RAW = 1 << 17  # bytes of a block, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A path of a package: its content is `data`, or `open` returns a new stream of exactly `size` bytes; a symlink has
    `link` instead.
    """

    path: str
    size: int = 0
    data: bytes | memoryview | None = None
    open: Callable[[], BinaryIO] | None = None
    is_executable: bool = False
    link: str | None = None

    @classmethod
    def of_bytes(cls, path: str, data: bytes, *, is_executable: bool = False) -> Member:
        """Return a member with the content `data`."""
        return cls(path=path, size=len(data), data=data, is_executable=is_executable)


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
    :param info: file name in `info/` → content; or a function that returns it, called after the payload is written, so
        that paths.json can contain hashes of the written bytes.
    :param members: the payload; consumed once, written in the order of the paths.
    :param level: zstd's, 1 to 22; from level 3 with long-distance matching over 128 MiB, where that is more than the
        window of the level. 0 does not compress: the bytes depend on no release of zstd.
    :param threads: zstd's worker threads, 1 or more; they do not change the bytes.
    :param packed: a `.conda` with an equal payload, compressed at the same level; the payload is copied from it.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(_entry("metadata.json"), json.dumps({"conda_pkg_format_version": 2}).encode())
        if packed is None:
            _write_part(archive, f"pkg-{stem}.tar.zst", sorted(members, key=_path), level, threads)
        else:
            _copy_part(archive, f"pkg-{stem}.tar.zst", packed)
        documents = info() if callable(info) else info
        described = [Member.of_bytes(f"info/{name}", data) for name, data in documents.items()]
        of_info = max(level, _INFO_LEVEL) if level >= DEFAULT_LEVEL else level
        _write_part(archive, f"info-{stem}.tar.zst", sorted(described, key=_path), of_info, 1)


def write_tar_bz2(stream: BinaryIO, info: Mapping[str, bytes], members: Iterable[Member]) -> None:
    """Write a `.tar.bz2` to `stream`, with `info/` first, so that it can be read on its own; see `write_conda`."""
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
    entry.create_system = 3  # Unix, on every system
    return entry


def _write_part(archive: zipfile.ZipFile, name: str, members: Sequence[Member], level: int, threads: int) -> None:
    """Write a compressed tar. Only a zip64 entry needs its size in advance, so only a huge tar is spooled."""
    size = _tar_size(members)
    if size <= _SMALL_ZIP:
        with archive.open(_entry(name), "w") as out:
            _compress(members, out, level, threads, size)
        return
    with tempfile.TemporaryFile() as spool:
        _compress(members, spool, level, threads, size)
        size = spool.tell()
        spool.seek(0)
        _store(archive, name, spool, size)


def _compress(members: Sequence[Member], out: IO[bytes], level: int, threads: int, size: int) -> None:
    if level == 0:
        _wrap(_pieces(members), out, size)
        return
    packer = zstandard.ZstdCompressor(compression_params=_parameters(level, threads, size))
    packed = packer.stream_writer(out, size=size, closefd=False)
    for block in _tar(members):
        packed.write(block)
    packed.flush(zstandard.FLUSH_FRAME)  # not by `with`, which after an error raises another, of missing bytes


def _wrap(pieces: Iterable[bytes | memoryview], out: IO[bytes], size: int) -> None:
    """Write a tar of `size` bytes as a zstd frame of raw blocks (RFC 8878, 3.1.1), without a copy of large pieces."""
    out.write(_FRAME + size.to_bytes(8, "little"))
    later, room = size, 0
    for piece in chain(pieces, repeat(bytes(tarfile.RECORDSIZE))):  # a tar ends with zeros
        rest = memoryview(piece)
        while rest:
            if not room:
                if not later:
                    return
                room = min(_RAW, later)
                later -= room
                out.write((room << 3 | (not later)).to_bytes(3, "little"))
            out.write(rest[:room])
            rest, room = rest[room:], max(room - len(rest), 0)


def _copy_part(archive: zipfile.ZipFile, name: str, packed: BinaryIO) -> None:
    with zipfile.ZipFile(packed) as other:
        source = next(entry for entry in other.infolist() if entry.filename.startswith("pkg-"))
        with other.open(source) as content:
            _store(archive, name, content, source.file_size)


def _store(archive: zipfile.ZipFile, name: str, content: IO[bytes], size: int) -> None:
    entry = _entry(name)
    entry.file_size = size
    with archive.open(entry, "w", force_zip64=size >= 1 << 31) as out:
        while block := content.read(_BLOCK):
            out.write(block)


def _parameters(level: int, threads: int, size: int) -> zstandard.ZstdCompressionParameters:
    """Return zstd's parameters. Bytes depend on whether there are worker threads, so the size decides that."""
    window = zstandard.ZstdCompressionParameters.from_level(level, source_size=size).window_log
    far: dict[Literal["enable_ldm", "ldm_min_match", "window_log", "job_size", "overlap_log"], int] = {}
    if size <= 1 << window:  # the ordinary search sees all of it, and a job has as much
        threads = 0
    elif level >= _LONG_MATCH_LEVEL:
        is_huge = size > 1 << _WINDOW_LOG
        job = next(job for highest, job in _JOB_SIZES if level <= highest)
        far = {
            "enable_ldm": 1,
            "ldm_min_match": _LONG_MATCH,
            "window_log": _NARROW_WINDOW_LOG if is_huge else _WINDOW_LOG,
            "job_size": min(job, _NARROW_JOB) if is_huge else job,
            "overlap_log": _WIDEST,
        }
    return zstandard.ZstdCompressionParameters.from_level(
        level, source_size=size, threads=threads, write_checksum=1, **far
    )


def _tar(members: Sequence[Member]) -> Iterator[bytes]:
    """Yield a tar in large blocks, which is faster for many small files."""
    waiting: list[bytes | memoryview] = []
    length, total = 0, 0
    for piece in _pieces(members):
        waiting.append(piece)
        length += len(piece)
        if length >= _BLOCK:
            yield b"".join(waiting)
            waiting, total, length = [], total + length, 0
    end = 2 * tarfile.BLOCKSIZE
    end += -(total + length + end) % tarfile.RECORDSIZE
    yield b"".join((*waiting, bytes(end)))


def _pieces(members: Sequence[Member]) -> Iterator[bytes | memoryview]:
    """Yield headers and contents. Raises `ValueError` if a content does not have the stated size."""
    for member in members:
        yield _header(member)
        if member.link is not None:
            continue
        size = 0
        if member.data is not None:
            size = len(member.data)
            yield member.data
        elif member.open is None:
            raise ValueError(f"{member.path} has neither a content nor a link")
        else:
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
    """Return the header of a regular file with a short path; ten times faster than `tarfile`."""
    mode = b"0000755" if member.is_executable else b"0000644"
    head = b"%b%b\0%b%011o\0%011o\0" % (path.ljust(100, b"\0"), mode, 2 * b"0000000\0", member.size, _EPOCH_SECONDS)
    tail = b"0".ljust(101, b"\0") + b"ustar  \0"
    checksum = sum(head) + sum(tail) + 8 * ord(" ")
    return (head + b"%06o\0 " % checksum + tail).ljust(tarfile.BLOCKSIZE, b"\0")


def _tar_size(members: Sequence[Member]) -> int:
    """Return the size of the tar that `_tar` yields."""
    size = 2 * tarfile.BLOCKSIZE
    for member in members:
        size += tarfile.BLOCKSIZE + (_in_blocks(member.size) if member.link is None else 0)
        for text in (member.path, member.link or ""):
            length = len(text.encode("utf-8", "surrogateescape"))
            if length > tarfile.LENGTH_NAME:  # stored in an extra member, with a trailing zero byte
                size += tarfile.BLOCKSIZE + _in_blocks(length + 1)
    return size + -size % tarfile.RECORDSIZE


def _in_blocks(size: int) -> int:
    return size + -size % tarfile.BLOCKSIZE

"""Writing a conda package, byte for byte the same wherever and whenever it is written (CEP 34, CEP 35).

A `.conda` is an uncompressed zip of `metadata.json`, `pkg-STEM.tar.zst` and `info-STEM.tar.zst`; the older `.tar.bz2`
is one tar with `info/` first. Members are sorted, owned by nobody, dated 1980-01-01 and have one of two modes, so that
equal input gives equal bytes: clock, umask, time zone and file system play no part. Contents are streamed: memory does
not grow with the package.
"""

from __future__ import annotations

import bz2
import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Literal, cast

import zstandard

__all__ = ["Member", "write_conda", "write_tar_bz2"]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip can hold
_EPOCH_SECONDS = 315532800
DEFAULT_LEVEL = 3
_WINDOW_LOG = 27  # 128 MiB: the largest window that decoders accept unasked


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
    threads: int = 0,
) -> None:
    """Write `STEM.conda` to `stream`, which must be seekable.

    :param stem: `name-version-build`.
    :param info: file name below `info/` → content; or a function that gives it and is called once the payload is
        written, so that paths.json can hold what was learned from the bytes on their way.
    :param members: the payload; consumed once, written in the order of their paths.
    :param level: zstd's, 1 to 22. Level 9 and above also search 128 MiB back for repeats.
    :param threads: zstd worker threads; 0 compresses in this thread. The bytes do not depend on a count above 0.
    """
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        _write_part(archive, "metadata.json", [], level, 0, plain=json.dumps({"conda_pkg_format_version": 2}).encode())
        _write_part(archive, f"pkg-{stem}.tar.zst", sorted(members, key=_path), level, threads)
        found = info() if callable(info) else info
        described = [Member.of_bytes(f"info/{name}", data) for name, data in found.items()]
        _write_part(archive, f"info-{stem}.tar.zst", sorted(described, key=_path), level, 0)


def write_tar_bz2(stream: BinaryIO, info: Mapping[str, bytes], members: Iterable[Member]) -> None:
    """Write a `.tar.bz2` to `stream`: `info/` first, so that it can be read without the rest. As `write_conda` else."""
    described = [Member.of_bytes(f"info/{name}", data) for name, data in info.items()]
    with bz2.BZ2File(stream, "wb") as packed:
        _write_tar(cast("BinaryIO", packed), [*sorted(described, key=_path), *sorted(members, key=_path)])


def _path(member: Member) -> str:
    return member.path


def _write_part(
    archive: zipfile.ZipFile,
    name: str,
    members: list[Member],
    level: int,
    threads: int,
    *,
    plain: bytes | None = None,
) -> None:
    entry = zipfile.ZipInfo(name, date_time=_EPOCH)
    entry.compress_type = zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    entry.create_system = 3  # Unix, also where it is not
    if plain is not None:
        archive.writestr(entry, plain)
        return
    # A zip entry needs its size before its data: the compressed tar goes through a spool, not through memory.
    with tempfile.SpooledTemporaryFile(max_size=1 << 24) as spool:
        compressor = zstandard.ZstdCompressor(compression_params=_parameters(level, threads))
        with compressor.stream_writer(spool, closefd=False) as packed:
            _write_tar(cast("BinaryIO", packed), members)
        entry.file_size = spool.tell()
        spool.seek(0)
        with archive.open(entry, "w", force_zip64=entry.file_size >= 1 << 31) as out:
            while block := spool.read(1 << 20):
                out.write(block)


def _parameters(level: int, threads: int) -> zstandard.ZstdCompressionParameters:
    far: dict[Literal["enable_ldm", "window_log"], int] = {}
    if level >= 9:
        far = {"enable_ldm": 1, "window_log": _WINDOW_LOG}
    return zstandard.ZstdCompressionParameters.from_level(level, threads=threads, write_checksum=1, **far)


def _write_tar(stream: BinaryIO, members: list[Member]) -> None:
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        for member in members:
            header = tarfile.TarInfo(member.path)
            header.mtime = _EPOCH_SECONDS
            header.mode = 0o755 if member.is_executable else 0o644
            if member.link is not None:
                header.type = tarfile.SYMTYPE
                header.linkname = member.link
                header.mode = 0o777
                tar.addfile(header)
                continue
            if member.open is None:
                raise ValueError(f"{member.path} has neither content nor a link")
            header.size = member.size
            with member.open() as content:
                tar.addfile(header, content)

"""Publish files atomically: cache entries, and output files of the user's choice.

The content is written to a temporary file in the same directory, which is then renamed (POSIX `rename`).
"""

from __future__ import annotations

import hashlib
import io
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bridge.errors import OwnershipError
from bridge.faults import failpoint, faults
from bridge.fs import system
from bridge.fs.regular import open_directory
from bridge.fs.system import os

__all__ = ["publish_file", "publish_stream", "remove_regular"]

_BLOCK = 1 << 20  # bytes copied at a time
_BUFFER = 1 << 16  # bytes written at a time: the system takes half of the time that it takes for 8 KiB
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _File(io.FileIO):
    """A file whose failed writes raise a `FaultError` with its path."""

    refusals: faults

    def write(self, data: object, /) -> int:
        with self.refusals:
            return super().write(data)  # type: ignore[arg-type] # any buffer, as FileIO.write takes


@contextmanager
def _place(path: Path, root: Path | None) -> Iterator[tuple[int, str, int | None]]:
    """Yield a descriptor of the parent directory, the file's name in it, and the mode that an output file has."""
    mode = None
    with faults(path):
        if root is None:
            target = Path(os.path.realpath(path))
            if target.exists():
                mode = stat.S_IMODE(target.stat().st_mode) & 0o777
                if not target.is_file():
                    raise OwnershipError("path-special", f"{path} exists and is no regular file; it is not replaced")
            directory, name = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), target.name
        else:
            directory, name = open_directory(path.parent, root=root, make=True), path.name
    try:
        yield directory, name, mode
    finally:
        os.close(directory)


@contextmanager
def publish_stream(
    path: Path, *, mode: int = 0o644, sync: bool = False, root: Path | None = None, time: int | None = None
) -> Iterator[BinaryIO]:
    """Open a seekable stream whose content replaces `path` when the block ends.

    If the block raises, or the process dies, `path` is unchanged. `mode` is subject to the umask; an output file that
    exists keeps its own. With `sync` the
    content is synced before the rename.

    :param root: `None` for an output file of the user's choice: a symlink at `path` is followed, and the directory must
        exist. Otherwise `path` is a file of bridge's own below `root`, such as a cache entry: missing directories are
        created, no symlink is followed, and a symlink, pipe or device at `path` is replaced.
    :param time: the modification time, in seconds; by default now.
    :raises OwnershipError: `path-special` if, without `root`, `path` is a directory or a device.
    """
    refusals = faults(path)
    with _place(path, root) as (directory, name, kept):
        temporary = f".{os.urandom(8).hex()}.bridge-tmp"
        with refusals:
            raw = _File(os.open(temporary, _NEW, mode, dir_fd=directory), "r+b")
        raw.refusals = refusals
        stream = io.BufferedRandom(raw, _BUFFER)
        try:
            with refusals:
                if kept is not None and system.HAS_MODES:
                    os.fchmod(raw.fileno(), kept)
                failpoint("cache.tmp_created")
            yield stream
            with refusals:
                stream.flush()
                failpoint("cache.verified")
                if sync:
                    os.fsync(raw.fileno())
                if time is not None:
                    os.utime(raw.fileno(), (time, time))
                stream.close()
                os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(Exception):
                raw.close()
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        with refusals:
            if sync:
                os.fsync(directory)
            failpoint("cache.published")


def publish_file(
    path: Path,
    blocks: Iterable[bytes] | BinaryIO,
    *,
    mode: int = 0o644,
    sync: bool = False,
    root: Path | None = None,
) -> str:
    """Write `blocks` to `path` atomically, and return their sha256. Parameters and errors as `publish_stream`."""
    digest = hashlib.sha256()
    read = getattr(blocks, "read", None)
    with publish_stream(path, mode=mode, sync=sync, root=root) as stream:
        for block in iter(lambda: read(_BLOCK), b"") if read else blocks:
            digest.update(block)
            stream.write(block)
            with faults(path):
                failpoint("cache.chunk_written")
    return digest.hexdigest()


def remove_regular(path: Path, *, root: Path) -> None:
    """Remove `path` below `root` unless it is a directory; a missing path is no error."""
    with faults(path), suppress(FileNotFoundError):
        directory = open_directory(path.parent, root=root)
        try:
            os.unlink(path.name, dir_fd=directory)
        finally:
            os.close(directory)

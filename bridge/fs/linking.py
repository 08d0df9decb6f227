"""New files that share their content with a file of the cache: by cloned blocks, or as another name of one inode.

*Clones* (`FICLONERANGE`: btrfs, XFS) are files of their own: the file system copies a block when one of them is
written to. *Hard links* are not: what one environment writes, all others see. The file in the cache is therefore
checked before each use. Its modification time is a function of its content's sha256, so a write, which moves that time,
is noticed, and the file replaced by a new one.
"""

from __future__ import annotations

import errno
import stat
import struct
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, final

from bridge.errors import FaultError
from bridge.faults import failpoint, faults
from bridge.fs import WritableTree, make_directories, write_file
from bridge.fs.durability import begin_to_write
from bridge.fs.fingerprint import Fingerprint
from bridge.fs.system import ioctl, os

__all__ = ["BLOCK", "LinkMode", "SharedFiles", "clone_file", "copy_file", "stamp_of"]

LinkMode = Literal["auto", "clone", "copy", "hardlink"]

BLOCK = 4096
"""Bytes to which the content of a file is aligned that members are cloned from."""

_CLONE_RANGE = 0x4020940D  # FICLONERANGE, ioctl_ficlonerange(2)
_RANGE = struct.Struct("=qQQQ")  # source, its offset, length, offset in the new file
_CANNOT = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EBADF}
_NEVER_BEFORE = 1_000_000_000  # stamps are seconds between September 2001 and September 2020
_STAMPS = 600_000_000
_LARGE = 1 << 20  # bytes that the disk takes longer to write than the system to begin with it
_MANY = 1000  # names of one inode; NTFS allows 1,024


def stamp_of(sha256: str) -> int:
    """Return the modification time, in seconds, of a cached file with this content."""
    return _NEVER_BEFORE + int(sha256[:12], 16) % _STAMPS


def clone_file(tree: WritableTree, path: str, source: int, place: int, size: int, *, mode: int) -> bool:
    """Create the file `path` with `size` bytes of the open file `source` from `place` on, without copying them.

    :param place: a multiple of `BLOCK`; the last block of `source` that is needed must be whole.

    `False`, and there is no file, if the file system cannot. Raises as `write_file`.
    """

    def fill(descriptor: int) -> bool:
        ioctl(descriptor, _CLONE_RANGE, _RANGE.pack(source, place, size + -size % BLOCK, 0))
        os.ftruncate(descriptor, size)
        return True

    return _make_file(tree, path, fill, mode)


def copy_file(
    tree: WritableTree, path: str, source: int, place: int, size: int, *, mode: int, is_synced: bool = False
) -> bool:
    """Create the file `path` with `size` bytes of the open file `source` from `place` on, copied by the system.

    That takes half of the time of reading and writing them. `False`, and there is no file, if the system cannot, or
    `source` ends before. Raises as `write_file`.

    :param is_synced: a sync will follow, so the disk begins at once to write a large file.
    """

    def fill(descriptor: int) -> bool:
        position, end = place, place + size
        while position < end:
            copied = os.sendfile(descriptor, source, position, end - position)
            if not copied:
                return False
            position += copied
            failpoint("stage.file_write")
        if is_synced and size >= _LARGE:
            begin_to_write(descriptor)
        return True

    return _make_file(tree, path, fill, mode)


def _make_file(tree: WritableTree, path: str, fill: Callable[[int], bool], mode: int) -> bool:
    """Create a file that the system fills; `False`, and there is none, if it cannot, or `fill` says so."""
    if sys.platform != "linux":
        return False
    descriptor = tree.open_new(path)
    try:
        with faults(tree.root, path):
            try:
                failpoint("stage.file_open")
                is_filled = fill(descriptor)
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)
            failpoint("stage.file_done")
    except BaseException as error:
        is_removed = False
        with suppress(Exception):
            tree.unlink(path)
            is_removed = True
        if is_removed and isinstance(error, FaultError) and error.objects.get("errno") in _CANNOT:
            return False
        raise
    if not is_filled:
        tree.unlink(path)
    return is_filled


@final
class SharedFiles:
    """One file for each content and mode, in a directory of the cache, of which environments get further names.

    There are no directories below it: they would be opened and closed for nearly every file.
    """

    def __init__(self, directory: Path) -> None:
        make_directories(directory)
        self._tree = WritableTree(directory)

    def close(self) -> None:
        self._tree.close()

    def place(
        self, tree: WritableTree, path: str, content: Callable[[], Iterable[bytes]], expected: Fingerprint
    ) -> str | None:
        """Create `path` as a name of the cached file with the expected content and mode, which is made if missing.

        :param content: called only if there is no such file yet, or somebody wrote to it.

        Return the sha256 of the content, which differs from the expected one if `content` did; then, as if the file
        system has no hard links (`None`), there is no file. Raises as `write_file`.
        """
        sha256, mode = expected.sha256 or "", expected.mode or 0o644
        name = f"{sha256}-{mode:o}"
        if not self._is_unchanged(name, expected):
            status = self._make(name, content(), expected)
            if status != sha256:
                return status
        with faults(tree.root, path):
            failpoint("stage.file_open")
        while not self._tree.link(name, tree, path, make=True):
            # An inode has a limited number of names: ext4 gives 65,000, which empty files of 100 environments reach.
            if not self._has_many_names(name):
                return None
            status = self._make(name, content(), expected)
            if status != sha256:
                return status
        with faults(tree.root, path):
            failpoint("stage.file_done")
        return sha256

    def _is_unchanged(self, name: str, expected: Fingerprint) -> bool:
        status = self._tree.lstat(name)
        return (
            status is not None
            and stat.S_ISREG(status.st_mode)
            and stat.S_IMODE(status.st_mode) == (expected.mode or 0o644)
            and status.st_size == expected.size
            and status.st_mtime == stamp_of(expected.sha256 or "")
            and status.st_uid == os.geteuid()
        )

    def _has_many_names(self, name: str) -> bool:
        status = self._tree.lstat(name)
        return status is not None and status.st_nlink >= _MANY

    def _make(self, name: str, content: Iterable[bytes], expected: Fingerprint) -> str | None:
        """Write the file beside its place, and rename it there: environments keep the inode that was there before."""
        temporary = f".{os.urandom(8).hex()}.bridge-tmp"
        written = write_file(self._tree, temporary, content, mode=expected.mode or 0o644)
        if written.sha256 != expected.sha256:
            self._tree.unlink(temporary)
            return written.sha256
        self._tree.set_time(temporary, stamp_of(written.sha256 or ""))
        self._tree.rename(temporary, self._tree, name)
        return written.sha256

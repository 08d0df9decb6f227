"""All writes to a prefix, a cache or an output file: no other module of bridge changes the disk.

* Below a prefix, paths are walked from an open directory without following symlinks (`WritableTree`). A new path is
  always a new inode; an existing one is never opened for writing.
* Cache entries and output files are published atomically (`publish_file`, `publish_stream`).
* Every function raises `FaultError` if the system refuses (`bridge.faults`, which also names the failpoints).
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from bridge.errors import OwnershipError
from bridge.faults import failpoint, faults
from bridge.fs.durability import Durability, sync
from bridge.fs.fingerprint import Fingerprint
from bridge.fs.publish import publish_file, publish_stream, remove_regular
from bridge.fs.regular import (
    SmallFiles,
    check_regular,
    hash_regular,
    lstat_regular,
    open_regular,
    read_content,
    read_regular,
)
from bridge.fs.removal import is_kept_open, remove_tree
from bridge.fs.system import os, try_lock
from bridge.fs.tree import Absence, Tree, fingerprint

__all__ = [
    "Absence",
    "Durability",
    "SmallFiles",
    "Tree",
    "WritableTree",
    "failpoint",
    "fingerprint",
    "hash_regular",
    "is_kept_open",
    "lstat_regular",
    "make_directories",
    "make_directory",
    "open_regular",
    "publish_directory",
    "publish_file",
    "publish_stream",
    "read_content",
    "read_regular",
    "remove_regular",
    "remove_tree",
    "sync",
    "try_lock",
    "write_file",
    "write_symlink",
]

_BLOCK = 1 << 20  # bytes copied at a time
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}


class WritableTree(Tree):
    """A `Tree` below which paths are created, renamed and removed, never through a symlink."""

    __slots__ = ()

    def _make(self, name: str, above: int) -> None:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
            failpoint("stage.mkdir")

    def open_new(self, path: str) -> int:
        """Create a file, mode 0600 for now, and its missing parents; return a descriptor that writes.

        :raises OwnershipError: `path-exists`.
        """
        with faults(self.root, path):
            above, name = self._locate(path, make=True)
            try:
                return os.open(name, _NEW, 0o600, dir_fd=above)
            except FileExistsError:
                raise _exists(self.root, path) from None

    def symlink(self, path: str, target: str) -> None:
        """Create the symlink `path` with the text `target`, and missing parents.

        :raises OwnershipError: `path-exists`.
        """
        with faults(self.root, path):
            above, name = self._locate(path, make=True)
            try:
                os.symlink(target, name, dir_fd=above)
            except FileExistsError:
                raise _exists(self.root, path) from None

    def make_directory(self, path: str, mode: int | None = None, *, provisional: bool = False) -> bool:
        """Create the directory `path` and missing parents; `False` if it exists, with its mode unchanged.

        Without `mode` the umask decides. `provisional` creates it with the sticky bit as a mark, and no parents.
        """
        with faults(self.root, path):
            above, name = self._locate(path, make=not provisional)
            try:
                os.mkdir(name, 0o1777 if provisional else 0o777, dir_fd=above)
            except FileExistsError:
                self._directory(path)
                return False
            if mode is not None:
                os.fchmod(self._directory(path), mode)
            return True

    def set_mode(self, path: str, mode: int) -> None:
        """Set the permission bits of the directory `path`."""
        with faults(self.root, path):
            self._trim()
            os.fchmod(self._directory(path), mode)

    def open_lock(self, path: str) -> int:
        """Open the lock file `path`, or create it in its existing directory. Does not lock."""
        with faults(self.root, path):
            above, name = self._locate(path)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o666, dir_fd=above)
            try:
                check_regular(os.fstat(descriptor), self.root / path)
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor

    def append(self, path: str, data: bytes, *, sync: bool) -> None:
        """Append to a log of bridge's own, created if missing. On failure a part may have been written."""
        with faults(self.root, path):
            above, name = self._locate(path)
            descriptor = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644, dir_fd=above)
            try:
                _write(descriptor, data)
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def rename(self, path: str, target: WritableTree, target_path: str) -> None:
        """Rename `path` to `target_path` below `target`, replacing a file or symlink. Creates no parents."""
        with faults(target.root, target_path):
            above, name = self._locate(path)
            target_above, target_name = target._locate(target_path, beside=path if target is self else "")
            os.rename(name, target_name, src_dir_fd=above, dst_dir_fd=target_above)

    def link(self, path: str, target: WritableTree, target_path: str, *, make: bool = False) -> bool:
        """Hard-link the file or symlink `path` to `target_path` below `target`; `False` if the file system cannot.

        :param make: create missing parents of `target_path`.
        :raises OwnershipError: with `make`: `path-exists`.
        """
        with faults(target.root, target_path):
            above, name = self._locate(path)
            target_above, target_name = target._locate(target_path, make=make, beside=path if target is self else "")
            try:
                os.link(name, target_name, src_dir_fd=above, dst_dir_fd=target_above, follow_symlinks=False)
            except OSError as error:
                if make and error.errno == errno.EEXIST:
                    raise _exists(target.root, target_path) from None
                if error.errno not in _NO_LINKS:
                    raise
                return False
            return True

    def set_time(self, path: str, seconds: int) -> None:
        """Set access and modification time of the file `path`."""
        with faults(self.root, path):
            above, name = self._locate(path)
            os.utime(name, (seconds, seconds), dir_fd=above, follow_symlinks=False)

    def unlink(self, path: str) -> None:
        """Remove the file or symlink `path`."""
        with faults(self.root, path):
            above, name = self._locate(path)
            os.unlink(name, dir_fd=above)

    def remove_directory(self, path: str) -> bool:
        """Remove the directory `path`; `False` if it is not empty, no directory, or missing."""
        self.forget(path)
        with faults(self.root, path):
            try:
                above, name = self._locate(path)
                os.rmdir(name, dir_fd=above)
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno not in _NOT_EMPTY | {errno.ENOTDIR}:
                    raise
                return False
            return True


def _exists(root: Path, path: str) -> OwnershipError:
    message = f"{path} already exists, and existing files are never overwritten"
    return OwnershipError("path-exists", message, context=(f"below: {root}",), objects={"path": path})


@contextmanager
def _opened(root: Path | WritableTree) -> Iterator[WritableTree]:
    if isinstance(root, WritableTree):
        yield root
    else:
        with WritableTree(root) as tree:
            yield tree


def _blocks(blocks: Iterable[bytes] | BinaryIO) -> Iterable[bytes]:
    read = getattr(blocks, "read", None)
    return iter(lambda: cast("bytes", read(_BLOCK)), b"") if read else blocks


def _write(descriptor: int, block: bytes) -> None:
    """Write all of `block`: `write(2)` may take less."""
    if not block or (written := os.write(descriptor, block)) == len(block):
        return
    view = memoryview(block)[written:]
    while view:
        view = view[os.write(descriptor, view) :]


def write_file(
    root: Path | WritableTree, path: str, blocks: Iterable[bytes] | BinaryIO, *, mode: int = 0o644
) -> Fingerprint:
    """Write a new file below `root`, create missing parents, and return its fingerprint.

    `mode` is set regardless of the umask. To write many files, pass a `WritableTree`. On failure the file is removed.

    :raises OwnershipError: `path-exists`; `path-symlink` or `path-not-directory` on the way.
    :raises UnsafeInputError: `path-escape`.
    """
    if not isinstance(root, WritableTree):
        with WritableTree(root) as tree:
            return write_file(tree, path, blocks, mode=mode)
    descriptor = root.open_new(path)
    try:
        written = _fill(descriptor, blocks, faults(root.root, path), mode)
    except BaseException:
        with suppress(Exception):
            root.unlink(path)
        raise
    if path.endswith(".pyc"):
        failpoint("pyc.one")
    return written


def _fill(descriptor: int, blocks: Iterable[bytes] | BinaryIO, refusals: faults, mode: int) -> Fingerprint:
    """Write the blocks and the mode, and close. Errors of `blocks` itself pass unchanged."""
    try:
        with refusals:
            failpoint("stage.file_open")
        if isinstance(blocks, tuple):  # in memory: nearly every file
            with refusals:
                digest, size = _write_all(descriptor, blocks)
        else:
            digest, size = hashlib.sha256(), 0
            for block in _blocks(blocks):
                digest.update(block)
                size += len(block)
                with refusals:
                    _write(descriptor, block)
                    failpoint("stage.file_write")
        with refusals:
            os.fchmod(descriptor, mode)
    finally:
        with refusals:
            os.close(descriptor)
    with refusals:
        failpoint("stage.file_done")
    return Fingerprint(kind="file", sha256=digest.hexdigest(), size=size, mode=mode)


def _write_all(descriptor: int, blocks: tuple[bytes, ...]) -> tuple[hashlib._Hash, int]:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
        _write(descriptor, block)
        failpoint("stage.file_write")
    return digest, size


def write_symlink(root: Path | WritableTree, path: str, target: str) -> Fingerprint:
    """Create the symlink `path` below `root` with the text `target`, and missing parents. Raises as `write_file`."""
    with _opened(root) as tree:
        tree.symlink(path, target)
    return Fingerprint(kind="symlink", link=target)


def make_directory(root: Path | WritableTree, path: str, *, mode: int | None = None) -> Fingerprint:
    """Make the directory `path` below `root` unless it is there; missing parents are made. Raises as `write_file`."""
    with _opened(root) as tree:
        tree.make_directory(path, mode)
    return Fingerprint(kind="directory", mode=mode)


def make_directories(path: Path) -> tuple[Path, ...]:
    """Create the directory `path` and its missing parents, kept on failure; return those created, outermost first."""
    with faults(path), suppress(FileNotFoundError):
        os.stat(path)  # Refuse a path that is too long before creating a part of it.
    missing: list[Path] = []
    while not path.is_dir() and path != path.parent:
        missing.append(path)
        path = path.parent
    made: list[Path] = []
    for directory in reversed(missing):
        with faults(directory), suppress(FileExistsError):
            os.mkdir(directory)
            made.append(directory)
    return tuple(made)


def publish_directory(path: Path, target: Path) -> bool:
    """Rename the directory `path` to `target`; `False` if that exists and is no empty directory."""
    with faults(target):
        try:
            os.rename(path, target)
        except OSError as error:
            if error.errno not in _NOT_EMPTY | {errno.ENOTDIR}:
                raise
            return False
        return True

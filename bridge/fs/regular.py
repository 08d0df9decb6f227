"""Read files that somebody else may have replaced: regular files only, reached without following a symlink.

A cache, or bridge's own directory in an environment, may contain a symlink, a pipe or a device instead of a file:
opening a pipe blocks, a device may have no end, a symlink leads outside. These functions open each directory below a
trusted root with `O_NOFOLLOW`, and accept only regular files owned by this account, root, or the owner of the trusted
root (CWE-59, CWE-61).
"""

from __future__ import annotations

import errno
import hashlib
import stat
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bridge.fs import system
from bridge.fs.system import effective_user, os
from bridge.fs.tree import BELOW, check_content

__all__ = [
    "SmallFiles",
    "check_regular",
    "hash_regular",
    "lstat_regular",
    "open_directory",
    "open_regular",
    "read_content",
    "read_regular",
]

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 1 << 20  # bytes read at a time
_MOST = 256 << 20  # bytes of a file that is read into memory
_MOST_OPEN = 16  # directories that a process keeps open


def open_directory(path: Path, *, root: Path, make: bool = False) -> int:
    """Return a descriptor of the directory `path`, which is `root` or below it.

    :param root: a directory of the user's choice; it may be reached through symlinks.
    :param make: create missing directories, `root` included.
    :raises OSError: the system refused; `ELOOP` or `ENOTDIR` for a symlink or a file on the way, `EACCES` for a
        directory of another account.
    """
    parts = path.relative_to(root).parts
    if ".." in parts:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    if make:
        with suppress(FileNotFoundError):
            os.stat(root)  # Refuse a path that is too long before creating a part of it.
        os.makedirs(root, exist_ok=True)
    descriptor = os.open(root, _ROOT)
    owners = _trusted_owners(descriptor)
    try:
        for part in parts:
            below = _step(part, descriptor, make=make)
            os.close(descriptor)
            descriptor = below
            _check_owner(os.fstat(descriptor), owners, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _step(name: str, above: int, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)
    try:
        return os.open(name, BELOW, dir_fd=above)
    except OSError as error:
        # Linux reports ENOTDIR for a symlink, other systems ELOOP.
        if error.errno == errno.ENOTDIR and stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


def _trusted_owners(descriptor: int) -> frozenset[int]:
    return frozenset({0, effective_user(), os.fstat(descriptor).st_uid})


def _check_owner(status: os.stat_result, owners: frozenset[int], path: Path | str) -> None:
    if status.st_uid not in owners:
        raise OSError(errno.EACCES, "it belongs to another account", str(path))


def open_regular(path: Path, *, root: Path) -> BinaryIO:
    """Return an unbuffered stream of the regular file `path` below `root`.

    :raises OSError: as `open_directory`; `ELOOP` for a symlink, `EISDIR` for a directory, `ENXIO` for a pipe, a socket
        or a device.
    """
    directory = open_directory(path.parent, root=root)
    try:
        owners = frozenset({0, effective_user(), os.stat(root).st_uid})
        descriptor, _ = _open_file(path.name, directory, owners, path)
    finally:
        os.close(directory)
    return open(descriptor, "rb", buffering=0)


def _open_file(name: str, directory: int, owners: frozenset[int], path: Path | str) -> tuple[int, os.stat_result]:
    check_regular(os.stat(name, dir_fd=directory, follow_symlinks=False), path)
    descriptor = os.open(name, _READ, dir_fd=directory)
    try:
        status = os.fstat(descriptor)
        check_regular(status, path)  # It may have been replaced since.
        _check_owner(status, owners, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def check_regular(status: os.stat_result, path: Path | str) -> None:
    """Raise `OSError`, as `open_regular`, unless `status` is that of a regular file."""
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        code = {stat.S_IFLNK: errno.ELOOP, stat.S_IFDIR: errno.EISDIR}.get(kind, errno.ENXIO)
        raise OSError(code, os.strerror(code), str(path))


def lstat_regular(path: Path, *, root: Path) -> os.stat_result:
    """Return the `stat` of a regular file below `root`. Raises as `open_regular`."""
    with open_regular(path, root=root) as stream:
        return os.fstat(stream.fileno())


def read_regular(path: Path, *, root: Path, limit: int = _MOST) -> bytes:
    """Return the content of the regular file `path` below `root`.

    :param limit: bytes; a sparse file may claim any size.
    :raises OSError: as `open_regular`; `EFBIG` for a file larger than `limit`.
    """
    with open_regular(path, root=root) as stream:
        return _content(stream.fileno(), os.fstat(stream.fileno()), limit, path)


def _content(descriptor: int, status: os.stat_result, limit: int, path: Path | str) -> bytes:
    if status.st_size > limit:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
    blocks, left = [], limit + 1
    while left > 0 and (block := os.read(descriptor, min(left, _BLOCK))):
        blocks.append(block)
        left -= len(block)
    return b"".join(blocks)


class SmallFiles:
    """Reads many files `path/DIRECTORY/NAME`, in half of the time of `read_regular`: the process keeps `path` open.

    Not on Windows, where nobody could remove it meanwhile.
    """

    def __init__(self, path: Path, *, root: Path) -> None:
        self._path, self._root = path, root

    def read_regular(self, directory: str, name: str) -> bytes:
        """Return the content of a regular file. Raises as `read_regular`."""
        if system.RENAMES_IN_USE:
            with suppress(PermissionError):  # The owner of the root may be another one now.
                return _opened(self._path, self._root).read_regular(directory, name)
        return read_regular(self._path / directory / name, root=self._root)


class _Opened:
    """An open directory, until nothing refers to it. Raises `OSError` as `open_directory`."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._owners = frozenset({0, effective_user(), os.stat(root).st_uid})
        self._descriptor = open_directory(path, root=root)
        weakref.finalize(self, os.close, self._descriptor)
        self.identity = _identity(os.fstat(self._descriptor))

    def read_regular(self, directory: str, name: str) -> bytes:
        path = f"{self._path}/{directory}/{name}"
        below = _step(directory, self._descriptor, make=False)
        try:
            _check_owner(os.fstat(below), self._owners, path)
            descriptor, status = _open_file(name, below, self._owners, path)
        finally:
            os.close(below)
        try:
            return _content(descriptor, status, _MOST, path)
        finally:
            os.close(descriptor)


_open: dict[tuple[Path, Path], _Opened] = {}
_changing = threading.Lock()


def _opened(path: Path, root: Path) -> _Opened:
    """Return the open directory that is at `path` now; the least lately opened one of too many is let go."""
    known = _open.get((path, root))
    if known is None or known.identity != _identity(os.stat(path, follow_symlinks=False)):
        known = _Opened(path, root)
        with _changing:
            _open.pop((path, root), None)
            _open[path, root] = known
            if len(_open) > _MOST_OPEN:
                del _open[next(iter(_open))]
    return known


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_dev, status.st_ino, status.st_uid


def read_content(path: Path, *, limit: int | None = None) -> bytes:
    """Return the content of a regular file of an environment. Symlinks are followed: an environment may consist of
    them.

    :param limit: bytes.
    :raises OSError: `EISDIR` for a directory, `ENXIO` for a pipe, a socket or a device, `EFBIG` for a file that is
        larger than `limit` or mostly a hole.
    """
    check_regular(os.stat(path), path)
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as stream:
        status = os.fstat(stream.fileno())
        check_regular(status, path)  # It may have been replaced since.
        check_content(status)
        if limit is not None and status.st_size > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return stream.read()


def hash_regular(path: Path, *, root: Path) -> str:
    """Return the sha256 of the regular file `path` below `root`, in lower-case hex.

    :raises OSError: as `open_regular`; `EFBIG` for a file that is mostly a hole: it may claim any size.
    """
    digest = hashlib.sha256()
    with open_regular(path, root=root) as stream:
        check_content(os.fstat(stream.fileno()))
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()

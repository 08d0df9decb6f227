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
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from bridge.fs.system import effective_user, os
from bridge.fs.tree import BELOW, check_content

__all__ = [
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


def _check_owner(status: os.stat_result, owners: frozenset[int], path: Path) -> None:
    if status.st_uid not in owners:
        raise OSError(errno.EACCES, "it belongs to another account", str(path))


def open_regular(path: Path, *, root: Path) -> BinaryIO:
    """Return an unbuffered stream of the regular file `path` below `root`.

    :raises OSError: as `open_directory`; `ELOOP` for a symlink, `EISDIR` for a directory, `ENXIO` for a pipe, a socket
        or a device.
    """
    directory = open_directory(path.parent, root=root)
    try:
        check_regular(os.stat(path.name, dir_fd=directory, follow_symlinks=False), path)
        descriptor = os.open(path.name, _READ, dir_fd=directory)
    finally:
        os.close(directory)
    stream = open(descriptor, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
    try:
        status = os.fstat(descriptor)
        check_regular(status, path)  # It may have been replaced since.
        _check_owner(status, frozenset({0, effective_user(), os.stat(root).st_uid}), path)
    except BaseException:
        stream.close()
        raise
    return stream


def check_regular(status: os.stat_result, path: Path) -> None:
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
        if os.fstat(stream.fileno()).st_size > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        blocks, left = [], limit + 1
        while left > 0 and (block := stream.read(min(left, _BLOCK))):
            blocks.append(block)
            left -= len(block)
        return b"".join(blocks)


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

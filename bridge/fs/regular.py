"""Reading files that somebody else may have replaced: regular files only, reached without following a symlink.

A cache, and bridge's own directory in an environment, may hold a symlink, a named pipe or a device in place of a file.
Opening a pipe waits for a writer, a device may be read without end, and a symlink leads to a file outside. So these
functions open each directory below a trusted root with `O_NOFOLLOW`, accept regular files only, and accept an owner
only if it is this account, root, or the owner of the trusted root (CWE-59, CWE-61).
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

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
    """A descriptor of the directory `path`, which is `root` or lies below it.

    :param root: a directory that the person chose; it may itself be reached through symlinks.
    :param make: make missing directories, `root` included.
    :raises OSError: the system refused; `ELOOP` or `ENOTDIR` where a symlink or a file lies on the way; `EACCES`
        where a directory belongs to another account.
    """
    parts = path.relative_to(root).parts
    if ".." in parts:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    if make:
        with suppress(FileNotFoundError):
            os.stat(root)  # A path that is too long is refused before a part of it is made.
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
        # Linux says ENOTDIR of a symlink, others ELOOP.
        if error.errno == errno.ENOTDIR and stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from None
        raise


def _trusted_owners(descriptor: int) -> frozenset[int]:
    return frozenset({0, os.geteuid(), os.fstat(descriptor).st_uid})


def _check_owner(found: os.stat_result, owners: frozenset[int], path: Path) -> None:
    if found.st_uid not in owners:
        raise OSError(errno.EACCES, "it belongs to another account", str(path))


def open_regular(path: Path, *, root: Path) -> BinaryIO:
    """An unbuffered stream of the regular file `path`, which lies below `root`.

    :raises OSError: as `open_directory`; `ELOOP` for a symlink, `EISDIR` for a directory, `ENXIO` for a pipe, a
        socket or a device.
    """
    directory = open_directory(path.parent, root=root)
    try:
        check_regular(os.stat(path.name, dir_fd=directory, follow_symlinks=False), path)
        descriptor = os.open(path.name, _READ, dir_fd=directory)
    finally:
        os.close(directory)
    stream = open(descriptor, "rb", buffering=0)  # noqa: SIM115 - the caller closes it
    try:
        found = os.fstat(descriptor)
        check_regular(found, path)  # It may have been replaced since.
        _check_owner(found, frozenset({0, os.geteuid(), os.stat(root).st_uid}), path)
    except BaseException:
        stream.close()
        raise
    return stream


def check_regular(found: os.stat_result, path: Path) -> None:
    """Raise `OSError` unless `found` is of a regular file; as `open_regular`."""
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        code = {stat.S_IFLNK: errno.ELOOP, stat.S_IFDIR: errno.EISDIR}.get(kind, errno.ENXIO)
        raise OSError(code, os.strerror(code), str(path))


def lstat_regular(path: Path, *, root: Path) -> os.stat_result:
    """The `stat` of a regular file below `root`. Raises as `open_regular`."""
    with open_regular(path, root=root) as stream:
        return os.fstat(stream.fileno())


def read_regular(path: Path, *, root: Path, limit: int = _MOST) -> bytes:
    """The content of the regular file `path` below `root`.

    :param limit: bytes; a sparse file may claim any size.
    :raises OSError: as `open_regular`; `EFBIG` where the file is larger than `limit`.
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
    """The content of a regular file of an environment. Symlinks are followed: an environment may be made of them.

    :param limit: bytes.
    :raises OSError: `EISDIR` where `path` is a directory, `ENXIO` a pipe, a socket or a device; `EFBIG` where the file
        is larger than `limit`, or most of it is a hole.
    """
    check_regular(os.stat(path), path)
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0) as stream:
        found = os.fstat(stream.fileno())
        check_regular(found, path)  # It may have been replaced since.
        check_content(found)
        if limit is not None and found.st_size > limit:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return stream.read()


def hash_regular(path: Path, *, root: Path) -> str:
    """The sha256 of the regular file `path` below `root`, as lower-case hex.

    :raises OSError: as `open_regular`; `EFBIG` where most of the file is a hole: it may claim any size, and an archive
        has none.
    """
    digest = hashlib.sha256()
    with open_regular(path, root=root) as stream:
        check_content(os.fstat(stream.fileno()))
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()

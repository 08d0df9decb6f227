"""Removing whole trees: by directory descriptors, by several threads, and past files that NFS keeps open."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.faults import failpoint, faults
from bridge.fs.tree import BELOW

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["is_kept_open", "remove_tree"]

_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}
_REMOVERS = 8  # threads
_DEEPEST = 100  # directories held open at once while a tree is removed
_KEPT_OPEN = re.compile(r"\.(?:nfs|fuse_hidden)[0-9A-Fa-f.]{4,}\Z")


def is_kept_open(name: str) -> bool:
    """Whether a file of this name is one that was removed, and that NFS or FUSE keeps while a process has it open."""
    return _KEPT_OPEN.match(name) is not None


def remove_tree(path: Path) -> bool:
    """Remove `path` and what lies below; symlinks are removed, not followed. That it is not there is no error.

    Returns `False` where all that is left are files that NFS or FUSE keeps, under names of its own, until the processes
    that have them open end (`is_kept_open`), and the directories they lie in.

    Directories that their owner may not write are made writable first. Many files in one directory go by several
    threads: where freeing blocks waits for the device, eight removed 4,000 files in a tenth of the time of one.

    :raises FaultError: the system refused; some of it may be gone.
    """
    with faults(path), suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return True
        above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - only who removes much needs it

            with ThreadPoolExecutor(_REMOVERS) as pool:
                _remove_below(path.name, above, pool)
            return _remove_emptied(path.name, above)
        finally:
            os.close(above)
    return True


def _remove_emptied(name: str, above: int) -> bool:
    """Remove an emptied directory; `False` where only files that are kept open are left in it."""
    try:
        os.rmdir(name, dir_fd=above)
    except OSError as error:
        if error.errno not in _NOT_EMPTY or not _holds_kept_open(name, above):
            raise
        return False
    return True


def _holds_kept_open(name: str, above: int) -> bool:
    descriptor = os.open(name, BELOW, dir_fd=above)
    try:
        with os.scandir(descriptor) as found:
            entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        return all(
            _holds_kept_open(entry, descriptor) if is_directory else is_kept_open(entry)
            for entry, is_directory in entries
        )
    finally:
        os.close(descriptor)


def _remove_below(name: str, above: int, pool: ThreadPoolExecutor, *, top: int | None = None, depth: int = 0) -> None:
    """Empty a directory. What lies deeper than `_DEEPEST` is moved up to `top` first: no nesting exhausts the stack."""
    try:
        descriptor = os.open(name, BELOW, dir_fd=above)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=above)
        descriptor = os.open(name, BELOW, dir_fd=above)
    try:
        if os.fstat(descriptor).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.fchmod(descriptor, 0o700)
        seen: list[tuple[str, bool]] = []
        while True:
            with os.scandir(descriptor) as found:
                entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
            if entries == seen:
                return  # only what is kept open is left
            seen = entries
            for entry in (entry for entry, is_directory in entries if is_directory):
                if depth >= _DEEPEST and top is not None:
                    os.chmod(entry, 0o700, dir_fd=descriptor)
                    os.rename(entry, f"deep-{os.urandom(8).hex()}", src_dir_fd=descriptor, dst_dir_fd=top)
                    continue
                _remove_below(entry, descriptor, pool, top=descriptor if top is None else top, depth=depth + 1)
                _remove_emptied(entry, descriptor)
            files = [entry for entry, is_directory in entries if not is_directory]
            if len(files) < 4 * _REMOVERS:
                _unlink_each(files, descriptor)
            else:
                list(pool.map(_unlink_each, [files[n::_REMOVERS] for n in range(_REMOVERS)], [descriptor] * _REMOVERS))
            if top is not None or not entries:
                return  # only at the top something may have been moved in meanwhile
    finally:
        os.close(descriptor)


def _unlink_each(names: Iterable[str], above: int) -> None:
    for name in names:
        failpoint("clean.one")
        try:
            os.unlink(name, dir_fd=above)
        except OSError as error:
            if error.errno != errno.EBUSY or not is_kept_open(name):
                raise

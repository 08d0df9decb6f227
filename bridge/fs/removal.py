"""Remove directory trees by descriptor, with several threads, and past files that NFS or Windows keeps."""

from __future__ import annotations

import errno
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.faults import failpoint, faults
from bridge.fs import system
from bridge.fs.system import os
from bridge.fs.tree import BELOW
from converters.deferred import regex

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["is_kept_open", "remove_tree"]

_NOT_EMPTY = {errno.ENOTEMPTY, errno.EEXIST}
_REMOVERS = 8  # threads
_MOST_OPEN = 16  # removed directories, before the next one is removed
_DEEPEST = 100  # directories held open at once while a tree is removed
_KEPT_OPEN = regex(r"\.(?:nfs|fuse_hidden|bridge_hidden)[0-9A-Fa-f.]{4,}\Z")


def is_kept_open(name: str) -> bool:
    """Whether a name is that of a removed file which NFS or FUSE keeps while a process has it open."""
    return _KEPT_OPEN.match(name) is not None


def remove_tree(path: Path) -> bool:
    """Remove `path` and everything below it, without following symlinks; a missing path is no error.

    Return `False` if only files remain that NFS or FUSE keeps until the processes that opened them end
    (`is_kept_open`), and their directories. Directories that their owner may not write are made writable first. Several
    threads share the files of a directory: where freeing blocks waits for the device, eight removed 4,000 files in a
    tenth of the time. A directory's blocks are freed when it is closed, which these threads do as well.

    :raises FaultError: the system refused; some of it may be gone.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - it imports logging; most commands remove no tree

    with faults(path), suppress(FileNotFoundError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)
            return True
        above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with ThreadPoolExecutor(_REMOVERS) as pool:
                remover = _Remover(pool)
                try:
                    return remover.remove(path.name, above)
                finally:
                    remover.close()
        finally:
            os.close(above)
    return True


def _entries(descriptor: int) -> list[tuple[str, bool]]:
    """The names in a directory, and whether each is a directory."""
    with os.scandir(descriptor) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]


def _holds_kept_open(name: str, above: int) -> bool:
    descriptor = os.open(name, BELOW, dir_fd=above)
    try:
        return all(
            _holds_kept_open(entry, descriptor) if is_directory else is_kept_open(entry)
            for entry, is_directory in _entries(descriptor)
        )
    finally:
        os.close(descriptor)


class _Remover:
    """Removes directories, with threads of a pool. What is open when its name goes is freed when it is closed."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._removed: list[int] = []

    def remove(self, name: str, above: int, *, top: int | None = None, depth: int = 0) -> bool:
        """Remove a directory; `False` if only files that are kept open remain in it. Call `close` at the end.

        Directories below `_DEEPEST` levels are first moved up to `top`: nesting cannot exhaust the stack.
        """
        try:
            descriptor = os.open(name, BELOW, dir_fd=above)
        except PermissionError:
            os.chmod(name, 0o700, dir_fd=above)
            descriptor = os.open(name, BELOW, dir_fd=above)
        try:
            if os.fstat(descriptor).st_mode & stat.S_IRWXU != stat.S_IRWXU:
                os.fchmod(descriptor, 0o700)
            self._empty(descriptor, top, depth)
        except BaseException:
            os.close(descriptor)
            raise
        if not system.RENAMES_IN_USE:
            os.close(descriptor)  # Windows removes no directory that is open.
            return _remove_emptied(name, above)
        self._removed.append(descriptor)
        if len(self._removed) >= _MOST_OPEN:
            self.close()
        return _remove_emptied(name, above)

    def close(self) -> None:
        """Close what was removed, all at once."""
        removed, self._removed = self._removed, []
        count = min(_REMOVERS, len(removed))
        list(self._pool.map(_close_each, [removed[number::count] for number in range(count)]))

    def _unlink(self, names: Sequence[str], above: int) -> None:
        """Remove files; they are not held open, for an NFS client would keep them under another name."""
        count = min(_REMOVERS, len(names))
        if count < 2:
            _unlink_each(names, above)
        else:
            list(self._pool.map(_unlink_each, [names[number::count] for number in range(count)], [above] * count))

    def _empty(self, descriptor: int, top: int | None, depth: int) -> None:
        seen: list[tuple[str, bool]] = []
        while True:
            entries = _entries(descriptor)
            if entries == seen:
                return  # only files that are kept open remain
            seen = entries
            for entry in (entry for entry, is_directory in entries if is_directory):
                if depth >= _DEEPEST and top is not None:
                    os.chmod(entry, 0o700, dir_fd=descriptor)
                    os.rename(entry, f"deep-{os.urandom(8).hex()}", src_dir_fd=descriptor, dst_dir_fd=top)
                    continue
                self.remove(entry, descriptor, top=descriptor if top is None else top, depth=depth + 1)
            self._unlink([entry for entry, is_directory in entries if not is_directory], descriptor)
            if top is not None or not entries:
                return  # directories are moved up to the top level only


def _remove_emptied(name: str, above: int) -> bool:
    """Remove an emptied directory; `False` if only files that are kept open remain in it."""
    try:
        os.rmdir(name, dir_fd=above)
    except OSError as error:
        if error.errno not in _NOT_EMPTY or not _holds_kept_open(name, above):
            raise
        return False
    return True


def _close_each(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _unlink_each(names: Iterable[str], above: int) -> None:
    for name in names:
        failpoint("clean.one")
        try:
            os.unlink(name, dir_fd=above)
        except OSError as error:
            if error.errno != errno.EBUSY or not is_kept_open(name):
                raise

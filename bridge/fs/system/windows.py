"""`WindowsCalls`: the functions of `os` that `bridge.fs` uses, with their POSIX meaning, over Windows' calls.

Windows has no directory descriptors, so a table gives numbers to paths. What differs is mended here:

* A directory on the way that is a symlink or a junction is refused, as `O_NOFOLLOW` does.
* Names that Windows reserves or changes in silence (`aux.txt`, `name.`, `a:b`) are refused. They could be made with
  extended paths, and no other program could open or delete them.
* A virus scanner or an indexer opens new files for a moment: refusals for that reason are tried again.
* A file in use cannot be deleted, but renamed: it gets a hidden name, as NFS and FUSE do it (`is_kept_open`).
* A program that runs cannot be replaced by a rename. There are no hard links here, so a transaction moves the old file
  away first, which Windows allows.
* Directories cannot be synced, and files have no POSIX permissions.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

__all__ = ["Kernel", "WindowsCalls", "is_reserved"]

_T = TypeVar("_T")

_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³])\s*(?:\.|\Z)", re.IGNORECASE)
_UNFIT = re.compile(r'[<>:"|?*\\/\x00-\x1f]|[. ]\Z')
_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION = 5, 32, 33
_IN_USE = frozenset({_SHARING_VIOLATION, _LOCK_VIOLATION})
_DELAYS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds between attempts: 1.6 together
_FIRST = 1 << 24  # of the numbers for directories, above every descriptor
_HIDDEN = ".bridge_hidden"
_LINKS = frozenset({0xA0000003, 0xA000000C})  # reparse tags of junctions and symlinks


class Kernel(Protocol):
    """What `WindowsCalls` asks of Windows. Paths are absolute and extended; errors are `OSError` with `winerror`."""

    def absolute(self, path: str) -> str: ...
    def open(self, path: str, flags: int, mode: int) -> int: ...
    def mkdir(self, path: str) -> None: ...
    def rmdir(self, path: str) -> None: ...
    def unlink(self, path: str) -> None: ...
    def replace(self, path: str, target: str) -> None: ...
    def symlink(self, target: str, path: str) -> None: ...
    def readlink(self, path: str) -> str: ...
    def lstat(self, path: str) -> os.stat_result: ...
    def stat(self, path: str) -> os.stat_result: ...
    def scandir(self, path: str) -> AbstractContextManager[Iterator[os.DirEntry[str]]]: ...
    def make_writable(self, path: str) -> None: ...
    def utime(self, path: str, times: tuple[float, float]) -> None: ...
    def sleep(self, seconds: float) -> None: ...


def is_reserved(name: str) -> bool:
    """Whether Windows cannot have a file of this name, or would give it another one."""
    return _UNFIT.search(name) is not None or _DEVICES.match(name) is not None


class WindowsCalls:
    """See the module. Everything that is not defined here is Python's own `os`."""

    # Bits above those of Windows' own flags, for the meanings that it does not have.
    O_DIRECTORY: int = getattr(os, "O_DIRECTORY", 1 << 25)
    O_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 1 << 26)
    O_CLOEXEC: int = getattr(os, "O_CLOEXEC", 1 << 27)
    O_NONBLOCK: int = getattr(os, "O_NONBLOCK", 1 << 28)

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._directories: dict[int, str] = {}
        self._next = _FIRST
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever `os` has
        return getattr(os, name)

    # --- descriptors --------------------------------------------------------------------------------------------------

    def open(self, path: str | os.PathLike[str], flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        native = self._native(path, dir_fd, is_new=bool(flags & os.O_CREAT))
        follows = not flags & self.O_NOFOLLOW
        if not follows and (status := self._status(native)) is not None and _is_link(status):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), native)
        if flags & self.O_DIRECTORY:
            status = self._kernel.stat(native) if follows else self._kernel.lstat(native)
            if not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), native)
            return self._enter(native)
        plain = flags & ~(self.O_DIRECTORY | self.O_NOFOLLOW | self.O_CLOEXEC | self.O_NONBLOCK)
        return self._patiently(lambda: self._kernel.open(native, plain, mode))

    def close(self, descriptor: int) -> None:
        with self._lock:
            if self._directories.pop(descriptor, None) is not None:
                return
        os.close(descriptor)

    def fstat(self, descriptor: int) -> os.stat_result:
        path = self._directories.get(descriptor)
        return os.fstat(descriptor) if path is None else self._kernel.lstat(path)

    def fsync(self, descriptor: int) -> None:
        if descriptor not in self._directories:
            try:
                os.fsync(descriptor)
            except OSError as error:
                # `FlushFileBuffers` needs a file that was opened for writing.
                if error.errno not in {errno.EBADF, errno.EACCES}:
                    raise

    def fchmod(self, descriptor: int, mode: int) -> None:
        """Do nothing: Windows derives from the name what is a program."""

    def chmod(self, path: str | os.PathLike[str], mode: int, *, dir_fd: int | None = None) -> None:
        """Do nothing, as `fchmod`."""

    def scandir(self, path: int | str | os.PathLike[str]) -> AbstractContextManager[Iterator[os.DirEntry[str]]]:
        return self._kernel.scandir(self._directories[path] if isinstance(path, int) else self._native(path, None))

    # --- names --------------------------------------------------------------------------------------------------------

    def stat(
        self, path: str | os.PathLike[str], *, dir_fd: int | None = None, follow_symlinks: bool = True
    ) -> os.stat_result:
        native = self._native(path, dir_fd)
        return self._kernel.stat(native) if follow_symlinks else self._kernel.lstat(native)

    def lstat(self, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> os.stat_result:
        return self.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def mkdir(self, path: str | os.PathLike[str], mode: int = 0o777, *, dir_fd: int | None = None) -> None:  # noqa: ARG002
        native = self._native(path, dir_fd, is_new=True)
        self._patiently(lambda: self._kernel.mkdir(native))

    def rmdir(self, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
        native = self._native(path, dir_fd)
        status = self._kernel.lstat(native)
        if _is_link(status) or not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), native)
        self._patiently(lambda: self._kernel.rmdir(native))

    def rename(
        self,
        path: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
    ) -> None:
        """Rename, replacing a file or, with a directory, an empty directory (which `MoveFileExW` refuses)."""
        old, new = self._native(path, src_dir_fd), self._native(target, dst_dir_fd, is_new=True)
        is_directory = stat.S_ISDIR(self._kernel.lstat(old).st_mode)
        there = self._status(new)
        if is_directory and there is not None and old.casefold() != new.casefold():
            if not stat.S_ISDIR(there.st_mode) or _is_link(there):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), new)
            self._patiently(lambda: self._kernel.rmdir(new))
        self._patiently(lambda: self._kernel.replace(old, new))

    replace = rename

    def link(self, *_: object, **__: object) -> None:
        """Refuse: a linked file that runs could not be replaced by a rename; without a link it is moved away."""
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    def unlink(self, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
        native = self._native(path, dir_fd)
        try:
            self._patiently(lambda: self._unlink(native), _DELAYS[:3])
        except OSError as error:
            # A file that runs gives the same answer as one that access lists protect; only the first can be renamed.
            if error.errno not in {errno.EBUSY, errno.EACCES}:
                raise
            if self._is_hidden(native):
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), native) from error
            directory = native.rpartition("\\")[0]
            self._kernel.replace(native, f"{directory}\\{_HIDDEN}{os.urandom(6).hex()}")

    remove = unlink

    def symlink(self, target: str, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
        native = self._native(path, dir_fd, is_new=True)
        self._kernel.symlink(target.replace("/", "\\"), native)

    def readlink(self, path: str | os.PathLike[str], *, dir_fd: int | None = None) -> str:
        return self._kernel.readlink(self._native(path, dir_fd)).replace("\\", "/")

    def access(
        self,
        path: str | os.PathLike[str],
        mode: int,  # noqa: ARG002
        *,
        dir_fd: int | None = None,
        effective_ids: bool = False,  # noqa: ARG002
    ) -> bool:
        """Whether the path exists: access lists decide the rest, when something is written."""
        return self._status(self._native(path, dir_fd)) is not None

    def utime(
        self,
        path: str | os.PathLike[str],
        times: tuple[float, float],
        *,
        dir_fd: int | None = None,
        follow_symlinks: bool = True,  # noqa: ARG002 - only files are given times
    ) -> None:
        native = self._native(path, dir_fd)
        self._patiently(lambda: self._kernel.utime(native, times))

    # --- below --------------------------------------------------------------------------------------------------------

    def _native(self, path: str | os.PathLike[str], directory: int | None, *, is_new: bool = False) -> str:
        text = os.fspath(path)
        if directory is None:
            return self._kernel.absolute(text)
        above = self._directories[directory]
        if text == ".":
            return above
        if is_new and is_reserved(text):
            raise OSError(errno.EINVAL, "Windows cannot have a file of this name", text)
        return f"{above}\\{text}"

    def _enter(self, path: str) -> int:
        with self._lock:
            self._next += 1
            self._directories[self._next] = path
            return self._next

    def _status(self, path: str) -> os.stat_result | None:
        try:
            return self._kernel.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _unlink(self, path: str) -> None:
        try:
            self._kernel.unlink(path)
        except PermissionError as error:
            if getattr(error, "winerror", None) != _ACCESS_DENIED:
                raise
            self._kernel.make_writable(path)  # Windows deletes no file that is marked as read-only.
            self._kernel.unlink(path)

    @staticmethod
    def _is_hidden(path: str) -> bool:
        return path.rpartition("\\")[2].startswith(_HIDDEN)

    def _patiently(self, call: Callable[[], _T], delays: Sequence[float] = _DELAYS) -> _T:
        """Make a call, and again for a while if another process has the file open.

        Raises `OSError` (`EBUSY`) if it still has. Access that is denied is tried again too: that is what a file which
        is being deleted gives.
        """
        for delay in delays:
            try:
                return call()
            except PermissionError as error:
                if getattr(error, "winerror", None) not in _IN_USE | {_ACCESS_DENIED}:
                    raise
            self._kernel.sleep(delay)
        try:
            return call()
        except PermissionError as error:
            if getattr(error, "winerror", None) in _IN_USE:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), error.filename) from error
            raise


def _is_link(status: os.stat_result) -> bool:
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) in _LINKS

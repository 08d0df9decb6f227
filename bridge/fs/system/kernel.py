"""Windows' own calls, in the few forms that `WindowsCalls` needs. Nothing here can run on another system."""

from __future__ import annotations

import ctypes
import errno
import ntpath
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_msvcrt: Any
try:
    import msvcrt as _msvcrt
except ModuleNotFoundError:  # Tests load this module on other systems.
    _msvcrt = None

__all__ = ["Win32", "extended", "try_lock"]

_LOCK_SHARED, _LOCK_EXCLUSIVE, _FAIL_IMMEDIATELY = 0, 2, 1
_LOCK_PLACE = 0x4000_0000  # high half of the offset: locks are mandatory, so no byte of a file's content is locked
_LOCK_VIOLATION = 33


def extended(path: str) -> str:
    r"""Return an absolute path in the form that has no limit of 260 characters: `\\?\C:\…`, `\\?\UNC\SERVER\SHARE\…`.

    Windows takes names in this form as they are: `/`, `.` and `..` must be resolved before.
    """
    path = ntpath.normpath(path)
    if path.startswith("\\\\?\\"):
        return path
    return "\\\\?\\UNC\\" + path[2:] if path.startswith("\\\\") else "\\\\?\\" + path


class Win32:
    """`Kernel` by the functions of Python's `os`, which call `CreateFileW`, `MoveFileExW` and so on."""

    def absolute(self, path: str) -> str:
        return extended(os.path.abspath(path))

    def open(self, path: str, flags: int, mode: int) -> int:
        binary: int = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
        return os.open(path, flags | binary, mode)

    def mkdir(self, path: str) -> None:
        os.mkdir(path)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def replace(self, path: str, target: str) -> None:
        os.replace(path, target)

    def symlink(self, target: str, path: str) -> None:
        os.symlink(target, path)

    def readlink(self, path: str) -> str:
        return os.readlink(path).removeprefix("\\\\?\\")

    def lstat(self, path: str) -> os.stat_result:
        return os.lstat(path)

    def stat(self, path: str) -> os.stat_result:
        return os.stat(path)

    @contextmanager
    def scandir(self, path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with os.scandir(path) as entries:
            yield entries

    def make_writable(self, path: str) -> None:
        os.chmod(path, 0o600)

    def utime(self, path: str, times: tuple[float, float]) -> None:
        os.utime(path, times)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def try_lock(descriptor: int, *, is_shared: bool, waits: bool = False) -> bool:
    """Lock one byte far behind the end of a file by `LockFileEx`; `False` if another process holds it.

    `msvcrt.locking` has no shared locks. Closing the file releases the lock, as the end of the process does.
    """
    kernel: Any = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined] # of Windows
    handle = ctypes.c_void_p(_msvcrt.get_osfhandle(descriptor))
    place = (ctypes.c_ulong * 8)()  # OVERLAPPED: two pointers, then the offset's halves, then an event
    place[2 * ctypes.sizeof(ctypes.c_void_p) // ctypes.sizeof(ctypes.c_ulong) + 1] = _LOCK_PLACE
    flags = (_LOCK_SHARED if is_shared else _LOCK_EXCLUSIVE) | (0 if waits else _FAIL_IMMEDIATELY)
    if kernel.LockFileEx(handle, flags, 0, 1, 0, ctypes.byref(place)):
        return True
    code = ctypes.get_last_error()  # type: ignore[attr-defined] # of Windows
    if code == _LOCK_VIOLATION:
        return False
    raise OSError(errno.ENOTSUP, f"LockFileEx failed with {code}")

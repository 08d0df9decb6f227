"""A machine with Windows' rules for files, over a folder of this one: the `Kernel` of `WindowsCalls`.

What is simulated, from Microsoft's documentation of `CreateFileW`, `MoveFileExW`, `DeleteFileW` and of NTFS:

* names are found in any case, and keep the case they were made with;
* a path that is not extended has at most 260 characters; `/`, `.` and `..` are plain characters in an extended one;
* a file that is open cannot be deleted, and neither renamed, unless whoever opened it shares deletion; a program that
  runs can be renamed, but not deleted or replaced;
* a directory with an open file below it cannot be renamed; one that is there cannot be replaced;
* a read-only file cannot be deleted or replaced; modes are not kept.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bridge.fs import system
from bridge.fs.system.windows import WindowsCalls

__all__ = ["Machine", "windows"]

_EXTENDED = "\\\\?\\C:"
_MODULES = (
    "bridge.fs", "bridge.fs.durability", "bridge.fs.publish", "bridge.fs.regular", "bridge.fs.removal",
    "bridge.fs.tree", "bridge.fs.linking", "bridge.transaction.guard", "bridge.transaction.sharing",
)  # fmt: skip
DENIED, SHARING, ALREADY, NOT_EMPTY = 5, 32, 183, 145


def windows(patch: pytest.MonkeyPatch) -> Machine:
    """Let bridge write by `WindowsCalls` on a simulated machine."""
    machine = Machine()
    calls = WindowsCalls(machine)
    for name in _MODULES:
        patch.setattr(f"{name}.os", calls)
    patch.setattr(system, "HAS_MODES", False)
    patch.setattr(system, "RENAMES_IN_USE", False)
    return machine


class Machine:
    """See the module. `opened` and `running` are paths, as on this machine; `slept` is in seconds."""

    def __init__(self) -> None:
        self.opened: set[Path] = set()
        self.running: set[Path] = set()
        self.read_only: set[Path] = set()
        self.slept = 0.0
        self.closes_after = float("inf")
        self._ours: dict[int, Path] = {}

    # --- the port -----------------------------------------------------------------------------------------------------

    def absolute(self, path: str) -> str:
        return _EXTENDED + os.path.abspath(path).replace("/", "\\")

    def open(self, path: str, flags: int, mode: int) -> int:
        real = self._real(path)
        if real in self.read_only and flags & (os.O_WRONLY | os.O_RDWR):
            raise _refused(DENIED, path)
        descriptor = os.open(real, flags | os.O_NOFOLLOW, 0o666)
        self._ours[descriptor] = real
        del mode
        return descriptor

    def mkdir(self, path: str) -> None:
        os.mkdir(self._real(path))

    def rmdir(self, path: str) -> None:
        os.rmdir(self._real(path))

    def unlink(self, path: str) -> None:
        real = self._real(path)
        if real in self.read_only or real in self.running:
            raise _refused(DENIED, path)
        if real in self._busy():
            raise _refused(SHARING, path)
        os.unlink(real)

    def replace(self, path: str, target: str) -> None:
        old, new = self._real(path), self._real(target)
        busy = self._busy()
        if old in busy or (old.is_dir() and any(each.is_relative_to(old) for each in {*busy, *self.running})):
            raise _refused(SHARING if old in busy else DENIED, path)
        if os.path.lexists(new) and new != old:
            if new.is_dir() or new in self.running or new in self.read_only:
                raise _refused(DENIED, target)
            if new in busy:
                raise _refused(SHARING, target)
        os.rename(old, new if new != old else new.with_name(target.rpartition("\\")[2]))
        for paths in (self.running, self.read_only):
            if old in paths:
                paths.remove(old)
                paths.add(new)

    def symlink(self, target: str, path: str) -> None:
        os.symlink(target.replace("\\", "/"), self._real(path))

    def readlink(self, path: str) -> str:
        return os.readlink(self._real(path)).replace("/", "\\")

    def lstat(self, path: str) -> os.stat_result:
        found = os.lstat(self._real(path))
        if stat.S_ISLNK(found.st_mode):
            return found
        mode = 0o777 if stat.S_ISDIR(found.st_mode) else 0o666
        parts: Any = found.__reduce__()[1]  # its ten fields, and those that only have names
        values, more = parts
        return os.stat_result((stat.S_IFMT(found.st_mode) | mode, *values[1:4], 0, 0, *values[6:]), more)

    def stat(self, path: str) -> os.stat_result:
        return os.stat(self._real(path))

    @contextmanager
    def scandir(self, path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
        with os.scandir(self._real(path)) as entries:
            yield entries

    def make_writable(self, path: str) -> None:
        self.read_only.discard(self._real(path))

    def utime(self, path: str, times: tuple[float, float]) -> None:
        os.utime(self._real(path), times)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        if self.slept >= self.closes_after:
            self.opened.clear()

    # --- what is simulated --------------------------------------------------------------------------------------------

    def _busy(self) -> set[Path]:
        """The files that are open, by others and by bridge itself."""
        for descriptor, path in list(self._ours.items()):
            try:
                same = os.path.samestat(os.fstat(descriptor), os.lstat(path))
            except OSError:
                same = False
            if not same:
                self._ours.pop(descriptor, None)  # another thread may have seen it too
        return {*self.opened, *self._ours.values()}

    def _real(self, path: str) -> Path:
        assert path.startswith(f"{_EXTENDED}\\") or len(path) < 260, f"too long, and not extended: {path}"
        names = path.removeprefix(_EXTENDED).strip("\\").split("\\")
        real = Path("/")
        for name in names:
            assert name not in {"", ".", ".."}, path
            assert "/" not in name, path
            real /= self._cased(real, name)
        return real

    @staticmethod
    def _cased(directory: Path, name: str) -> str:
        if os.path.lexists(directory / name):
            return name
        try:
            others = [other for other in os.listdir(directory) if other.casefold() == name.casefold()]
        except OSError:
            return name
        return others[0] if others else name


def _refused(code: int, path: str) -> PermissionError:
    error = PermissionError(13, "refused", path)
    error.winerror = code  # type: ignore[attr-defined] # of Windows
    return error

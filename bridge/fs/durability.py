"""Sync written data to the disk: `--durability full|batched|none`."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, final

from bridge.faults import faults
from bridge.fs.system import os
from bridge.fs.tree import Tree

__all__ = ["Durability", "EarlySync", "begin_to_write", "sync", "sync_one", "sync_renames", "sync_staged"]

Durability = Literal["full", "batched", "none"]

_BEGIN = 2  # SYNC_FILE_RANGE_WRITE


@functools.cache
def _syncfs() -> Callable[[int], int] | None:
    """The system's `syncfs(2)`, which Python does not offer; `None` if there is none (macOS)."""
    import ctypes  # noqa: PLC0415 - most commands write nothing durable

    try:
        call = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        return None
    call.argtypes, call.restype = [ctypes.c_int], ctypes.c_int
    return call


def begin_to_write(descriptor: int) -> None:
    """Let the disk begin to write a file (`sync_file_range(2)`), and do not wait: a later sync has less left to do."""
    import ctypes  # noqa: PLC0415 - as above

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).sync_file_range(descriptor, ctypes.c_int64(0), ctypes.c_int64(0), _BEGIN)


@final
class EarlySync:
    """A `syncfs` by a thread, so that the disk writes staged files while this process compares and plans.

    It replaces no later sync, which has less left to do. `end` must be called before that sync, because the system
    reports a failed write to the first call only.
    """

    def __init__(self, root: Path, durability: Durability) -> None:
        self._root, self._is_wanted = root, durability == "batched"
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def begin(self) -> None:
        """Start, if the durability is "batched"."""
        if self._is_wanted and self._thread is None and _syncfs() is not None:
            self._thread = threading.Thread(target=self._run, name="bridge-sync", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Wait for the sync that `begin` started, if any.

        :raises FaultError: it failed.
        """
        if self._thread is not None:
            self._thread.join()
            if self._error is not None:
                raise self._error

    def _run(self) -> None:
        try:
            _sync_file_system(self._root)
        except Exception as error:  # noqa: BLE001 - `end` raises it
            self._error = error


def sync(root: Path, durability: Durability) -> None:
    """Sync everything below `root` to the disk.

    "full": `fsync` each file and directory. "batched": one `syncfs` of the file system (a quarter of the time for 2,000
    files); without that call, as "full". "none": nothing.
    """
    if durability == "full" or (durability == "batched" and not _sync_file_system(root)):
        _sync_each(root)


def sync_staged(tree: Tree, directory: str, durability: Durability) -> None:
    """Sync everything below `directory`, and its parent directories."""
    if durability == "full" or (durability == "batched" and not _sync_file_system(tree.root)):
        _sync_each(tree.root / directory)
        parts = directory.split("/")
        tree.sync("/".join(parts[:end]) for end in range(len(parts)))


def sync_renames(tree: Tree, directories: Iterable[str], durability: Durability) -> None:
    """Sync the names in these directories of `tree`; the files themselves are synced already."""
    if durability == "full" or (durability == "batched" and not _sync_file_system(tree.root)):
        tree.sync(directories)


def _sync_file_system(root: Path) -> bool:
    """Call `syncfs` for the file system of `root`; `False` if there is no such call."""
    syncfs = _syncfs()
    if syncfs is None:
        return False
    with faults(root):
        descriptor = os.open(root, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if syncfs(descriptor) != 0:
                import ctypes  # noqa: PLC0415

                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code), os.fspath(root))
        finally:
            os.close(descriptor)
    return True


def _sync_each(root: Path) -> None:
    for directory, _, names in os.walk(root, topdown=False, onerror=_raise):
        for name in [*names, "."]:
            path = os.path.join(directory, name)
            with faults(path):
                if not os.path.islink(path):
                    sync_one(path)


def sync_one(path: str | Path) -> None:
    """`fsync` the file or directory `path`; if its owner may not read it, sync all file systems."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except PermissionError:
        os.sync()
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise(error: OSError) -> None:
    with faults(error.filename or ""):
        raise error

"""Guard a change: a lock per prefix, and signals deferred until the prefix is consistent.

The lock is `flock`, on Windows `LockFileEx`, on `conda-meta/.bridge/lock`: the kernel releases it when its owner dies;
the file's existence means nothing. Directories created for it carry the sticky bit until something is committed:
whoever releases the lock, or recovers, recognises and removes them by that mark alone.
"""

from __future__ import annotations

import errno
import signal
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import final

from bridge.errors import BridgeError, FaultError, PrefixLockedError
from bridge.faults import failpoint, faults
from bridge.fs import Durability, Tree, WritableTree, open_regular
from bridge.fs.system import os, try_lock
from bridge.paths import META, OWN

__all__ = ["LOCK", "Interrupted", "Reserve", "Signals", "confirm", "hold", "is_held", "is_provisional"]

LOCK = f"{OWN}/lock"

_RESERVE = 16  # descriptors: three trees with two directories each, a journal, and depth
_POLL = 0.02  # seconds between two attempts to take the lock
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(BaseException):
    """A signal arrived during a change. Raised to undo it; never leaves `Signals`."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum


@final
class Signals:
    """Defer SIGINT, SIGTERM and SIGHUP during this context, then deliver them to their previous handlers.

    Within `interruptible()` they raise `Interrupted` at once. Ignored signals stay ignored. Outside the main thread, to
    which Python delivers signals, this does nothing.
    """

    def __init__(self) -> None:
        self.pending: int | None = None
        self._is_open = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():
            for signum in _SIGNALS:
                before = signal.getsignal(signum)
                if before not in {signal.SIG_IGN, None}:
                    self._before[signum] = before
                    signal.signal(signum, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for signum, before in self._before.items():
            signal.signal(signum, before)  # type: ignore[arg-type] # what getsignal returned
        if self.pending is None or not (error is None or isinstance(error, Interrupted)):
            return
        signal.raise_signal(self.pending)
        if error is not None:
            # The handler returned, but the interrupted work is undone and cannot continue.
            raise SystemExit(128 + self.pending) from None

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self.pending is None:
            self.pending = signum
        if self._is_open:
            self._is_open = False
            raise Interrupted(self.pending)

    def shield(self) -> None:
        """Defer signals from here on."""
        self._is_open = False

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """A block that a signal interrupts at once."""
        self.check()
        try:
            self._is_open = True
            yield
        finally:
            self._is_open = False

    def check(self) -> None:
        """Raise `Interrupted` if a signal is pending."""
        if self.pending is not None:
            raise Interrupted(self.pending)


@final
class Reserve:
    """File descriptors reserved until a change must be undone, which must not fail for want of them.

    :raises FaultError: `too-many-open-files`; nothing was changed yet.
    """

    def __init__(self, root: Path) -> None:
        self._held: list[int] = []
        try:
            with faults(root):
                for _ in range(_RESERVE):
                    self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release them; idempotent."""
        while self._held:
            os.close(self._held.pop())


def is_provisional(tree: Tree, path: str) -> bool:
    """Whether the directory `path` has the mark: it was created for a change of which nothing is committed."""
    status = tree.lstat(path)
    return status is not None and stat.S_ISDIR(status.st_mode) and bool(status.st_mode & stat.S_ISVTX)


def confirm(tree: WritableTree, durability: Durability) -> None:
    """Remove the mark: something is committed, and the directories stay."""
    for path in (META, OWN):
        status = tree.lstat(path)
        if status is not None and status.st_mode & stat.S_ISVTX:
            tree.set_mode(path, stat.S_IMODE(status.st_mode) & ~stat.S_ISVTX)
            if durability != "none":
                tree.sync([path])


@contextmanager
def hold(tree: WritableTree, timeout: float, signals: Signals) -> Iterator[Reserve]:
    """Lock the prefix `tree` for this process. A signal ends the wait of up to `timeout` seconds.

    Close the yielded reserve before undoing anything.

    :raises PrefixLockedError: another process still holds it.
    :raises FaultError: the prefix cannot be written, or its file system has no locks (`lock-unsupported`).
    """
    with closing(Reserve(tree.root)) as reserve:
        descriptor = _acquire(tree, timeout, signals, reserve)
        try:
            with faults(tree.root, LOCK):
                failpoint("lock.acquired")
            yield reserve
        finally:
            reserve.close()
            _withdraw(tree, is_ours=True)
            with suppress(OSError):  # The result does not depend on closing an empty file.
                os.close(descriptor)
                failpoint("lock.released")


def _acquire(tree: WritableTree, timeout: float, signals: Signals, reserve: Reserve) -> int:
    deadline = time.monotonic() + timeout
    while True:
        try:
            descriptor = _attempt(tree)
        except BridgeError as error:
            reserve.close()
            _withdraw(tree, is_ours=error.id == "lock-unsupported")
            raise
        if descriptor is not None:
            return descriptor
        if time.monotonic() >= deadline:
            raise PrefixLockedError(
                "prefix-locked",
                f"another process is changing {tree.root}",
                context=(f"waited {timeout:g} s for {tree.root / LOCK}",),
                hint="wait for it to end, or give it longer with --lock-timeout SECONDS",
            )
        time.sleep(_POLL)
        signals.check()


def _attempt(tree: WritableTree) -> int | None:
    """Open and lock the lock file; `None` if another process holds or is removing it."""
    tree.forget(META)
    try:
        for path in (META, OWN):
            if tree.lstat(path) is None:
                tree.make_directory(path, provisional=True)
        descriptor = tree.open_lock(LOCK)
    except FaultError as error:
        if error.objects.get("errno") != errno.ENOENT:
            raise
        return None
    try:
        if _try(tree, descriptor, is_shared=False) and _is_current(tree, descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _try(tree: Tree, descriptor: int, *, is_shared: bool) -> bool:
    try:
        return try_lock(descriptor, is_shared=is_shared)
    except OSError as error:
        raise FaultError(
            "lock-unsupported",
            f"the file system of {tree.root} does not support locks, so it cannot be changed safely",
            context=(f"system error: {os.strerror(error.errno or 0)}",),
            objects={"errno": error.errno, "path": os.fspath(tree.root / LOCK)},
        ) from error


def _is_current(tree: Tree, descriptor: int) -> bool:
    """Whether the locked file is still the one at its path: its last owner may have removed it."""
    tree.forget(META)
    current, held = tree.lstat(LOCK), os.fstat(descriptor)
    return current is not None and os.path.samestat(current, held)


def _withdraw(tree: WritableTree, *, is_ours: bool) -> None:
    """Remove what was created for the lock, if nothing is committed and nothing else was added.

    Only the lock's holder (`is_ours`) removes the lock file. What cannot be removed at the second attempt keeps the
    mark, and the next change or recovery removes it.
    """
    for _ in range(2):
        try:
            tree.forget(META)
            if is_provisional(tree, OWN):
                if is_ours and [path for path, _ in tree.entries(OWN)] == [LOCK]:
                    tree.unlink(LOCK)
                tree.remove_directory(OWN)
            if is_provisional(tree, META):
                tree.remove_directory(META)
        except BridgeError:
            continue
        return


def is_held(tree: Tree) -> bool:
    """Whether a process holds the prefix now. Creates and locks nothing; needs read access only."""
    try:
        stream = open_regular(tree.root / LOCK, root=tree.root)
    except OSError:
        return False
    with stream:
        return not _try(tree, stream.fileno(), is_shared=True)

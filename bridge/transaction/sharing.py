"""Read a prefix that others may change: the shared side of the lock that changes take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.errors import PrefixLockedError
from bridge.fs import Tree
from bridge.fs.system import os, try_lock
from bridge.transaction.guard import LOCK, is_held

__all__ = ["share"]

_POLL = 0.05  # seconds


@contextmanager
def share(prefix: Path, timeout: float) -> Iterator[None]:
    """Keep bridge from changing `prefix` during the block; many readers may share it. Writes nothing.

    A prefix that bridge never changed has no lock file, and gets none: the end of the block checks whether a change
    began.

    :param timeout: seconds to wait for a change that is under way.
    :raises PrefixLockedError: it did not end in time, or one began during the block, so that the state read may be
        mixed.
    """
    descriptor = _shared(prefix, timeout)
    try:
        yield
        if descriptor is None:
            with Tree(prefix) as tree:
                if is_held(tree):
                    raise _locked(prefix, "it began while the environment was read")
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _shared(prefix: Path, timeout: float) -> int | None:
    """Open and lock the lock file for reading; `None` if there is none, or its file system has no locks."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            descriptor = os.open(prefix / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if try_lock(descriptor, is_shared=True):
                return descriptor
        except OSError:
            os.close(descriptor)
            return None
        os.close(descriptor)
        if time.monotonic() >= deadline:
            raise _locked(prefix, f"waited {timeout:g} s for {prefix / LOCK}")
        time.sleep(_POLL)


def _locked(prefix: Path, reason: str) -> PrefixLockedError:
    return PrefixLockedError(
        "prefix-locked",
        f"another process is changing {prefix}",
        context=(reason,),
        hint="wait for it to end, or give it longer with --lock-timeout SECONDS",
    )

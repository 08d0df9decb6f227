"""Process limits (`ulimit`): reserve less where they are low, refuse where rattler would fail.

rattler's runtime panics without file descriptors, and aborts or hangs without memory, so the limits are checked before
it starts. Most address space is reserved and never used: glibc takes 64 MiB per allocating thread, a stack 8 MiB.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import threading
from contextlib import suppress

from bridge.errors import FaultError

__all__ = ["adapt", "check"]

_DESCRIPTORS = 64  # measured: rattler's runtime starts with 64 open files and panics with 32
_ADDRESSES = 160 << 20  # bytes of free address space; measured
_STACK = 1 << 20  # bytes
_M_ARENA_MAX = -8  # of glibc's malloc.h
_THREADS = ("TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS")


def adapt() -> None:
    """Reserve less address space. Call this before threads start."""
    with suppress(OSError, AttributeError):  # Only glibc has it.
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    threading.stack_size(_STACK)
    for name in _THREADS:
        os.environ.setdefault(name, "1")


def check() -> None:
    """Raise the limit of open files if needed.

    Raises `FaultError` (`too-many-open-files`, `no-memory`) where a limit is too low and may not be raised.
    """
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _is_below(limit, _DESCRIPTORS):
        if _is_below(most, _DESCRIPTORS):
            raise FaultError(
                "too-many-open-files",
                f"this process may open {most} files at a time; linking conda packages needs {_DESCRIPTORS}",
                hint="raise the limit (ulimit -n)",
                objects={"errno": errno.EMFILE},
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, most))
    space = resource.getrlimit(resource.RLIMIT_AS)[0]
    used = _used() if space != resource.RLIM_INFINITY else None
    if used is not None and _is_below(space, used + _ADDRESSES):
        raise FaultError(
            "no-memory",
            f"this process may use {space >> 20} MiB of memory; linking conda packages needs"
            f" {(used + _ADDRESSES) >> 20} MiB",
            hint="raise the limit (ulimit -v)",
            objects={"errno": errno.ENOMEM},
        )


def _is_below(limit: int, wanted: int) -> bool:
    return limit != resource.RLIM_INFINITY and limit < wanted


def _used() -> int | None:
    """Bytes of address space in use; `None` if unknown."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None

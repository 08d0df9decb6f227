"""The limits of the process (`ulimit`): what can be done with less, and what is refused before it would abort.

rattler's runtime panics where it gets no file descriptors, and ends the process, or never answers, where it gets no
memory. So the limits are looked at before it starts. Of the address space most is reserved and never used: glibc takes
64 MiB for each thread that allocates, and each thread has a stack of 8 MiB.
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

_DESCRIPTORS = 64  # open files with which rattler's runtime was seen to start; with 32 it panics
_ADDRESSES = 160 << 20  # bytes of free address space with which it was seen to work
_STACK = 1 << 20  # bytes
_M_ARENA_MAX = -8  # of glibc's malloc.h
_THREADS = ("TOKIO_WORKER_THREADS", "RAYON_NUM_THREADS")


def adapt() -> None:
    """Reserve less address space, because it is limited. To be called before threads start."""
    with suppress(OSError, AttributeError):  # Only glibc has it.
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    threading.stack_size(_STACK)
    for name in _THREADS:
        os.environ.setdefault(name, "1")


def check() -> None:
    """Refuse to start rattler's runtime where it would fail in a way that nobody can tell.

    :raises FaultError: `too-many-open-files`, `no-memory`: a limit is too low, and may not be raised.
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
    """Bytes of address space in use; `None` where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as stream:
            return int(stream.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None

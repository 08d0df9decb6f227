"""System calls that Python (before 3.12) does not offer, by ctypes. Each raises `OSError`."""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress

__all__ = ["call", "capabilities_dropped", "prctl", "syscall"]

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """Call a function of the C library. Raises `OSError` for a negative result or an unknown name."""
    function = getattr(_libc(), name, None)
    if function is None:
        raise OSError(38, f"this C library has no {name}")  # ENOSYS
    result = int(function(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: object) -> int:
    """Call the kernel by number; integers are passed as machine words."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return call("syscall", ctypes.c_long(number), *words)


def prctl(option: int, value: int = 0, *, further: object = 0) -> int:
    return call("prctl", option, ctypes.c_ulong(value), further, ctypes.c_ulong(0), ctypes.c_ulong(0))


def capabilities_dropped() -> None:
    """Drop every capability for good, in this process and its descendants; also for root."""
    for number in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError:  # past the kernel's last capability, or no permission
            break
    with suppress(OSError):  # before Linux 4.3
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    call("capset", struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), struct.pack("=6I", *[0] * 6))

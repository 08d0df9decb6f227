"""A seccomp filter (Linux 3.17 and newer) that refuses system calls a build does not need.

Keyrings are always refused; without a network namespace also sockets except `AF_UNIX`, and io_uring, which opens
sockets of its own. Source: seccomp(2), linux/bpf_common.h.
"""

from __future__ import annotations

import ctypes
import platform
import struct

from bridge.sdists.confine.kernel import PR_SET_NO_NEW_PRIVS, prctl, syscall

__all__ = ["restrict"]

# machine → (AUDIT_ARCH, call numbers of seccomp, socket, io_uring_setup, and the three keyring calls)
_MACHINES = {
    "x86_64": (0xC000003E, 317, 41, 425, (248, 249, 250)),
    "aarch64": (0xC00000B7, 277, 198, 425, (217, 218, 219)),
}
_X32 = 0x40000000  # added to the numbers of calls of x86_64's other ABI
_SET_MODE_FILTER = 1
_LOAD, _EQUAL, _GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data (little-endian)
_EPERM, _ENOSYS, _AF_UNIX = 1, 38, 1


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def restrict(*, no_network: bool) -> None:
    """Refuse keyrings, and with `no_network` every socket except `AF_UNIX`. Raises `OSError`."""
    if platform.machine() not in _MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8:
        raise OSError(_ENOSYS, f"no filter of system calls is known for {platform.machine()}")
    architecture, number, socket, io_uring, keys = _MACHINES[platform.machine()]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _ERROR | _ENOSYS),  # programs of another ABI
        (_LOAD, 0, 0, _NUMBER),
        (_GREATER_EQUAL, 0, 1, _X32),
        (_RETURN, 0, 0, _ERROR | _ENOSYS),
    ]
    for forbidden in (*keys, *((io_uring,) if no_network else ())):
        lines += [(_EQUAL, 0, 1, forbidden), (_RETURN, 0, 0, _ERROR | _ENOSYS)]
    if no_network:
        lines += [
            (_EQUAL, 0, 3, socket),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_EQUAL, 1, 0, _AF_UNIX),
            (_RETURN, 0, 0, _ERROR | _EPERM),
        ]
    lines.append((_RETURN, 0, 0, _ALLOW))
    packed = b"".join(struct.pack("=HBBI", *line) for line in lines)
    program = _Program(len(lines), packed)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall(number, _SET_MODE_FILTER, 0, ctypes.byref(program))

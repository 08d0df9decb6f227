"""Landlock (Linux 5.13 and newer): which files a process, and all that it starts, may change or read, for good."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence

from bridge.sdists.confine.kernel import PR_SET_NO_NEW_PRIVS, prctl, syscall

__all__ = ["restrict", "version"]

# linux/landlock.h: the numbers of the calls are the same on every architecture but alpha.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE = 1 << 1, 1 << 2
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # to remove, and to make, whatever kind of thing
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts")
_SHARED_MEMORY = "/dev/shm"  # POSIX semaphores are files there, which multiprocessing needs


def version() -> int:
    """The version of the kernel's Landlock; 0: it has none, or it is off."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def restrict(writable: Sequence[str], hidden: Sequence[str] = ()) -> None:
    """Let this process change files below `writable` only, and read none below `hidden`.

    Modes, owners and times can still be changed: Landlock does not govern these. From version 6 on, processes outside
    get no signals. Raises `OSError`.
    """
    known = version()
    handled = _CHANGES | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0)
    if hidden:
        handled |= _READ_FILE
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS
    attributes = struct.pack("=QQQ", handled, 0, scoped) if known >= 6 else struct.pack("=Q", handled)
    rules = syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in (*writable, _SHARED_MEMORY):
            _allow(rules, path, handled)
        for path in _DEVICES:
            _allow(rules, path, handled & (_WRITE_FILE | _TRUNCATE | _READ_FILE))
        for path in _beside(hidden) if hidden else ():
            _allow(rules, path, _READ_FILE)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        syscall(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _allow(rules: int, path: str, access: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not there, then nothing below it either
    try:
        if not os.path.isdir(path):
            access &= _WRITE_FILE | _READ_FILE | _TRUNCATE  # other rights are those of directories
        syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)


def _beside(hidden: Iterable[str]) -> Iterator[str]:
    """Paths that cover all that exists but what is hidden: rules only ever allow."""
    barred = set(hidden)
    above = {"/"}
    for path in barred:
        while (path := os.path.dirname(path)) not in above:
            above.add(path)
    for folder in above:
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            path = os.path.join(folder, name)
            if path not in barred and path not in above and not os.path.islink(path):
                yield path

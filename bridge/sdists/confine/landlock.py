"""Landlock (Linux 5.13 and newer): restrict the files that a process and its descendants may change or read."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence

from bridge.sdists.confine.kernel import PR_SET_NO_NEW_PRIVS, prctl, syscall

__all__ = ["restrict", "version"]

# linux/landlock.h: the call numbers are the same on every architecture except alpha.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _READ_FILE = 1 << 1, 1 << 2
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_CHANGES = _WRITE_FILE | sum(1 << bit for bit in range(4, 13))  # remove and create every kind of file
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "/dev/pts")
_SHARED_MEMORY = "/dev/shm"  # multiprocessing needs POSIX semaphores, which are files there


def version() -> int:
    """The kernel's Landlock version; 0 if absent or disabled."""
    try:
        return syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    except OSError:
        return 0


def restrict(writable: Sequence[str], hidden: Sequence[str] = ()) -> None:
    """Let this process change files only below `writable`, and read none below `hidden`.

    Landlock does not govern modes, owners and times. From version 6 on it blocks signals to processes outside. Raises
    `OSError`.
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
        return  # absent
    try:
        if not os.path.isdir(path):
            access &= _WRITE_FILE | _READ_FILE | _TRUNCATE  # other rights are only for directories
        syscall(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", access, descriptor), 0)
    finally:
        os.close(descriptor)


def _beside(hidden: Iterable[str]) -> Iterator[str]:
    """Paths that cover everything except `hidden`: Landlock rules can only allow."""
    barred = set(hidden)
    above = {"/"}
    for path in barred:
        while (path := os.path.dirname(path)) not in above:
            above.add(path)
    for directory in above:
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            path = os.path.join(directory, name)
            if path not in barred and path not in above and not os.path.islink(path):
                yield path

"""Where processes have no namespace: who is left of a build, whatever session it moved to, ends with it (Linux)."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

__all__ = ["end_descendants", "wait_for"]

_LONGEST = 5.0  # seconds


def wait_for(child: int) -> int:
    """Wait for one child, and for every orphan that ends meanwhile; return the child's exit status."""
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            return 1
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def end_descendants() -> None:
    """End all processes below this one. It must be a subreaper: orphans of its descendants are its children.

    A process that is stopped before it is looked at cannot start another one: so all are stopped first, again and
    again until no new one is found.
    """
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        found = _descendants()
        if not found:
            return
        for process in found:
            _send(process, signal.SIGSTOP)
        for process in _descendants():
            _send(process, signal.SIGKILL)
        _reap()


def _send(process: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


def _reap() -> None:
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def _descendants() -> list[int]:
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stream:
                    fields = stream.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] != b"Z":
                parents[int(name)] = int(fields[1])
    below = {os.getpid()}
    size = 0
    while size != len(below):
        size = len(below)
        below |= {process for process, parent in parents.items() if parent in below}
    return sorted(below - {os.getpid()})

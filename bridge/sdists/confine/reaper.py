"""End all processes of a build, whatever their session, where there is no pid namespace (Linux)."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

__all__ = ["end_descendants", "exit_status", "wait_for"]

_LONGEST = 5.0  # seconds


def wait_for(child: int) -> int:
    """Wait for one child, reaping orphans meanwhile; return its exit status."""
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            return 1
        if ended == child:
            return exit_status(status)


def exit_status(status: int) -> int:
    """The exit status of a wait status; 128 plus the signal's number for a signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def end_descendants() -> None:
    """End all descendants of this process, which must be a subreaper so that orphans become its children.

    They are stopped first, repeatedly until none is new, because a stopped process cannot fork.
    """
    deadline = time.monotonic() + _LONGEST
    while time.monotonic() < deadline:
        running = _descendants()
        if not running:
            return
        for process in running:
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

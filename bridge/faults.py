"""Faults: the `FaultError` for each refusal of the system, and failpoints that let tests cause one.

`faults` is the only place that turns an `OSError` into a `FaultError`. A failpoint is armed by
`BRIDGE_FAILPOINT=<name>[:n]=<action>` or by `arm`; it acts once, at its n-th pass (n from 1). Unarmed it costs one
comparison.
"""

from __future__ import annotations

import errno
import os
import time
from types import TracebackType

from bridge.errors import FaultError, UsageError

__all__ = ["ACTIONS", "FAILPOINTS", "arm", "failpoint", "fault", "faults"]

_GROUPS: dict[str, tuple[str, ...]] = {
    "lock": ("acquired", "released"),
    "recover": ("begin", "undo_one", "done"),
    "cache": ("tmp_created", "chunk_written", "verified", "published"),
    "plan": ("written", "synced"),
    "stage": ("mkdir", "file_open", "file_write", "file_done", "synced"),
    "journal": ("staged",),
    "swap": ("backup_one", "rename_one", "remove_one", "rmdir_one"),
    "record": ("conda_meta", "dist_info", "history"),
    "pyc": ("one",),
    "commit": ("pre_sync", "written", "synced"),
    "clean": ("one", "done"),
}
FAILPOINTS = frozenset(f"{group}.{name}" for group, names in _GROUPS.items() for name in names)
ACTIONS = frozenset({"kill", "sleep", "exit", "enospc", "eacces", "eio", "sigint", "sigterm", "sighup"})

# errno → (error id, what happened, what to do next).
_MESSAGES: dict[int, tuple[str, str, str | None]] = {
    errno.ENOSPC: ("no-space", "no space is left on the device for", "free some space and run the command again"),
    errno.EDQUOT: ("no-space", "the disk quota is used up; cannot write", "free some space and run the command again"),
    errno.EACCES: ("permission-denied", "permission denied for", "check who owns it and may write there"),
    errno.EPERM: ("permission-denied", "the system does not permit changing", "check who owns it and may write there"),
    errno.EROFS: ("read-only", "the file system is read-only; cannot change", None),
    errno.EIO: ("io-error", "the device reported an I/O error for", "check the disk before running the command again"),
    errno.ENOENT: ("not-found", "there is no", None),
    errno.EMFILE: ("too-many-open-files", "too many open files; cannot open", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("too-many-open-files", "the system has too many open files; cannot open", None),
    errno.ENAMETOOLONG: ("name-too-long", "the name is too long for the file system:", None),
    errno.EFBIG: ("file-too-large", "the file exceeds a limit of the file system or of ulimit -f:", None),
    errno.ENOMEM: ("no-memory", "the system has no memory left for", None),
    errno.EXDEV: ("cross-device", "another file system is mounted at", "an environment must be on one file system"),
    errno.EEXIST: ("exists", "already exists:", None),
    errno.ENOTEMPTY: ("exists", "the directory is not empty:", None),
    errno.ENOTDIR: ("wrong-kind", "not a directory, or not below one:", None),
    errno.EISDIR: ("wrong-kind", "a directory is in the way:", None),
    errno.ELOOP: ("wrong-kind", "a symlink is in the way:", None),
    errno.ENXIO: ("wrong-kind", "a pipe, socket or device is in place of the file", "remove it"),
    errno.EBUSY: ("busy", "in use:", "end what uses it and run the command again"),
    errno.ETXTBSY: ("busy", "in use:", "end what runs from it and run the command again"),
}


def fault(error: OSError, path: str | os.PathLike[str]) -> FaultError:
    """Return the `FaultError` for `error` at `path`. `objects`: `errno` and `path`."""
    code = error.errno or 0
    default = ("io-error", f"the system reported {os.strerror(code)!r} for", None)
    identifier, sentence, hint = _MESSAGES.get(code, default)
    return FaultError(
        identifier,
        f"{sentence} {os.fspath(path)}",
        context=(f"system error: {os.strerror(code)} ({errno.errorcode.get(code, code)})",),
        hint=hint,
        objects={"errno": code, "path": os.fspath(path)},
    )


class faults:  # noqa: N801 - it is read as a statement: `with faults(path):`
    """Context manager that turns an `OSError` with an errno into a `FaultError` about the path joined from `parts`.

    An `OSError` without errno does not come from the system (those of requests, for example) and passes unchanged.
    """

    __slots__ = ("_parts",)

    def __init__(self, *parts: str | os.PathLike[str]) -> None:
        self._parts = parts

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError) and error.errno is not None:
            raise fault(error, os.path.join(*self._parts)) from error


class _Armed:
    """The armed failpoint, and the number of passes left until it acts."""

    __slots__ = ("action", "left", "name")

    def __init__(self, name: str, left: int, action: str) -> None:
        self.name, self.left, self.action = name, left, action


_armed: _Armed | None = None
_is_unread = True  # whether BRIDGE_FAILPOINT was not read yet


def arm(text: str | None) -> None:
    """Arm the failpoint that `text` (`<name>[:n]=<action>`) describes instead of any other; `None` disarms.

    :raises UsageError: `failpoint-unknown` if the text names no failpoint or no action.
    """
    global _armed, _is_unread  # noqa: PLW0603 - one failpoint per process
    _armed, _is_unread = None, False
    if not text:
        return
    place, _, action = text.partition("=")
    name, _, count = place.partition(":")
    if name not in FAILPOINTS or action not in ACTIONS or not (count or "1").isdecimal():
        raise UsageError(
            "failpoint-unknown",
            f"BRIDGE_FAILPOINT={text!r} is not <name>[:n]=<action>",
            context=(f"names: {' '.join(sorted(FAILPOINTS))}", f"actions: {' '.join(sorted(ACTIONS))}"),
        )
    _armed = _Armed(name, int(count or "1"), action)


def failpoint(name: str) -> None:
    """Pass the failpoint `name`; act if it is armed and this is its n-th pass.

    :raises OSError: with the errno of the action.
    :raises UsageError: at the first pass in a process, if BRIDGE_FAILPOINT is invalid.
    """
    if _is_unread:
        arm(os.environ.get("BRIDGE_FAILPOINT"))
    if _armed is not None and _armed.name == name:
        _armed.left -= 1
        if _armed.left == 0:
            _act(_armed.action, name)


def _act(action: str, name: str) -> None:
    import signal  # noqa: PLC0415 - only armed runs need it

    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "sleep":
        time.sleep(float(os.environ.get("BRIDGE_FAILPOINT_SECONDS", "60")))
    elif action == "exit":
        raise SystemExit(70)
    elif action.startswith("sig"):
        signal.raise_signal(signal.Signals[action.upper()])
    else:
        code = getattr(errno, action.upper())
        raise OSError(code, os.strerror(code), name)

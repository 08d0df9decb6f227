"""Linux namespaces: a read-only view of the file system except some directories; separate processes and network.

Works for root, and for other users where unprivileged user namespaces are allowed. Sources: unshare(2),
mount_setattr(2), user_namespaces(7), pid_namespaces(7).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from bridge.sdists.confine.kernel import call, syscall

__all__ = ["enter", "isolate_files", "listening_sockets"]

_NEWNS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 1, 2, 4, 8, 4096, 16384, 1 << 18
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _ATTR_RDONLY = 442, -100, 0x8000, 1
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_RUN = "/run"
_MOST_SOCKETS = 500


def enter(*, network: bool) -> None:
    """Enter new namespaces, with the machine's `network` or none; the next child is their init. Raises `OSError`."""
    flags = _NEWNS | _NEWIPC | _NEWPID | (0 if network else _NEWNET)
    user, group = os.geteuid(), os.getegid()
    try:
        call("unshare", flags)
    except PermissionError:
        call("unshare", flags | _NEWUSER)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    if not network:
        _raise_loopback()


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _raise_loopback() -> None:
    """Activate the loopback device, which is down in a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        (flags,) = struct.unpack_from("H", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def isolate_files(writable: Sequence[str], hidden: Iterable[str], kept: Sequence[str]) -> None:
    """Make every mount except `writable` read-only, cover `hidden`, and mount a new /dev, /dev/shm and /proc.

    For the init process of a new pid namespace. /run is covered too, unless a path in `kept` is below it. Raises
    `OSError`.
    """
    _mount(None, "/", None, _REC | _PRIVATE)
    for path in writable:
        _mount(path, path, None, _BIND | _REC)
    _set_read_only("/", recursive=True)
    for path in writable:
        _set_read_only(path, recursive=False, value=False)
    _new_devices()
    _mount("proc", "/proc", "proc", _RDONLY | _NOSUID | _NODEV | _NOEXEC)
    covered = list(hidden)
    if not any(_is_below(os.path.realpath(path), _RUN) for path in (*kept, *writable)):
        covered.append(_RUN)
    for path in covered:
        _cover(path, writable)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    texts = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else options.encode()
    call("mount", *texts, ctypes.c_ulong(flags), data)


def _set_read_only(path: str, *, recursive: bool, value: bool = True) -> None:
    attributes = struct.pack("=QQQQ", _ATTR_RDONLY if value else 0, 0 if value else _ATTR_RDONLY, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    syscall(_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, attributes, len(attributes))


def _new_devices() -> None:
    """Mount a /dev with the standard devices and private shared memory."""
    sources = {name: os.open(f"/dev/{name}", os.O_PATH) for name in _DEVICES if os.path.exists(f"/dev/{name}")}
    _mount("tmpfs", "/dev", "tmpfs", _NOSUID | _NOEXEC, "mode=755,size=64k")
    for name, descriptor in sources.items():
        os.close(os.open(f"/dev/{name}", os.O_CREAT | os.O_WRONLY, 0o666))
        _mount(f"/proc/self/fd/{descriptor}", f"/dev/{name}", None, _BIND)
        os.close(descriptor)
    for directory in ("shm", "pts"):
        os.mkdir(f"/dev/{directory}")
    _mount("tmpfs", "/dev/shm", "tmpfs", _NOSUID | _NODEV, "mode=1777")
    with suppress(OSError):  # without it there are no pseudo-terminals
        _mount("devpts", "/dev/pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=0620")
        os.symlink("pts/ptmx", "/dev/ptmx")
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"/dev/{name}")
    _set_read_only("/dev", recursive=False)


def _cover(path: str, writable: Sequence[str]) -> None:
    """Cover a path with an empty directory or file."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if any(_is_below(directory, path) for directory in writable):
        return  # it contains the build's own directory
    if stat.S_ISDIR(mode):
        _mount("tmpfs", path, "tmpfs", _RDONLY | _NOSUID | _NODEV, "mode=755,size=4k")
    else:
        _mount("/dev/null", path, None, _BIND)


def listening_sockets() -> Iterator[str]:
    """The paths of services' sockets: a container service's would be a way out.

    Call this before `enter`: the kernel lists the sockets of the current network namespace.
    """
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as lines:
            paths = {line.rstrip("\n").split(maxsplit=7)[-1] for line in lines if " /" in line}
    except OSError:
        return
    for path in sorted(paths)[:_MOST_SOCKETS]:
        with suppress(OSError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                yield path

"""The names in directories, as an earlier audit listed them: for those that did not change since.

A name comes or goes only with a change of its directory's times (POSIX). Where device, inode and both times are the
same, so are the names, and need no listing: a fifth of a warm audit. Only directories on the prefix's device count, on
a file system that is known to keep these times, and that did not change in the two seconds before the walk
(`bridge.fs.unchanged`). Imports only modules of Python that a start needs anyway (`bridge.audit.look.ahead`).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping

try:  # Without OpenSSL, which `hashlib` loads for 3 ms in each process.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

__all__ = ["Listed", "blake2b", "directory_identity", "file_name", "keeps_times", "packed", "read_listed"]

Listed = Mapping[str, tuple[bytes, bytes]]
"""Directory → its identity, and the names in it, parted by NUL."""

# Not overlay: a directory shows the times of its upper layer alone, and lower ones may change while it is unmounted.
_FILE_SYSTEMS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "tmpfs"})
_DIGEST = 32  # bytes of a hash before it
_MOST = 64 << 20  # bytes of what is kept
_PARTING = b"//"  # of records: no name has a slash
_NOTHING: Listed = {}


def directory_identity(status: os.stat_result) -> bytes:
    """What a directory is now, and when it changed."""
    return b"%d %d %d %d" % (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)


def file_name(prefix: str) -> str:
    """The name of the cache's file about a prefix."""
    return f"{blake2b(os.fsencode(os.path.realpath(prefix)), digest_size=16).hexdigest()}.listed"


def packed(rows: Iterable[tuple[str, bytes, bytes]], prefix: str, is_settled: Callable[[int], bool]) -> bytes:
    """What `read_listed` reads.

    :param rows: directories, the names in them, parted by NUL, and their identities. `is_settled`: whether a time (ns)
        leaves no doubt about what was listed (`bridge.fs.unchanged`).
    """
    device = b"%d" % os.stat(prefix).st_dev
    records = []
    for directory, names, identity in rows:
        parts = identity.split()
        if parts and parts[0] == device and is_settled(max(map(int, parts[2:]))):
            records.append(b"%b\0%b\0%b" % (os.fsencode(directory), identity, names))
    body = _PARTING.join(records)
    return blake2b(body, digest_size=_DIGEST).digest() + body


def read_listed(folder: str, prefix: str) -> Listed:
    """Read the names that were kept in a folder of the cache.

    None of a file that is damaged, or that somebody else could have written.
    """
    try:
        if not keeps_times(prefix):
            return _NOTHING
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(file_name(prefix), flags, dir_fd=above)
            try:
                status = os.fstat(descriptor)
                owners = {os.fstat(above).st_uid, status.st_uid}
                if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST or not owners <= {0, os.geteuid()}:
                    return _NOTHING
                data = _content(descriptor, status.st_size)
            finally:
                os.close(descriptor)
        finally:
            os.close(above)
    except (OSError, ValueError):
        return _NOTHING
    body = data[_DIGEST:]
    if data[:_DIGEST] != blake2b(body, digest_size=_DIGEST).digest():
        return _NOTHING
    listed = {}
    for record in body.split(_PARTING):
        directory, _, rest = record.partition(b"\0")
        identity, _, names = rest.partition(b"\0")
        listed[os.fsdecode(directory)] = identity, names
    return listed


def _content(descriptor: int, size: int) -> bytes:
    blocks = []
    while size > 0 and (block := os.read(descriptor, size)):
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)


def keeps_times(prefix: str) -> bool:
    """Whether a prefix is on a file system that changes a directory's times with its names. Raises `OSError`."""
    path = f"{os.path.realpath(prefix)}/"
    mounted, kind = "", ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            of_mount, _, of_source = line.partition(" - ")
            place = _unescaped(of_mount.split()[4])
            if len(place) >= len(mounted) and path.startswith(f"{place.rstrip('/')}/"):
                mounted, kind = place, of_source.split()[0]  # the last one hides those below it
    return kind in _FILE_SYSTEMS


def _unescaped(place: str) -> str:
    """A path of mountinfo, where white space and backslashes are octal."""
    parts = place.split("\\")
    return parts[0] + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts[1:])

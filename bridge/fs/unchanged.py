"""Whether what was read from files still holds, by what `stat` says of them: for what a cache keeps about a prefix.

A change of content changes `ctime`, which no program can set. A file changed less than two seconds before it was read
may change again within one tick of the clock (git's "racy" problem), so what was read from it is not kept.
"""

from __future__ import annotations

import os

from bridge.fs.digests import sha256_hex

__all__ = ["Identity", "cache_name", "identity_of", "is_settled"]

_RACY = 2_000_000_000  # ns

Identity = tuple[int, int, int, int, int]
"""Inode, mode, size, modification time and change time (ns)."""


def identity_of(path: str) -> Identity:
    """What a file is now; symlinks are followed. Raises `OSError`, and `ValueError` for a path with NUL."""
    status = os.stat(path)
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def is_settled(newest: int, started: int) -> bool:
    """Whether the newest time (ns) of files leaves no doubt about what was read from them since `started` (ns)."""
    return newest <= started - _RACY


def cache_name(prefix: str | os.PathLike[str]) -> str:
    """The name, without a suffix, of a cache's file about a prefix."""
    return sha256_hex(os.fsencode(os.path.realpath(prefix)))[:32]

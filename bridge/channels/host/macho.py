"""Paths in the load commands of Mach-O files.

Rewriting them would break the code signature that Apple silicon requires, so a binary that names its own installation
cannot be packed. A build without a shared libpython names none.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

__all__ = ["paths_below"]

_FAT = b"\xca\xfe\xba\xbe"
_THIN = {b"\xcf\xfa\xed\xfe": 32, b"\xce\xfa\xed\xfe": 28}  # magic, little-endian -> size of the header in bytes


def paths_below(path: Path, prefixes: Iterable[str]) -> frozenset[str]:
    """The paths below `prefixes` in a Mach-O file's load commands; empty for any other file."""
    data = path.read_bytes()
    paths: set[str] = set()
    for start in _slices(data):
        header = _THIN.get(data[start : start + 4])
        if header is None or len(data) < start + header:
            continue
        (size,) = struct.unpack_from("<I", data, start + 20)
        for text in data[start + header : start + header + size].split(b"\0"):
            for prefix in prefixes:
                position = text.find(prefix.encode() + b"/")
                if position >= 0:
                    paths.add(text[position:].decode("utf-8", "replace"))
    return frozenset(paths)


def _slices(data: bytes) -> Iterable[int]:
    """Offsets of the single-architecture files in `data` (`fat_header`, `fat_arch`: big-endian)."""
    if data[:4] != _FAT or len(data) < 8:
        return (0,)
    (count,) = struct.unpack_from(">I", data, 4)
    if len(data) < 8 + 20 * count:
        return ()
    return [struct.unpack_from(">I", data, 8 + 20 * index + 8)[0] for index in range(count)]

"""File systems in files, mounted for a test where that is permitted."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["formatted", "shared_bytes"]

_MAKE = {"btrfs": ("mkfs.btrfs", "-q", "-f"), "xfs": ("mkfs.xfs", "-q", "-f")}
_SIZE = 320 << 20  # bytes, of which the file has few: no file system of these is smaller


@contextmanager
def formatted(kind: str, folder: Path) -> Iterator[Path]:
    """The root of a new file system, mounted below `folder`. The test is skipped where that cannot be."""
    if shutil.which(_MAKE[kind][0]) is None or os.geteuid() != 0:
        pytest.skip(f"no {_MAKE[kind][0]}, or not root: {kind} is not tried")
    image, root = folder / f"{kind}.image", folder / kind
    root.mkdir()
    with image.open("wb") as stream:
        stream.truncate(_SIZE)
    subprocess.run([*_MAKE[kind], image], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", image, root], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        image.unlink()
        pytest.skip(f"{kind} cannot be mounted here: {done.stderr.strip()}")
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", root], check=True)
        image.unlink()


def shared_bytes(path: Path) -> int:
    """The bytes of a file's extents that another file has too, as `filefrag` tells."""
    header, extent = struct.Struct("=QQIIII"), struct.Struct("=QQQQQIIII")
    buffer = bytearray(header.pack(0, 1 << 62, 1, 0, 64, 0) + bytes(extent.size * 64))
    with path.open("rb") as stream:
        fcntl.ioctl(stream, 0xC020660B, buffer)  # FS_IOC_FIEMAP
    count = header.unpack_from(buffer)[3]
    extents = [extent.unpack_from(buffer, header.size + number * extent.size) for number in range(count)]
    return sum(each[2] for each in extents if each[5] & 0x2000)

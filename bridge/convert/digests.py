"""Hashes of a file, as records of packages have them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bridge.faults import faults

__all__ = ["digests"]

_BLOCK = 1 << 20


def digests(path: Path) -> tuple[str, str, int]:
    """Return sha256 and md5 (hex) and the size of a file. Raises `FaultError`."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with faults(path), path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            sha256.update(block)
            md5.update(block)
            size += len(block)
    return sha256.hexdigest(), md5.hexdigest(), size

"""Find bytecode that python runs although it was compiled from another source. Reads only.

python compares bytecode with its source by time and size, or by a hash (PEP 552). A hash that is marked *unchecked* is
never compared: such bytecode runs whatever the source is.
"""

from __future__ import annotations

import os
import re
import sys
from _imp import source_hash
from collections.abc import Iterable, Iterator

from bridge.prefix.claims import bytecode_source
from converters.target import Python

__all__ = ["caches_of", "stale"]

_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_HEADER = 16  # bytes: magic number, flags, hash of the source
_UNCHECKED = 1  # the flags of a hash that is not compared
_MAX_SOURCE = 64 << 20
_SIPHASH_13 = (3, 11)  # the version that changed the hash function


def caches_of(python: Python | None, paths: Iterable[str]) -> list[str]:
    """The bytecode in `__pycache__` that this python reads; none if its hashes cannot be computed here."""
    if python is None or (sys.version_info[:2] >= _SIPHASH_13) != (python.minor >= _SIPHASH_13):
        return []
    digits = f"{python.minor[0]}{python.minor[1]}"
    tagged = re.compile(rf"/__pycache__/[^/]+\.(?:cpython-|pypy){digits}(?:\.opt-\w+)?\.pyc\Z")
    return [path for path in paths if path.endswith(".pyc") and tagged.search(path)]


def stale(root: int, paths: Iterable[str]) -> Iterator[str]:
    """Those of the paths whose hash is unchecked and not that of their source.

    :param root: a descriptor of the prefix.
    """
    for path in paths:
        head = _read(root, path, _HEADER)
        if len(head) < _HEADER or int.from_bytes(head[4:8], "little") != _UNCHECKED:
            continue
        source = _read(root, bytecode_source(path) or "", _MAX_SOURCE)
        # Without a source nothing in `__pycache__` is imported.
        if source and source_hash(int.from_bytes(head[:4], "little"), source) != head[8:]:
            yield path


def _read(root: int, path: str, size: int) -> bytes:
    try:
        file = os.open(path, _OPEN, dir_fd=root)
    except OSError:
        return b""
    try:
        with os.fdopen(file, "rb") as stream:
            return stream.read(size)
    except OSError:
        return b""

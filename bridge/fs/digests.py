"""The sha256 of short texts without OpenSSL: `hashlib` loads it, which takes 3 ms of each start."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["sha256_hex"]

_LONG = 1 << 18  # bytes; OpenSSL, five times faster, pays from here
_BUILT_IN = ("_sha2", "_sha256")  # python's own, since 3.12 and before; a build of python may have none


def sha256_hex(data: bytes) -> str:
    """Return the sha256 in hexadecimal digits."""
    hasher: Callable[[bytes], Any] = hashlib.sha256 if len(data) >= _LONG else _hasher()
    digits: str = hasher(data).hexdigest()
    return digits


@cache
def _hasher() -> Callable[[bytes], Any]:
    """The hasher that is loaded, or loads quickest."""
    for name in () if "_hashlib" in sys.modules else _BUILT_IN:
        try:
            hasher: Callable[[bytes], Any] = import_module(name).sha256
        except ImportError:
            continue
        return hasher
    return hashlib.sha256

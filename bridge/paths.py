"""Names of places, and prefix-relative paths: which texts are one."""

from __future__ import annotations

import posixpath
import re

__all__ = ["EMPTY", "META", "NAMES_FILE", "NO_CHANNEL", "OWN", "inside"]

META = "conda-meta"
OWN = "conda-meta/.bridge"  # the lock, the ledger and the transactions: no package's
NAMES_FILE = "names.json"
"""A channel's own name map, beside its subdirs: what its converted packages, and what they depend on, are on PyPI."""

NO_CHANNEL = "<develop>"
"""The channel of a record that came from no channel: conda's placeholder for that, see decision 0011."""

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # the SHA-256 of no bytes

_ODD_SEGMENT = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|\x00")


def inside(path: str, base: str = "") -> str | None:
    """`path`, relative to `base`, as a prefix-relative path; `None` where it leaves the prefix or is bridge's own.

    A path without a base may not hold `..` at all: through a linked directory it would not mean what it says. With a
    base (RECORD's rows are relative to site-packages) it is normalised as text, as pip does.
    """
    if base:
        path = f"{base}/{path}" if not path.startswith("/") else path
    if _ODD_SEGMENT.search(path):
        if path.startswith("/") or "\x00" in path or (not base and ".." in path.split("/")):
            return None
        path = posixpath.normpath(path)
        if path == "." or path.startswith("../") or path == "..":
            return None
    if not path.isascii():
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            return None
    return None if path == OWN or path.startswith(f"{OWN}/") else path

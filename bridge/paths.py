"""Names of places, and prefix-relative paths: which texts are one."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from typing import NewType

from bridge.errors import UnsafeInputError

__all__ = [
    "EMPTY_SHA256",
    "META",
    "NAMES_FILE",
    "NO_CHANNEL",
    "OWN",
    "SITE_PACKAGES",
    "RelativePath",
    "find_control",
    "inside",
    "leaves_tree",
    "path_below",
]

SITE_PACKAGES = "python_site_packages_path"
"""The key of a python's record that says where noarch packages and wheels go (CEP 17)."""

RelativePath = NewType("RelativePath", str)
"""A path below a prefix: POSIX text in normal form. `path_below` makes it of a path that metadata gives."""

META = "conda-meta"
OWN = "conda-meta/.bridge"  # the lock, the ledger and the transactions: no package's
NAMES_FILE = "names.json"
"""A channel's own name map, beside its subdirs: what its converted packages, and what they depend on, are on PyPI."""

NO_CHANNEL = "<develop>"
"""The channel of a record that came from no channel: conda's placeholder for that, see decision 0011."""

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # the SHA-256 of no bytes

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


_LONGEST, _LONGEST_COMPONENT, _DEEPEST = 1024, 255, 64  # bytes, bytes, components: as of members of archives
_DRIVE = re.compile(r"[A-Za-z]:")
_BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def path_below(text: object, source: str, what: str) -> RelativePath:
    """Return a path that metadata gives as a path below the prefix. A slash at its end is dropped.

    :param source: whose metadata it is, for the error; `what`: which field.

    Raises `UnsafeInputError` (`path-escape`) for anything but a plain relative POSIX path: an absolute path, `..`, a
    drive, a backslash, empty or dotted components, control characters, half a surrogate pair, another type than text,
    or more than 1,024 bytes. rattler joins such a path as it is; an absolute one makes it panic.
    """
    problem = _problem(text) if isinstance(text, str) else f"a {type(text).__name__} is no path"
    if not isinstance(text, str) or problem is not None:
        shown = str(text)[:200].encode("unicode_escape").decode()
        raise UnsafeInputError(
            "path-escape",
            f"{source}: {what} does not lead to a place in the environment: {shown}",
            context=(str(problem),),
            hint="nothing was written; the package is broken or hostile: report it to its publisher",
        )
    return RelativePath(text.removesuffix("/"))


def _problem(text: str) -> str | None:
    parts = text.removesuffix("/").split("/")
    if leaves_tree(text) or _DRIVE.match(text) or "\\" in text:
        return "it leads out of the environment"
    if control := find_control(text):
        return f"it holds the control character {control}"
    if "" in parts or "." in parts:
        return "it is not in normal form"
    sizes = [len(part.encode()) for part in parts]
    if sum(sizes) + len(parts) - 1 > _LONGEST or max(sizes) > _LONGEST_COMPONENT or len(parts) > _DEEPEST:
        return "it is too long"
    return None


def leaves_tree(path: str) -> bool:
    """Whether any operating system could read `path` as a place outside the folder that it is relative to."""
    if ".." not in path and path[:1] not in {"/", "\\"} and path[1:2] != ":":
        return False
    is_absolute = path.startswith(("/", "\\")) or (_DRIVE.match(path) is not None and path[2:3] in {"/", "\\"})
    return is_absolute or ".." in path.split("/") or ("\\" in path and ".." in path.replace("\\", "/").split("/"))


def find_control(text: str) -> str | None:
    """The first control character, as `U+202E`: C0 and C1, line and paragraph breaks, and what turns text around."""
    if text.isascii() and text.isprintable():
        return None
    for mark in text:
        if mark in _BIDI or unicodedata.category(mark) in {"Cc", "Cs", "Zl", "Zp"}:
            return f"U+{ord(mark):04X}"
    return None

"""Names of places in a prefix, and normal forms of prefix-relative paths."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import NewType

from bridge.errors import UnsafeInputError
from converters.deferred import regex

__all__ = [
    "EMPTY_SHA256",
    "LOCK_FILE",
    "META",
    "NAMES_FILE",
    "NAMES_KEY",
    "NO_CHANNEL",
    "OWN",
    "SITE_PACKAGES",
    "RelativePath",
    "ancestors",
    "find_control",
    "inside",
    "leaves_tree",
    "parent_directories",
    "path_below",
    "quoted",
]

SITE_PACKAGES = "python_site_packages_path"
"""Key of a python record: the directory for noarch packages and wheels (CEP 17)."""

RelativePath = NewType("RelativePath", str)
"""A path below a prefix: POSIX text in normal form, as `path_below` returns it."""

META = "conda-meta"
OWN = "conda-meta/.bridge"  # the lock and the transactions
LOCK_FILE = "bridge.lock"
NAMES_FILE = "names.json"
"""A channel's name map, beside its subdirs: the PyPI names of its converted packages and their dependencies."""

NAMES_KEY = "pypi_names"
"""Key of `info` in a channel's noarch repodata: the name of its name map, so that clients need not try."""

NO_CHANNEL = "<develop>"
"""conda's placeholder for the channel of a record that came from no channel (decision 0011)."""

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of empty content

_ODD_SEGMENT = regex(r"(?:^|/)\.{0,2}(?:/|\Z)|\x00")


def inside(path: str, base: str = "") -> str | None:
    """Return `path`, relative to `base`, as a prefix-relative path; `None` if it leaves the prefix or is bridge's own.

    Without a base, `..` is refused: through a symlinked directory it would change its meaning. With a base (RECORD's
    rows are relative to site-packages) the path is normalised as text, as pip does.
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


_LONGEST, _LONGEST_COMPONENT, _DEEPEST = 1024, 255, 64  # bytes, bytes, components
_DRIVE = regex(r"[A-Za-z]:")
_BIDI = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def path_below(text: object, source: str, what: str) -> RelativePath:
    """Return a path from metadata as a path below the prefix; a trailing slash is dropped.

    :param source: origin of the metadata, for the error; `what`: the field.
    :raises UnsafeInputError: `path-escape` for anything but a plain relative POSIX path of at most 1,024 bytes:
        absolute paths, `..`, drives, backslashes, empty or dotted components, control characters, lone surrogates,
        other types. rattler joins such paths unchecked and panics on an absolute one.
    """
    problem = _problem(text) if isinstance(text, str) else f"{type(text).__name__} instead of text"
    if not isinstance(text, str) or problem is not None:
        shown = str(text)[:200].encode("unicode_escape").decode()
        raise UnsafeInputError(
            "path-escape",
            f"{source}: {what} is not a path inside the environment: {shown}",
            context=(str(problem),),
            hint="nothing was written; the package is broken or malicious: report it to its publisher",
        )
    return RelativePath(text.removesuffix("/"))


def _problem(text: str) -> str | None:
    parts = text.removesuffix("/").split("/")
    if leaves_tree(text) or _DRIVE.match(text) or "\\" in text:
        return "it leaves the environment"
    if control := find_control(text):
        return f"it contains the control character {control}"
    if "" in parts or "." in parts:
        return "it is not in normal form"
    sizes = [len(part.encode()) for part in parts]
    if sum(sizes) + len(parts) - 1 > _LONGEST or max(sizes) > _LONGEST_COMPONENT or len(parts) > _DEEPEST:
        return "it is too long"
    return None


def leaves_tree(path: str) -> bool:
    """Whether any operating system could read `path` as a location outside its base directory."""
    if ".." not in path and path[:1] not in {"/", "\\"} and path[1:2] != ":":
        return False
    is_absolute = path.startswith(("/", "\\")) or (_DRIVE.match(path) is not None and path[2:3] in {"/", "\\"})
    return is_absolute or ".." in path.split("/") or ("\\" in path and ".." in path.replace("\\", "/").split("/"))


def find_control(text: str) -> str | None:
    """Return the first control character as `U+202E`: C0, C1, line and paragraph breaks, bidirectional controls."""
    if text.isascii() and text.isprintable():
        return None
    import unicodedata  # noqa: PLC0415 - most paths are ASCII

    for character in text:
        if character in _BIDI or unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}:
            return f"U+{ord(character):04X}"
    return None


def quoted(path: str | os.PathLike[str] | None) -> str:
    """Return a path as a word of a command line for a POSIX shell, as a hint shows it."""
    text = os.fspath(path) if path is not None else "DIR"
    return str(import_module("shlex").quote(text))


def ancestors(path: str) -> Iterator[str]:
    """Yield the parent directories of `path`, innermost first, without the root."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def parent_directories(paths: Iterable[str]) -> set[str]:
    """Return all parent directories of the paths, without the root."""
    parents: set[str] = set()
    for path in paths:
        directory = path.rpartition("/")[0]
        while directory and directory not in parents:  # The parents of a known one are known too.
            parents.add(directory)
            directory = directory.rpartition("/")[0]
    return parents

"""The text of a requirement file: read once, and decoded as pip decodes it (`pip._internal.utils.encoding`)."""

from __future__ import annotations

import codecs
import re
from functools import cache
from pathlib import Path

from bridge.config.files import read_named
from bridge.requirements.files.values import wrong
from converters.deferred import regex

__all__ = ["EXPLICIT", "is_explicit", "is_lock_name", "read_lock_text", "read_text"]

EXPLICIT = "@EXPLICIT"
"""The line that marks a list of URLs, as `conda list --explicit` writes it."""

MAX_SIZE = 8 << 20  # bytes; ten thousand requirements with their hashes have less
MAX_LOCK = 32 << 20  # bytes; the largest public pixi.lock has 10
MAX_LOCKED = 50_000  # packages; that lock has 20,000, and rattler reads so many in 8 s

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOCK_NAME = regex(r"(?:.*\.lock|.*lock\.ya?ml|pylock(?:\.[^.]+)?\.toml)\Z")
_LOCKED = regex(r"^(?:- |\[\[packages?\]\]|https?://|file:)", re.MULTILINE)  # where an entry of a lock begins
_COOKIE = regex(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


def is_lock_name(name: str) -> bool:
    """Return whether a file is called as locks are, so that it may be as large as these."""
    return name.endswith((".lock", ".yaml", ".yml", ".toml")) and _LOCK_NAME.match(name) is not None


def is_explicit(text: str) -> bool:
    """Return whether a line marks the text as an explicit list."""
    return any(line.strip() == EXPLICIT for line in text.splitlines())


@cache
def _piped(path: Path) -> bytes:
    """Return the content of a pipe, as in `-r <(…)`: it can be read once, and a file is looked into twice."""
    return read_named(path, limit=MAX_SIZE)


def read_text(path: Path, limit: int = MAX_SIZE) -> str:
    """Return the text of a file. Raises `UsageError` (`requirement-file`).

    The encoding is that of a byte order mark, else of a PEP 263 comment in the first two lines, else UTF-8.
    """
    try:
        data = read_named(path, limit=limit) if path.is_file() else _piped(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if (url := re.match(r"(https?):/+(.*)", str(path))) is not None:  # a path has no empty parts
            hint = f"fetch it first: curl -LO {url[1]}://{url[2]}, then -r {path.name}"
            raise wrong(path, None, "requirements are read from files, and this is a URL", hint=hint) from error
        raise wrong(path, None, f"the file cannot be read: {reason}") from error
    if len(data) > limit:
        raise wrong(path, None, f"the file is larger than {limit} bytes, more than any requirement file has")
    encoding = _encoding(data)
    try:
        return data.decode(encoding)
    except LookupError as error:
        raise wrong(
            path, 1, f"python does not know the encoding {encoding!r}", hint="save the file as UTF-8"
        ) from error
    except (UnicodeError, ValueError) as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        name = "UTF-8" if encoding.startswith("utf-8") else encoding
        hint = "save the file as UTF-8, or name its encoding in the first line: # -*- coding: latin-1 -*-"
        raise wrong(path, data[:start].count(b"\n") + 1, f"the text is not {name}", hint=hint) from error


def read_lock_text(path: Path) -> str:
    """Return the text of a lock, which may be larger than other files. Raises `UsageError` (`requirement-file`)."""
    text = read_text(path, MAX_LOCK).replace("\r\n", "\n")  # of a checkout with git's core.autocrlf
    if (count := len(_LOCKED.findall(text))) > MAX_LOCKED:
        raise wrong(path, None, f"the lock has {count} packages; bridge reads at most {MAX_LOCKED}")
    return text


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    for line in data.split(b"\n", 2)[:2]:
        match = _COOKIE.match(line) if b"#" in line else None
        if match is not None:
            return match[1].decode("ascii", "replace")[:40]
    return "utf-8"

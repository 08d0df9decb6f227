"""Find the prefix written into files of a package, and replace it. Pure.

A conda package is built in a prefix whose path is a long placeholder; `paths.json` lists the files that contain it. An
installer replaces the placeholder as text, or in each C string of a binary, which NUL bytes pad to its length (CEP 20;
rattler `install/link.rs`, conda `core/portability.py`). Both can be reversed; the sha256 of the packed file proves it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from bridge.prefix import shebangs
from converters.deferred import dataclass, regex

__all__ = ["FULL_PLACEHOLDER", "Placeholder", "candidates", "fill", "holds", "is_binary", "refit", "restore", "swap"]

FULL_PLACEHOLDER = 255
"""Bytes of the placeholder that conda-build and rattler-build use on Linux and macOS."""

_NAME = regex(rb"[\w.+~%@-]")
_END = regex(rb"[\n\r\0\"'`<>|;]")
_MAX_STARTS = 512  # absolute paths of one file that are examined
_MAX_DEPTH = 24
_MAX_TEXT = 1024  # bytes after a slash in which the prefix must end


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """A file's entry in `paths.json`: the text to replace, how, and the sha256 of the file in the archive."""

    text: str
    is_binary: bool
    packed: str


def is_binary(data: bytes) -> bool:
    """Whether a file without an entry is treated as a binary. conda-build looks for a NUL byte too."""
    return b"\0" in data


def swap(data: bytes, old: str, new: str, *, binary: bool) -> bytes | None:
    """`data` with every `old` replaced by `new`; in a binary, each C string keeps its length.

    `None` if a string has too few NUL bytes after it for a longer prefix.
    """
    before, after = os.fsencode(old), os.fsencode(new)
    if not binary:
        return data.replace(before, after)
    parts: list[bytes] = []
    start = 0
    while (position := data.find(before, start)) >= 0:
        end = data.find(b"\0", position)
        end = len(data) if end < 0 else end
        text = data[position:end].replace(before, after)
        growth = len(text) - (end - position)
        room = data[end : end + growth + 1] if growth > 0 else b""
        if growth > 0 and (len(room) < growth or room.count(0) < len(room)):
            return None  # The string must still end with a NUL, or with the file.
        parts += [data[start:position], text, bytes(-growth if growth < 0 else 0)]
        start = end + max(growth, 0)
    return b"".join((*parts, data[start:]))


def fill(data: bytes, placeholder: Placeholder, prefix: str) -> bytes | None:
    """The packed file `data` as rattler and conda write it into `prefix`; `None` if a binary has too little room."""
    if placeholder.is_binary:
        too_long = len(os.fsencode(prefix)) > len(os.fsencode(placeholder.text))
        return None if too_long else swap(data, placeholder.text, prefix, binary=True)
    before, after = os.fsencode(placeholder.text), os.fsencode(prefix)
    head, rest = shebangs.split(data)
    return shebangs.replaced(head, before, after) + rest.replace(before, after)


def restore(data: bytes, placeholder: Placeholder, prefix: str) -> bytes | None:
    """The file of the archive from which `data` was made for `prefix`; `None` if it was made otherwise."""
    whole = swap(data, prefix, placeholder.text, binary=placeholder.is_binary)
    if whole is not None and _is(whole, placeholder.packed):
        return whole
    if placeholder.is_binary:
        return None
    before, after = os.fsencode(placeholder.text), os.fsencode(prefix)
    for head, rest in shebangs.lines_before(data, before, after):
        packed = head + rest.replace(after, before)
        if _is(packed, placeholder.packed):
            return packed
    return None


def refit(data: bytes, old: str, new: str, *, is_of_wheel: bool = False) -> bytes | None:
    """A file without a known packed file, with `old` replaced by `new`.

    A script's first lines keep the form of their installer. `None` for a binary that may lack room: a longer prefix
    needs the padding of a placeholder of `FULL_PLACEHOLDER` bytes.
    """
    before, after = os.fsencode(old), os.fsencode(new)
    if (command := shebangs.launcher(data)) is not None:
        return command.naming(command.interpreter.replace(before, after))
    if not is_binary(data):
        head, rest = shebangs.moved(data, before, after, is_of_wheel=is_of_wheel)
        return head + rest.replace(before, after)
    full = "/" + "_" * (FULL_PLACEHOLDER - 1)
    is_longer = len(after) > len(before)
    if is_longer and (len(after) > FULL_PLACEHOLDER or swap(data, old, full, binary=True) is None):
        return None
    return swap(data, old, new, binary=True)


def holds(data: bytes, prefix: str, names: Iterable[bytes] = ()) -> bool:
    """Whether `data` contains `prefix` as a path, not only as the start of a longer name.

    :param names: the names in the prefix. If given, a path below the prefix must begin with one of these.
    """
    wanted = os.fsencode(prefix)
    known = frozenset(names)
    start = data.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if data[end : end + 1] == b"/":
            name = re.match(rb"/+([^/\n\0\"' :;]*)", data[end : end + 256])
            if not known or name is None or not name[1] or name[1] in known:
                return True
        elif not _NAME.match(data[end : end + 1]):
            return True
        start = data.find(wanted, end)
    return False


def candidates(data: bytes, names: Iterable[bytes]) -> list[str]:
    """Directories that may be the prefix written into `data`, the likeliest first.

    :param names: the names in the prefix. A directory followed by one of these comes first.
    """
    known = frozenset(names)
    counts: Counter[bytes] = Counter()
    start = data.find(b"/")
    for _ in range(_MAX_STARTS):
        if start < 0:
            break
        if start == 0 or not (_NAME.match(data[start - 1 : start]) or data[start - 1 : start] == b"/"):
            for path, following in _cut(data[start : start + _MAX_TEXT]):
                counts[path] += 8 if following in known else 1
        start = data.find(b"/", start + 1)
    ranked = sorted(counts.items(), key=lambda each: (-each[1], len(each[0])))
    return [os.fsdecode(path) for path, _ in ranked]


def _cut(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The directories with which the text may begin, each with the name after it."""
    if (stop := _END.search(text)) is not None:
        text = text[: stop.start()]
    ends = [match.start() for match in re.finditer(rb"[/ :,)\]}$]|\Z", text) if match.start() > 1][:_MAX_DEPTH]
    for end in ends:
        following = re.match(rb"/([\w.-]+)", text[end:])
        yield text[:end], following[1] if following else b""


def _is(data: bytes, sha256: str) -> bool:
    return hashlib.sha256(data).hexdigest() == sha256

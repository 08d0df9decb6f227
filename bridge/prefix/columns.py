"""The listings of well-formed records, read in bulk: RECORD's rows, and `paths_data` of conda-meta. Pure.

What is unusual in any way (quotes, paths that need to be looked at, malformed hashes, a path twice) is not read here:
the answer is `None`, and who asked reads it row by row, and tells what is wrong.
"""

from __future__ import annotations

import binascii
import re
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bridge.model import Entry
from bridge.paths import EMPTY_SHA256, inside
from bridge.prefix.entries import Entries

__all__ = ["conda_paths", "record_rows"]

_ALGORITHM = "sha256="
_HASH = 43  # characters of the unpadded base64 of 32 bytes
_FILLER = _ALGORITHM + "A" * _HASH
_NO_HASH = "0" * 64
_LINKS = frozenset({"softlink", "directory"})
_ODD = re.compile(r"\A(?:[./]|\Z)|/(?:[./]|\Z)")
_DIGITS = re.compile(r"[0-9]*\Z", re.ASCII)
_URL_SAFE = str.maketrans("-_", "+/")
_MAX_FIELD = 4096  # characters of a path; `csv` refuses fields of more than 131,072
_MAX_DIGITS = 18


def record_rows(text: str, base: str, prefix: str) -> Entries | None:
    """RECORD as columns, as `bridge.prefix.distinfo.parse_listing` reads it, with nothing refused."""
    if not base or '"' in text or "\0" in text:
        return None
    text = text.replace("\r\n", "\n")
    if "\r" in text:
        return None
    # With a mark for the end of each row, a row of too many or too few fields shifts all marks that follow.
    fields = (text if text.endswith("\n") or not text else f"{text}\n").replace("\n", ",\n,").split(",")
    count = len(fields) // 4
    written, hashes, sizes, ends = fields[0:-1:4], fields[1::4], fields[2::4], fields[3::4]
    if len(fields) != 4 * count + 1 or ends.count("\n") != count or not all(written):
        return None
    if max(map(len, written), default=0) > _MAX_FIELD or max(map(len, sizes), default=0) > _MAX_DIGITS:
        return None
    digests = _decoded(hashes)
    paths = _relative(written, base, prefix)
    if digests is None or paths is None or not _DIGITS.match("".join(sizes)):
        return None
    return Entries(
        paths=paths,
        digests=digests,
        sizes=array("q", [int(size) if size else -1 for size in sizes]),
        bare=frozenset(row for row, text in enumerate(hashes) if not text) if "" in hashes else frozenset(),
    )


def _decoded(hashes: Sequence[str]) -> bytes | None:
    joined = "".join([text or _FILLER for text in hashes] if "" in hashes else hashes)
    # All are of one length, so parts of one length mean that each began with the name of the algorithm.
    if not {len(text) for text in hashes} <= {0, len(_FILLER)}:
        return None
    first, *parts = joined.translate(_URL_SAFE).split(_ALGORITHM)
    if first or len(parts) != len(hashes) or not {len(part) for part in parts} <= {_HASH}:
        return None
    decode = binascii.a2b_base64
    try:
        digests = b"".join([decode(part + "=") for part in parts])
    except (binascii.Error, ValueError):
        return None
    # A character that is none of base64's is passed over, and gives less than 32 bytes.
    return digests if len(digests) == 32 * len(hashes) else None


def _relative(written: Sequence[str], base: str, prefix: str) -> tuple[str, ...] | None:
    """The prefix-relative paths of rows; `None` where one leaves the prefix, or two are the same."""
    above = f"{base}/"
    paths: list[str] = [above + path for path in written]
    for row in _odd_rows(written):
        path = written[row]
        relative = inside(path[len(prefix) + 1 :]) if path.startswith(f"{prefix}/") else inside(path, base)
        if relative is None:
            return None
        paths[row] = relative
    return tuple(paths) if len(set(paths)) == len(paths) else None


def _odd_rows(paths: Sequence[str]) -> list[int]:
    """The paths that `inside` has to look at: they have, or may have, an empty segment, `.` or `..`."""
    text = "\n".join(("", *paths, ""))
    if not any(mark in text for mark in ("/.", "//", "\n.", "\n/", "/\n", "\n\n")):
        return []
    return [row for row, path in enumerate(paths) if _ODD.search(path)]


def conda_paths(
    paths: tuple[str, ...],
    items: Sequence[Mapping[str, Any]],
    entry: Callable[[Mapping[str, object], str], Entry],
) -> Entries | None:
    """`paths_data.paths` as columns, as `bridge.prefix.condameta.parse` reads it, with nothing refused.

    :param paths: where each item lies in the environment.
    :param entry: what an item says of the path, however unusual it is.
    """
    try:
        joined = "".join(paths)
        if not joined.isascii() or "\0" in joined or len(set(paths)) != len(paths):
            return None
        new: list[Any] = [item.get("sha256_in_prefix") or item.get("sha256") for item in items]
        old: list[Any] = [item.get("sha256") for item in items]
        links = {row for row, item in enumerate(items) if item.get("path_type") in _LINKS}
    except (TypeError, AttributeError, KeyError, IndexError):
        return None
    if any(inside(paths[row]) != paths[row] for row in _odd_rows(paths)):
        return None
    unlike = {row for row, (each, packed) in enumerate(zip(new, old, strict=True)) if not _is_hash(each, packed)}
    bare = frozenset(row for row in unlike - links if not new[row])
    odd = {row: entry(items[row], paths[row]) for row in sorted((unlike | links) - bare)}
    for row in unlike | links:
        new[row] = old[row] = _NO_HASH
    promised, packed = _from_hex(new), _from_hex(old)
    sizes = [item.get("size_in_bytes") for item in items]
    if promised is None or packed is None or any(type(size) is int and size >= 1 << 63 for size in sizes):
        return None
    return Entries(
        paths=paths,
        digests=promised,
        sizes=array("q", [size if type(size) is int and size >= 0 else -1 for size in sizes]),
        packed=packed if packed != promised else b"",
        bare=bare,
        odd=odd,
    )


def _from_hex(texts: Sequence[str]) -> bytes | None:
    """What was written in lower-case, 64 characters each."""
    joined = "".join(texts)
    try:
        found = bytes.fromhex(joined)
    except ValueError:
        return None
    # Blanks are passed over.
    return found if len(found) == 32 * len(texts) and joined == joined.lower() else None


def _is_hash(new: object, old: object) -> bool:
    """Whether both may be a sha256. That of no bytes says nothing where it is not what was promised."""
    return type(new) is type(old) is str and len(new) == len(old) == 64 and (old != EMPTY_SHA256 or new == EMPTY_SHA256)

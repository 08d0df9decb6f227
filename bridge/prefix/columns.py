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

from bridge.entries import Entries
from bridge.model import Entry
from bridge.paths import EMPTY, OWN, inside

__all__ = ["conda_paths", "record_rows"]

_ALGORITHM = "sha256="
_HASH = len(_ALGORITHM) + 43  # unpadded base64 of 32 bytes
_NO_HASH = "0" * 64
_LINKS = frozenset({"softlink", "directory"})
_HEX = re.compile(r"[0-9a-f]*\Z")
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
    if not {len(text) for text in hashes} <= {0, _HASH} or not all(
        text.startswith(_ALGORITHM) for text in hashes if text
    ):
        return None
    start, decode = len(_ALGORITHM), binascii.a2b_base64
    joined = "".join([text[start:] or "A" * 43 for text in hashes]).translate(_URL_SAFE)
    try:
        digests = b"".join([decode(joined[at : at + 43] + "=") for at in range(0, len(joined), 43)])
    except (binascii.Error, ValueError):
        return None
    # A character that is none of base64's is passed over, and gives less than 32 bytes.
    return digests if len(digests) == 32 * len(hashes) else None


def _relative(written: Sequence[str], base: str, prefix: str) -> tuple[str, ...] | None:
    """The prefix-relative paths of rows; `None` where one leaves the prefix, or two are the same."""
    above = f"{base}/"
    paths: list[str] = [above + path for path in written]
    for row in [row for row, path in enumerate(written) if _is_odd(path)]:
        path = written[row]
        relative = inside(path[len(prefix) + 1 :]) if path.startswith(f"{prefix}/") else inside(path, base)
        if relative is None:
            return None
        paths[row] = relative
    return tuple(paths) if len(set(paths)) == len(paths) else None


def _is_odd(path: str) -> bool:
    """Whether `inside` would have to look at it: it has, or may have, an empty segment, `.` or `..`."""
    return path[0] in "./" or path[-1] == "/" or "/." in path or "//" in path


def conda_paths(
    items: Sequence[Mapping[str, Any]], entry: Callable[[Mapping[str, object], str], Entry]
) -> Entries | None:
    """`paths_data.paths` as columns, as `bridge.prefix.condameta.parse` reads it, with nothing refused.

    :param entry: what an item says of the path, however unusual it is.
    """
    try:
        paths = tuple([item["_path"] for item in items])
        joined = "".join(paths)
        is_unusual = not joined.isascii() or "\0" in joined or any(map(_is_refused, paths))
        if is_unusual or len(set(paths)) != len(paths):
            return None
        said: list[tuple[Any, Any, Any]] = [
            (each.get("path_type"), each.get("sha256_in_prefix") or each.get("sha256"), each.get("sha256"))
            for each in items
        ]
        rows = [row for row, (kind, new, old) in enumerate(said) if kind in _LINKS or not _is_hash(new, old)]
    except (TypeError, AttributeError, KeyError, IndexError):
        return None
    bare = frozenset(row for row in rows if said[row][0] not in _LINKS and not said[row][1])
    odd = {row: entry(items[row], paths[row]) for row in rows if row not in bare}
    for row in rows:
        said[row] = (None, _NO_HASH, _NO_HASH)
    new, old = "".join([each[1] for each in said]), "".join([each[2] for each in said])
    if not _HEX.match(new) or not _HEX.match(old):
        return None
    sizes = [item.get("size_in_bytes") for item in items]
    if any(type(size) is int and size >= 1 << 63 for size in sizes):
        return None
    return Entries(
        paths=paths,
        digests=bytes.fromhex(new),
        sizes=array("q", [size if type(size) is int and size >= 0 else -1 for size in sizes]),
        packed=bytes.fromhex(old) if old != new else b"",
        bare=bare,
        odd=odd,
    )


def _is_refused(path: str) -> bool:
    return _is_odd(path) or path.startswith(OWN)


def _is_hash(new: object, old: object) -> bool:
    """Whether both are written like a sha256. That of no bytes says nothing where it is not what was promised."""
    return type(new) is type(old) is str and len(new) == len(old) == 64 and (old != EMPTY or new == EMPTY)

"""The listings of installed packages, RECORD and `paths_data` of conda-meta, read into columns. Pure.

Each listing has one reader. It converts whole columns at once; a row that is not of the usual form is converted by
itself, and left out and reported where it makes no sense.
"""

from __future__ import annotations

import binascii
import csv
import io
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from bridge.model import Entry, Fingerprint
from bridge.paths import EMPTY_SHA256, inside
from bridge.prefix.entries import NO_DIGEST, UNKNOWN_SIZE, Entries
from converters.deferred import regex

__all__ = ["hex_digest", "read_items", "read_rows"]

_ALGORITHM = "sha256="
_HASH = 43  # characters of the unpadded base64 of 32 bytes
_FILLER = _ALGORITHM + "A" * _HASH
_NO_HEX = NO_DIGEST.hex()
_TOO_LARGE = 1 << 63  # for a column of sizes
_usual_keys = itemgetter("sha256_in_prefix", "sha256", "size_in_bytes", "path_type")
_LINKS = ("softlink", "directory")
_ODD = regex(r"\A(?:[./]|\Z)|/(?:[./]|\Z)|\0")
_ODD_PARTS = ("/.", "//", "\n.", "\n/", "/\n", "\n\n", "\0")
_MAX_FIELD = 4096  # characters of a path; `csv` refuses fields of more than 131,072
_MAX_DIGITS = 18
_DIGITS = regex(r"[0-9]{0,18}\Z")
_URL_SAFE = str.maketrans("-_", "+/")
_SHOWN = 200  # characters of a row that is too short


# --- RECORD -----------------------------------------------------------------------------------------------------------


def read_rows(text: str, base: str, prefix: str, *, is_csv: bool = True) -> tuple[Entries, list[str]]:
    """The entries of a RECORD (or of an egg's `installed-files.txt`), and the first field of each refused row.

    :param base: the prefix-relative directory that rows are relative to. Absolute rows must be below `prefix`.

    A row is refused if it leaves the prefix, has a malformed hash or size, or has less than three fields.
    """
    written, hashes, sizes, short = (_plain_columns(text) if is_csv else None) or _columns(
        _csv_rows(text) if is_csv else ([line, "", ""] for line in text.splitlines())
    )
    paths = _relative(written, base, prefix)
    entries, malformed = _of_rows(paths, hashes, sizes)
    refused = {row: written[row] for row in sorted({*malformed, *_outside(paths)})} | short
    return _distinct(entries, paths, refused), [refused[row] for row in sorted(refused)]


def _plain_columns(text: str) -> tuple[Sequence[str], Sequence[str], Sequence[str], dict[int, str]] | None:
    """The columns of a text of three fields in each row, none of them quoted; else `None`.

    It makes no object for each row, which would start the garbage collector again and again.
    """
    text = text.replace("\r\n", "\n")
    if any(character in text for character in '"\r\0'):
        return None
    # With a mark for the end of each row, a row of too many or too few fields shifts all marks that follow.
    fields = (text if text.endswith("\n") or not text else f"{text}\n").replace("\n", ",\n,").split(",")
    written, ends = fields[0:-1:4], fields[3::4]
    if len(fields) != 4 * len(written) + 1 or ends.count("\n") != len(written) or not all(written):
        return None
    if max(map(len, written), default=0) > _MAX_FIELD:
        return None
    return written, fields[1::4], fields[2::4], {}


def _columns(rows: Iterable[list[str]]) -> tuple[Sequence[str], Sequence[str], Sequence[str], dict[int, str]]:
    """The columns of all rows, and the first field of rows with less than three."""
    rows = [row for row in rows if row and row[0]]
    short = {number: row[0][:_SHOWN] for number, row in enumerate(rows) if len(row) < 3}
    filled = [[*row, "", ""][:3] for row in rows]
    return *(zip(*filled, strict=True) if filled else ((), (), ())), short


def _csv_rows(text: str) -> Iterator[list[str]]:
    """The rows up to where the text is no CSV any more; the rest is one row of one field."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        yield from rows
    except csv.Error as error:
        yield [f"line {rows.line_num}: {error}"]


def _of_rows(paths: Sequence[str], hashes: Sequence[str], sizes: Sequence[str]) -> tuple[Entries, set[int]]:
    """The entries of all rows, and which rows are malformed."""
    digests, odd = _decoded(hashes)
    odd |= {row for row, size in enumerate(sizes) if not _DIGITS.match(size)} if not _are_numbers(sizes) else set()
    entries = Entries(
        paths=tuple(paths),
        digests=digests,
        sizes=array("q", [int(size) for size in _usual(sizes, odd, str(UNKNOWN_SIZE))]),
        bare=frozenset(row for row, text in enumerate(hashes) if not text) if "" in hashes else frozenset(),
    )
    unusual: dict[int, Entry] = {}
    for row in odd:
        fingerprint = _fingerprint(hashes[row], sizes[row])
        if fingerprint is not None:
            unusual[row] = Entry(path=paths[row], fingerprint=fingerprint)
    return entries.with_rows(unusual), odd - unusual.keys()


def _decoded(hashes: Sequence[str]) -> tuple[bytes, set[int]]:
    """The digests of all rows, and the rows whose hash is not of the usual form."""
    digests = _from_base64(_usual(hashes, (), _FILLER))
    if digests is not None:
        return digests, set()
    odd = {row for row, text in enumerate(hashes) if text and _from_base64((text,)) is None}
    return _from_base64(_usual(hashes, odd, _FILLER)) or b"", odd


def _from_base64(hashes: Sequence[str]) -> bytes | None:
    """The digests of texts that all have the form `sha256=` and 43 characters of urlsafe base64; else `None`."""
    if not set(map(len, hashes)) <= {len(_FILLER)}:
        return None
    # As all texts have one length, parts of one length mean that each text begins with the name of the algorithm.
    first, *parts = "".join(hashes).translate(_URL_SAFE).split(_ALGORITHM)
    if first or len(parts) != len(hashes) or not set(map(len, parts)) <= {_HASH}:
        return None
    try:  # With an `A` after it, each part is 33 bytes, of which the last holds nothing of the digest.
        decoded = bytearray(binascii.a2b_base64("A".join((*parts, ""))))
    except ValueError:  # Not ASCII.
        return None
    # The decoder skips characters that are not base64's, which leaves less bytes.
    if len(decoded) != 33 * len(hashes):
        return None
    del decoded[32::33]
    return bytes(decoded)


def _are_numbers(sizes: Sequence[str]) -> bool:
    joined = "".join(sizes)
    return joined.isdecimal() and joined.isascii() and max(map(len, sizes)) <= _MAX_DIGITS


def _fingerprint(text: str, size: str) -> Fingerprint | None:
    """What a row promises; `None` where its hash or its size is malformed."""
    try:
        return Fingerprint(kind="file", sha256=hex_digest(text) if text else None, size=int(size) if size else None)
    except ValueError:
        return None


def hex_digest(text: str) -> str | None:
    """The hex of a RECORD hash (`sha256=` and unpadded urlsafe base64, PEP 376); `None` for another algorithm.

    Debian's packages write the hex itself, which is accepted. Raises `ValueError` if it is no SHA-256 digest.
    """
    algorithm, _, value = text.partition("=")
    if algorithm != "sha256":
        return None
    if len(value) == 64:
        return bytes.fromhex(value).hex()
    try:
        digest = binascii.a2b_base64(value.rstrip("=").translate(_URL_SAFE) + "=")
    except binascii.Error as error:
        raise ValueError(f"not a hash: {text!r}") from error
    if len(digest) != 32:
        raise ValueError(f"not a SHA-256 hash: {text!r}")
    return digest.hex()


def _relative(written: Sequence[str], base: str, prefix: str) -> list[str]:
    """The prefix-relative paths of rows; empty where a row leaves the prefix."""
    above = f"{base}/" if base else ""
    paths = [above + path for path in written]
    for row in _odd_rows(written):
        path = written[row]
        relative = inside(path[len(prefix) + 1 :]) if path.startswith(f"{prefix}/") else inside(path, base)
        paths[row] = relative or ""
    return paths


# --- conda-meta -------------------------------------------------------------------------------------------------------


def read_items(
    written: Sequence[str], items: Sequence[Mapping[str, Any]], entry: Callable[[Mapping[str, object], str], Entry]
) -> tuple[Entries, list[str]]:
    """The entries of `paths_data.paths`, and the paths that are refused because they leave the prefix.

    :param written: the path of each item in the environment.
    :param entry: converts one item of any form.
    """
    paths = list(written)
    for row in _odd_rows(paths):
        paths[row] = inside(paths[row]) or ""
    refused = {row: written[row] for row in _outside(paths)}
    entries = _plain_items(paths, items) or _items(paths, items, entry)
    return _distinct(entries, paths, refused), list(refused.values())


def _plain_items(paths: Sequence[str], items: Sequence[Mapping[str, Any]]) -> Entries | None:
    """The entries of items that are all files, with two hashes and a size; else `None`. It makes no object for each."""
    try:
        new, old, sizes, kinds = zip(*map(_usual_keys, items), strict=True)
        is_usual = {*map(type, sizes)} == {int} and {str} == {*map(type, new)} == {*map(type, old)}
        is_usual = is_usual and {64} == {*map(len, new)} == {*map(len, old)} and {*kinds}.isdisjoint(_LINKS)
    except (KeyError, TypeError, ValueError):  # A key is missing; a kind is a list; there is no item.
        return None
    if not is_usual or min(sizes) < 0 or max(sizes) >= _TOO_LARGE or EMPTY_SHA256 in old:
        return None
    promised = _from_hex(new)
    packed = promised if new == old else _from_hex(old)
    if promised is None or packed is None:
        return None
    packed = packed if packed != promised else b""
    return Entries(paths=tuple(paths), digests=promised, sizes=array("q", sizes), packed=packed)


def _items(
    paths: Sequence[str], items: Sequence[Mapping[str, Any]], entry: Callable[[Mapping[str, object], str], Entry]
) -> Entries:
    """The entries of items of any form."""
    new: list[Any] = [item.get("sha256_in_prefix") or item.get("sha256") for item in items]
    old: list[Any] = [item.get("sha256") for item in items]
    sizes = [size if type(size := item.get("size_in_bytes")) is int and size >= 0 else UNKNOWN_SIZE for item in items]
    links = {row for row, item in enumerate(items) if item.get("path_type") in _LINKS}
    unlike = {row for row, (each, packed) in enumerate(zip(new, old, strict=True)) if not _are_hashes(each, packed)}
    bare = frozenset(row for row in unlike - links if not new[row])
    odd = (unlike | links) - bare
    if max(sizes, default=0) >= _TOO_LARGE:
        odd |= {row for row, size in enumerate(sizes) if size >= _TOO_LARGE}
        sizes = [min(size, _TOO_LARGE - 1) for size in sizes]
    promised, packed = (_from_hex(_usual(texts, unlike | odd, _NO_HEX)) for texts in (new, old))
    if promised is None or packed is None:
        odd |= {row for row in range(len(items)) if row not in unlike and _from_hex((new[row], old[row])) is None}
        promised, packed = (_from_hex(_usual(texts, unlike | odd, _NO_HEX)) or b"" for texts in (new, old))
    return Entries(
        paths=tuple(paths),
        digests=promised,
        sizes=array("q", sizes),
        packed=packed if packed != promised else b"",
        bare=bare,
    ).with_rows({row: entry(items[row], paths[row]) for row in sorted(odd)})


def _are_hashes(new: object, old: object) -> bool:
    """Whether both may be a sha256. That of no bytes as `old` says nothing unless `new` is the same."""
    return type(new) is type(old) is str and len(new) == len(old) == 64 and (old != EMPTY_SHA256 or new == EMPTY_SHA256)


def _from_hex(texts: Sequence[str]) -> bytes | None:
    """The bytes of texts of 64 characters each; `None` unless all are lower-case hex."""
    joined = "".join(texts)
    try:
        content = bytes.fromhex(joined)
    except ValueError:
        return None
    # Blanks are skipped.
    return content if len(content) == 32 * len(texts) and joined == joined.lower() else None


# --- both -------------------------------------------------------------------------------------------------------------


def _odd_rows(paths: Sequence[str]) -> list[int]:
    """The paths that `inside` has to judge: with an empty segment, `.`, `..` or NUL, hidden files, and not ASCII."""
    text = "\n".join(("", *paths, ""))
    if text.isascii() and not any(part in text for part in _ODD_PARTS):
        return []
    return [row for row, path in enumerate(paths) if _ODD.search(path) or not path.isascii()]


def _usual(texts: Sequence[str], odd: Collection[int], filler: str) -> Sequence[str]:
    """The texts of a column, with `filler` for those that are empty or in an odd row."""
    if odd:
        return [filler if row in odd else text or filler for row, text in enumerate(texts)]
    return [text or filler for text in texts] if "" in texts else texts


def _outside(paths: Sequence[str]) -> list[int]:
    """The rows without a path in the prefix."""
    return [row for row, path in enumerate(paths) if not path] if "" in paths else []


def _distinct(entries: Entries, paths: Sequence[str], refused: Collection[int]) -> Entries:
    """The entries of the rows that are not refused. Of several rows of one path the last one counts.

    Of bytecode, the row without a hash counts: pip compiled anew what the wheel brought, and kept the wheel's row.
    """
    if not refused and len(set(paths)) == len(paths):
        return entries
    rows = {path: row for row, path in enumerate(paths) if row not in refused}
    rows |= {paths[row]: row for row in entries.bare if row not in refused and "__pycache__/" in paths[row]}
    return entries.only(rows.values())

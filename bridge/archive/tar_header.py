"""One header block of a tar, read strictly (POSIX.1-2001 ustar, or GNU's magic), and the records of a pax header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.archive.refusal import refused, shown

__all__ = ["BLOCK", "Header", "parse_header", "parse_pax"]

BLOCK = 512

_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*\Z")
# mode, uid, gid, size, mtime and checksum, as nearly all writers write them: one match instead of eight.
_USUAL = re.compile(rb"(?:[0-7]{7}\0){3}(?:[0-7]{11}\0){2}[0-7]{6}\0 ")
_USUAL_DEVICES = frozenset({b"\0" * 16, b"0000000\0" * 2})
_OTHER_NUMBERS = (slice(108, 116), slice(116, 124), slice(136, 148), slice(329, 337), slice(337, 345))
_BASE_256 = (0x80, 0xFF)  # GNU's positive and negative numbers
_MAGIC_USTAR = b"ustar\x0000"
_MAGIC_GNU = b"ustar  \x00"
_DECIDING = frozenset({"path", "linkpath", "size", "hdrcharset"})
_UTF8_CHARSET = "ISO-IR 10646 2000 UTF-8"
_LENGTH = re.compile(rb"([1-9][0-9]{0,7}) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header block. Names are bytes, up to their NUL; `size` and `real_size` (a GNU sparse file's) are in bytes."""

    name: bytes
    kind: bytes
    size: int
    mode: int
    link: bytes
    real_size: int


def parse_header(block: bytes, archive: str, offset: int) -> Header:
    """Parse a header block. Raises `UnsafeInputError` (`conda-layout`): checksum, magic, or a number that is none."""
    checksum = sum(block) - sum(block[148:156]) + 8 * 0x20
    is_usual = bool(_USUAL.match(block, 100)) and block[329:345] in _USUAL_DEVICES
    # Readers skip a header with a wrong checksum, stop at it, or take it: three trees.
    if checksum != (int(block[148:154], 8) if is_usual else _octal(block[148:156])):
        raise refused("conda-layout", archive, "a tar header's checksum is wrong", offset=offset)
    magic = block[257:265]
    name = _text(block[:100])
    if magic == _MAGIC_USTAR:
        prefix = _text(block[345:500])
        if prefix:
            name = _join(prefix, name, archive, offset)
    elif magic != _MAGIC_GNU:  # The tars of before 1988 have none; no writer of packages does, and readers guess.
        raise refused("conda-layout", archive, "a tar header that is neither ustar, pax nor GNU", offset=offset)
    elif any(block[345:500]) and block[156:157] != b"S":  # Some readers would put this before the name, others not.
        raise refused("conda-layout", archive, "a GNU tar header with a name prefix", member=name, offset=offset)
    kind = block[156:157]
    if is_usual:
        size, mode = int(block[124:135], 8), int(block[100:107], 8)
    else:
        size, mode = _unusual_numbers(block, archive, name, offset)
    return Header(
        name=name,
        kind=kind,
        size=size,
        mode=mode,
        link=_text(block[157:257]),
        real_size=(_number(block[483:495]) or 0) if kind == b"S" else 0,
    )


def _unusual_numbers(block: bytes, archive: str, name: bytes, offset: int) -> tuple[int, int]:
    """Size and mode, where a number is not written in the way that nearly all writers share."""
    size, mode = _number(block[124:136]), _octal(block[100:108])
    # Owner, time and device decide nothing, but some readers stop, without a word, at a header where one is malformed.
    are_numbers = all(_octal(block[place]) is not None or block[place][0] in _BASE_256 for place in _OTHER_NUMBERS)
    if size is None or mode is None or not are_numbers:
        raise refused("conda-layout", archive, "a tar header with a number that is none", member=name, offset=offset)
    return size, mode


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _join(prefix: bytes, name: bytes, archive: str, offset: int) -> bytes:
    """The two parts of a ustar name. Readers differ where one part is empty or a dot."""
    if not name or name.strip(b"/.") == b"" or prefix in {b".", b"/"}:
        raise refused("conda-layout", archive, "a tar name split where no writer splits it", member=name, offset=offset)
    return prefix + b"/" + name


def _octal(field: bytes) -> int | None:
    found = _OCTAL.match(field)
    return None if found is None else int(found[1] or b"0", 8)


def _number(field: bytes) -> int | None:
    """Octal, or GNU's base 256; `None` for neither, and for a negative number (CVE-2025-8194)."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return _octal(field)


def parse_pax(data: bytes, archive: str, offset: int, *, is_global: bool, largest: int) -> Mapping[str, str]:
    """The records of a pax header that decide something: path, linkpath, size (CA09, CA10).

    Everything else is checked for its form and passed over. Raises `UnsafeInputError`: `tar-pax` (a malformed record, a
    keyword twice, a path or a size for all members at once, a sparse file, a charset), `limit-size` (a sparse file
    above `largest` bytes).
    """
    records: dict[str, str] = {}
    position = 0
    while position < len(data):
        key, value, end = _pax_record(data, position, archive, offset)
        if key in records:
            raise refused("tar-pax", archive, f"the pax keyword {shown(key)} comes twice", offset=offset)
        records[key] = value
        position = end
    # A keyword for all members changes names and sizes of members that other readers see unchanged; an empty path, or
    # one in another charset, is read differently by each.
    _refuse_sparse(records, archive, offset, largest)
    for key, value in records.items():
        if key == "hdrcharset" and value != _UTF8_CHARSET:
            raise refused("tar-pax", archive, f"names in the charset {shown(value)}", offset=offset)
        if is_global and key in _DECIDING:
            raise refused("tar-pax", archive, f"a {key} for all members at once", offset=offset)
        if key in _DECIDING and not value:
            raise refused("tar-pax", archive, f"an empty {key}", offset=offset)
    return {key: value for key, value in records.items() if key in _DECIDING}


def _refuse_sparse(records: Mapping[str, str], archive: str, offset: int, largest: int) -> None:
    """A reader that does not know sparse files takes the map of the holes for content (CA11)."""
    for key in ("GNU.sparse.size", "GNU.sparse.realsize"):
        size = records.get(key, "")
        if size.isdecimal() and (len(size) > len(str(largest)) or int(size) > largest):
            problem = f"a sparse file of {shown(size)} bytes; at most {largest} are allowed"
            raise refused("limit-size", archive, problem, offset=offset)
    if any(key.startswith("GNU.sparse.") for key in records):
        raise refused("tar-pax", archive, "a sparse file", offset=offset)


def _pax_record(data: bytes, position: int, archive: str, offset: int) -> tuple[str, str, int]:
    """One `LENGTH KEY=VALUE` line, the length counting all of it."""
    found = _LENGTH.match(data, position)
    end = position + int(found[1]) if found else 0
    if found is None or not found.end() < end <= len(data) or data[end - 1 : end] != b"\n":
        raise refused("tar-pax", archive, "a malformed pax record", offset=offset)
    key, mark, value = data[found.end() : end - 1].partition(b"=")
    if not key or not mark or b"\0" in key:
        raise refused("tar-pax", archive, "a pax record without a keyword, or with a NUL", offset=offset)
    if key.startswith((b"SCHILY.xattr.", b"LIBARCHIVE.")):
        # Extended attributes, as bsdtar writes them on macOS (`com.apple.provenance`). Their values are binary, NUL
        # included; no client of conda packages restores them.
        return key.decode("ascii", "backslashreplace"), "", end
    if b"\0" in value:
        raise refused("tar-pax", archive, "a pax record without a keyword, or with a NUL", offset=offset)
    try:
        return key.decode("utf-8"), value.decode("utf-8"), end
    except UnicodeDecodeError as error:
        raise refused("tar-pax", archive, "a pax record that is not UTF-8", offset=offset) from error

"""Strict parsing of a tar header block (POSIX.1-2001 ustar or GNU) and of pax records."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.archive.refusal import refused, shown
from converters.deferred import dataclass, regex

__all__ = ["BLOCK", "Header", "parse_header", "parse_pax"]

BLOCK = 512

_OCTAL = regex(rb"[ \0]*([0-7]*)[ \0]*\Z")
# mode, uid, gid, size, mtime and checksum as most writers write them: one match instead of eight.
_USUAL = regex(rb"(?:[0-7]{7}\0){3}(?:[0-7]{11}\0){2}[0-7]{6}\0 ")
_USUAL_DEVICES = frozenset({b"\0" * 16, b"0000000\0" * 2})
_OTHER_NUMBERS = (slice(108, 116), slice(116, 124), slice(136, 148), slice(329, 337), slice(337, 345))
_BASE_256 = (0x80, 0xFF)  # GNU's positive and negative numbers
_MAGIC_USTAR = b"ustar\x0000"
_MAGIC_GNU = b"ustar  \x00"
_DECIDING = frozenset({"path", "linkpath", "size", "hdrcharset"})
_UTF8_CHARSET = "ISO-IR 10646 2000 UTF-8"
_LENGTH = regex(rb"([1-9][0-9]{0,7}) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header block; names are bytes without NUL, `real_size` is a GNU sparse file's."""

    name: bytes
    kind: bytes
    size: int
    mode: int
    link: bytes
    real_size: int


def parse_header(block: bytes, archive: str, offset: int) -> Header:
    """Parse a header block. Raises `UnsafeInputError` (`conda-layout`) for a wrong checksum, magic or number."""
    checksum = sum(block) - sum(block[148:156]) + 8 * 0x20
    is_usual = bool(_USUAL.match(block, 100)) and block[329:345] in _USUAL_DEVICES
    # Readers skip, accept or stop at a header with a wrong checksum.
    if checksum != (int(block[148:154], 8) if is_usual else _octal(block[148:156])):
        raise refused("conda-layout", archive, "a tar header's checksum is wrong", offset=offset)
    magic = block[257:265]
    name = _text(block[:100])
    if magic == _MAGIC_USTAR:
        prefix = _text(block[345:500])
        if prefix:
            name = _join(prefix, name, archive, offset)
    elif magic != _MAGIC_GNU:
        raise refused("conda-layout", archive, "a tar header that is neither ustar, pax nor GNU", offset=offset)
    elif any(block[345:500]) and block[156:157] != b"S":  # readers differ in whether this belongs to the name
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
    """Size and mode of a header with an unusual number format."""
    size, mode = _number(block[124:136]), _octal(block[100:108])
    # Owner, time and device are unused, but some readers silently stop at a malformed one.
    are_numbers = all(_octal(block[place]) is not None or block[place][0] in _BASE_256 for place in _OTHER_NUMBERS)
    if size is None or mode is None or not are_numbers:
        raise refused("conda-layout", archive, "a tar header with an invalid number", member=name, offset=offset)
    return size, mode


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _join(prefix: bytes, name: bytes, archive: str, offset: int) -> bytes:
    """Join the parts of a ustar name; readers differ if one is empty or a dot."""
    if not name or name.strip(b"/.") == b"" or prefix in {b".", b"/"}:
        raise refused("conda-layout", archive, "an ambiguously split tar name", member=name, offset=offset)
    return prefix + b"/" + name


def _octal(field: bytes) -> int | None:
    match = _OCTAL.match(field)
    return None if match is None else int(match[1] or b"0", 8)


def _number(field: bytes) -> int | None:
    """Octal or GNU's base 256; `None` for anything else and for negative numbers (CVE-2025-8194)."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    return _octal(field)


def parse_pax(data: bytes, archive: str, offset: int, *, is_global: bool, largest: int) -> Mapping[str, str]:
    """The records path, linkpath, size and hdrcharset of a pax header (CA09, CA10); others are only validated.

    Raises `UnsafeInputError`: `tar-pax`; `limit-size` for a sparse file above `largest` bytes.
    """
    records: dict[str, str] = {}
    position = 0
    while position < len(data):
        key, value, end = _pax_record(data, position, archive, offset)
        if key in records:
            raise refused("tar-pax", archive, f"duplicate pax keyword {shown(key)}", offset=offset)
        records[key] = value
        position = end
    # Readers differ in global keywords, in empty values, and in other charsets.
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
    """Refuse sparse files: some readers would treat the map of the holes as content (CA11)."""
    for key in ("GNU.sparse.size", "GNU.sparse.realsize"):
        size = records.get(key, "")
        if size.isdecimal() and (len(size) > len(str(largest)) or int(size) > largest):
            raise refused("limit-size", archive, f"{shown(size)} bytes; at most {largest} are allowed", offset=offset)
    if any(key.startswith("GNU.sparse.") for key in records):
        raise refused("tar-pax", archive, "a sparse file", offset=offset)


def _pax_record(data: bytes, position: int, archive: str, offset: int) -> tuple[str, str, int]:
    """One `LENGTH KEY=VALUE` line; the length includes itself."""
    length = _LENGTH.match(data, position)
    end = position + int(length[1]) if length else 0
    if length is None or not length.end() < end <= len(data) or data[end - 1 : end] != b"\n":
        raise refused("tar-pax", archive, "a malformed pax record", offset=offset)
    key, separator, value = data[length.end() : end - 1].partition(b"=")
    if not key or not separator or b"\0" in key:
        raise refused("tar-pax", archive, "a pax record without a keyword, or with a NUL", offset=offset)
    if key.startswith((b"SCHILY.xattr.", b"LIBARCHIVE.")):
        # Extended attributes with binary values, as bsdtar writes them on macOS; no conda client restores them.
        return key.decode("ascii", "backslashreplace"), "", end
    if b"\0" in value:
        raise refused("tar-pax", archive, "a pax record without a keyword, or with a NUL", offset=offset)
    try:
        return key.decode("utf-8"), value.decode("utf-8"), end
    except UnicodeDecodeError as error:
        raise refused("tar-pax", archive, "a pax record that is not UTF-8", offset=offset) from error

"""The extra fields of a zip that change what a member is: zip64 sizes and the second name (APPNOTE 4.5.3, 4.6.9)."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.archive.refusal import refused

__all__ = ["ZIP64", "has_idle_zip64", "parse_extra", "unicode_name", "zip64_values"]

ZIP64 = 0x0001
_UNICODE_PATH = 0x7075
_UNKNOWN32 = 0xFFFFFFFF
_UNKNOWN16 = 0xFFFF
_WIDTHS = (8, 8, 8, 4)
_WHOLE = (8, 16, 24, 28)  # bytes of a field that holds the first one, two, three or four of its values
_NOTHING: Mapping[int, bytes] = {}


def parse_extra(data: bytes, archive: str, member: str | bytes, offset: int) -> Mapping[int, bytes]:
    """Header id → data. Raises `UnsafeInputError` where fields overrun, or a deciding one comes twice."""
    if not data:
        return _NOTHING
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        kind = int.from_bytes(data[position : position + 2], "little")
        end = position + 4 + int.from_bytes(data[position + 2 : position + 4], "little")
        # A field that overruns is read up to another place by each reader, and may end in another field.
        if position + 4 > len(data) or end > len(data):
            raise refused("zip-mismatch", archive, "an extra field overruns its header", member=member, offset=offset)
        if kind in fields and kind in {ZIP64, _UNICODE_PATH}:
            error_id = "zip-zip64" if kind == ZIP64 else "zip-name"
            raise refused(error_id, archive, f"extra field {kind:#06x} comes twice", member=member, offset=offset)
        fields[kind] = data[position + 4 : end]
        position = end
    return fields


def unicode_name(fields: Mapping[int, bytes]) -> bytes | None:
    """The second name that the Info-ZIP Unicode Path field gives; `None`: there is none (W16)."""
    data = fields.get(_UNICODE_PATH)
    return None if data is None else data[5:]


def has_idle_zip64(fields: Mapping[int, bytes], values: tuple[int, int, int, int]) -> bool:
    """Whether a header has a zip64 field of zeros although none of its values refers to one.

    rattler-build 0.21 to 0.28.1 wrote such fields into the central directory. APPNOTE 4.5.3 has a reader look at the
    field only for a value of all ones; libarchive, Python and rattler do so, and read the same member.
    """
    data = fields.get(ZIP64)
    if not data or _UNKNOWN32 in values or values[3] == _UNKNOWN16:
        return False
    return len(data) in _WHOLE and not any(data)


def zip64_values(
    fields: Mapping[int, bytes],
    values: tuple[int, int, int, int],
    archive: str,
    member: str,
    offset: int,
    *,
    deferred: bool = False,
) -> tuple[int, int, int, int]:
    """(size, packed size, header offset, disk), where a header's 32-bit value refers to the zip64 field.

    The field must hold exactly what is referred to, in order. Where nothing is, it may be empty, repeat the values, or
    be filled with zeros (`has_idle_zip64`). With `deferred`, which is a data descriptor's, each value may be zero.
    Raises `UnsafeInputError` (`zip-zip64`).
    """
    data = fields.get(ZIP64)
    if data is None and _UNKNOWN32 not in values and values[3] != _UNKNOWN16:
        return values
    if has_idle_zip64(fields, values):
        return values
    unknown = (_UNKNOWN32, _UNKNOWN32, _UNKNOWN32, _UNKNOWN16)
    wanted = [index for index in range(4) if values[index] == unknown[index]]
    if data is None:
        raise refused("zip-zip64", archive, "its zip64 sizes are missing", member=member, offset=offset)
    order = wanted or list(range(4))
    found = list(values)
    position = 0
    for index in order:
        if not wanted and position == len(data):
            break
        value = int.from_bytes(data[position : position + _WIDTHS[index]], "little")
        # A reader that prefers the field to the header, as streaming ones do, would cut the member elsewhere (W15).
        if not wanted and value != values[index] and not (deferred and value == 0):
            problem = f"the zip64 field says {value}, its header {values[index]}"
            raise refused("zip-zip64", archive, problem, member=member, offset=offset)
        found[index] = value if wanted else values[index]
        position += _WIDTHS[index]
    if position != len(data):
        problem = f"a zip64 field of {len(data)} bytes, where {position} are due"
        raise refused("zip-zip64", archive, problem, member=member, offset=offset)
    return (found[0], found[1], found[2], found[3])

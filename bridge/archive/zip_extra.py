"""Extra fields of a zip that affect a member: zip64 sizes and the Unicode name (APPNOTE 4.5.3, 4.6.9)."""

from __future__ import annotations

from collections.abc import Mapping

from bridge.archive.refusal import refused

__all__ = ["ZIP64", "has_idle_zip64", "parse_extra", "unicode_name", "zip64_values"]

ZIP64 = 0x0001
_UNICODE_PATH = 0x7075
_UNKNOWN32 = 0xFFFFFFFF
_UNKNOWN16 = 0xFFFF
_WIDTHS = (8, 8, 8, 4)
_WHOLE = (8, 16, 24, 28)  # sizes of a field with its first one, two, three or four values
_NOTHING: Mapping[int, bytes] = {}


def parse_extra(data: bytes, archive: str, member: str | bytes, offset: int) -> Mapping[int, bytes]:
    """Header id → data. Raises `UnsafeInputError` if a field overruns, or a zip64 or name field is repeated."""
    if not data:
        return _NOTHING
    fields: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        if len(data) - position < 4 and not any(data[position:]):
            break  # padding for an alignment, as from zipalign
        kind = int.from_bytes(data[position : position + 2], "little")
        end = position + 4 + int.from_bytes(data[position + 2 : position + 4], "little")
        if position + 4 > len(data) or end > len(data):
            raise refused("zip-mismatch", archive, "an extra field overruns its header", member=member, offset=offset)
        if kind in fields and kind in {ZIP64, _UNICODE_PATH}:
            error_id = "zip-zip64" if kind == ZIP64 else "zip-name"
            raise refused(error_id, archive, f"duplicate extra field {kind:#06x}", member=member, offset=offset)
        fields[kind] = data[position + 4 : end]
        position = end
    return fields


def unicode_name(fields: Mapping[int, bytes]) -> bytes | None:
    """The name in the Info-ZIP Unicode Path field, if any (W16)."""
    data = fields.get(_UNICODE_PATH)
    return None if data is None else data[5:]


def has_idle_zip64(fields: Mapping[int, bytes], values: tuple[int, int, int, int]) -> bool:
    """Whether a header has a zip64 field of zeros to which no value refers, as from rattler-build 0.21 to 0.28.1.

    By APPNOTE 4.5.3 readers use the field only for a value of all ones; libarchive, Python and rattler do so.
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
    """Resolve (size, packed size, header offset, disk) with the zip64 field.

    The field must have exactly the values referred to, in order. If there are none, it may be empty, repeat the values,
    or be zeros (`has_idle_zip64`). With `deferred` (a data descriptor follows) each value may be zero. Raises
    `UnsafeInputError` (`zip-zip64`).
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
    resolved = list(values)
    position = 0
    for index in order:
        if not wanted and position == len(data):
            break
        value = int.from_bytes(data[position : position + _WIDTHS[index]], "little")
        # A streaming reader, which prefers the field to the header, would end the member elsewhere (W15).
        if not wanted and value != values[index] and not (deferred and value == 0):
            problem = f"the zip64 field has {value}, its header {values[index]}"
            raise refused("zip-zip64", archive, problem, member=member, offset=offset)
        resolved[index] = value if wanted else values[index]
        position += _WIDTHS[index]
    if position != len(data):
        problem = f"a zip64 field of {len(data)} bytes instead of {position}"
        raise refused("zip-zip64", archive, problem, member=member, offset=offset)
    return (resolved[0], resolved[1], resolved[2], resolved[3])

"""Members of a zip as its central directory describes them."""

from __future__ import annotations

from converters.deferred import NamedTuple

__all__ = ["DEFLATED", "STORED", "CentralEntry", "ZipMember"]

STORED = 0
DEFLATED = 8


class ZipMember(NamedTuple):
    """One validated member, a tuple for speed. Sizes and offsets are in bytes; a directory's `name` ends in a slash.

    :param offset: of the local header; `data_offset`: of the packed data.
    :param method: 0 stored, 8 deflated.
    :param mode: 0o755 for directories and any execute bit, else 0o644.
    :param has_idle_zip64: whether the directory has an unused zip64 field of zeros.
    """

    name: str
    size: int
    compressed_size: int
    crc: int
    offset: int
    method: int
    is_directory: bool
    mode: int
    data_offset: int
    has_idle_zip64: bool = False


class CentralEntry(NamedTuple):
    """An entry of the central directory, not yet compared with its local header. A tuple for speed."""

    raw_name: bytes
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    mode: int
    has_idle_zip64: bool = False

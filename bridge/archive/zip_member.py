"""What a zip's directory says of a member, once the local header has confirmed it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["DEFLATED", "STORED", "CentralEntry", "ZipMember"]

STORED = 0
DEFLATED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipMember:
    """One member. Sizes and offsets are in bytes; a directory's `name` ends in a slash, as in the archive.

    :param crc: CRC-32 of the content.
    :param offset: of the local header; `data_offset`: of the packed data.
    :param method: 0 stored, 8 deflated.
    :param mode: 0o755 where any execute bit is set (and for directories), else 0o644; nothing else survives.
    :param has_idle_zip64: whether the directory has a zip64 field of zeros that nothing refers to.
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
    """An entry of the central directory, before its local header was seen, which must repeat `raw_name`.

    A tuple, because one is made for every member of every archive, and is gone before anyone else sees it.
    """

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

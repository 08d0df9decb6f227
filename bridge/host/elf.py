"""ELF files: what they need and where they look for it, as far as it can be written anew in place.

Read with pyelftools. A search path (DT_RPATH, DT_RUNPATH) or a needed library's path lies in the dynamic string table:
a text no longer than the old one can take its place, padded with NUL bytes, without any offset in the file changing
(System V ABI, "Dynamic Section").
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerNeedSection
from elftools.elf.segments import InterpSegment

__all__ = ["Elf", "Text", "inspect"]

_MAGIC = b"\x7fELF"
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string of the dynamic string table: `offset` is where it lies in the file, in bytes.

    `is_shared`: something else in the file uses a part of it (linkers let strings share their tails), or may.
    """

    value: str
    offset: int
    is_shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """`loader` is PT_INTERP; `search` holds the texts of DT_RPATH and DT_RUNPATH; `glibc` the newest version needed."""

    loader: str = ""
    needed: tuple[Text, ...] = ()
    search: tuple[Text, ...] = ()
    glibc: tuple[int, int] = (0, 0)


def inspect(path: Path) -> Elf | None:
    """Read `path`; `None` where it is no ELF file. Raises `ValueError` for one that cannot be read as such."""
    with path.open("rb") as stream:
        if stream.read(4) != _MAGIC:
            return None
        try:
            return _read(ELFFile(stream), stream)
        except (ELFError, AssertionError, KeyError, struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no ELF file that can be understood: {error}") from error


def _read(elf: ELFFile, stream: BinaryIO) -> Elf:
    loader = ""
    dynamic: DynamicSegment | None = None
    for segment in elf.iter_segments():
        if isinstance(segment, InterpSegment):
            loader = segment.get_interp_name()
        elif isinstance(segment, DynamicSegment):
            dynamic = segment
    if dynamic is None:  # an object file, or statically linked
        return Elf(loader=loader)
    base = dynamic.get_table_offset("DT_STRTAB")[1]
    if base is None:
        raise ELFError("it has no string table")
    versions = list(_versions(elf))
    tags = [(tag.entry.d_tag, tag.entry.d_val, tag) for tag in dynamic.iter_tags()]
    texts = {  # pyelftools names an attribute of a tag for its kind
        kind: [
            (value, str(getattr(tag, kind.removeprefix("DT_").lower()))) for found, value, tag in tags if found == kind
        ]
        for kind in ("DT_NEEDED", "DT_RPATH", "DT_RUNPATH", "DT_SONAME")
    }
    starts = [offset for kind in texts for offset, _ in texts[kind]] + [offset for offset, _ in versions]
    used = _Used(elf, stream, base, starts)
    return Elf(
        loader=loader,
        needed=tuple(used.text(*found) for found in texts["DT_NEEDED"]),
        search=tuple(used.text(*found) for found in texts["DT_RPATH"] + texts["DT_RUNPATH"]),
        glibc=max((found for _, name in versions if (found := _glibc(name))), default=(0, 0)),
    )


def _glibc(name: str) -> tuple[int, int] | None:
    if name == "GLIBC_ABI_DT_RELR":  # packed relocations, which no older version can read
        return (2, 36)
    match = _GLIBC.match(name)
    return (int(match[1]), int(match[2])) if match else None


def _versions(elf: ELFFile) -> Iterator[tuple[int, str]]:
    """Every needed symbol version and the file it is of, as (offset in the string table, name)."""
    section = elf.get_section_by_name(".gnu.version_r")
    if not isinstance(section, GNUVerNeedSection):
        return
    for version, auxiliaries in section.iter_versions():
        yield version.entry.vn_file, str(version.name)
        for auxiliary in auxiliaries:
            yield auxiliary.entry.vna_name, str(auxiliary.name)


class _Used:
    """Which parts of the dynamic string table are in use, beside the texts asked about."""

    def __init__(self, elf: ELFFile, stream: BinaryIO, base: int, starts: list[int]) -> None:
        self._elf = elf
        self._stream = stream
        self._base = base
        self._starts: set[int] | None = None
        self._known = starts

    def text(self, offset: int, value: str) -> Text:
        """The string at `offset` of the table. Only a path is ever written anew: for others nobody asks further."""
        return Text(
            value=value, offset=self._base + offset, is_shared="/" not in value or self._is_shared(offset, value)
        )

    def _is_shared(self, offset: int, value: str) -> bool:
        starts = self._all()
        self._stream.seek(self._base + offset - 1)
        is_tail = self._stream.read(1) != b"\0"
        return starts is None or is_tail or any(offset < start <= offset + len(value.encode()) for start in starts)

    def _all(self) -> set[int] | None:
        """Where the strings begin that anything refers to; `None` where the file has no table of its symbols."""
        symbols = self._elf.get_section_by_name(".dynsym")
        if self._starts is None and symbols is not None:
            # st_name is the first word of a symbol in either class; pyelftools would parse thousands one by one.
            order = "<" if self._elf.little_endian else ">"
            entry = struct.Struct(f"{order}I{symbols['sh_entsize'] - 4}x")
            self._starts = {name for (name,) in entry.iter_unpack(symbols.data())} | set(self._known)
            defined = self._elf.get_section_by_name(".gnu.version_d")
            for _, auxiliaries in defined.iter_versions() if isinstance(defined, GNUVerDefSection) else ():
                self._starts.update(auxiliary.entry.vda_name for auxiliary in auxiliaries)
        return self._starts

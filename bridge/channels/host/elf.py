"""ELF files: needed libraries and search paths, and whether they can be overwritten in place.

A search path (DT_RPATH, DT_RUNPATH) or a needed library's path is in the dynamic string table: a text of at most its
length, padded with NUL bytes, can replace it without moving anything.

Source: System V ABI, chapters 4 and 5; Linux Standard Base, "Symbol Versioning". Tables are read with `struct`: an
installation has a hundred libraries, and pyelftools, which the tests compare with, takes 3 ms for each.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["Elf", "Text", "inspect"]

_MAGIC = b"\x7fELF"
_LOAD, _DYNAMIC, _INTERP = 1, 2, 3  # p_type
_NEEDED, _STRTAB, _SONAME, _RPATH, _RUNPATH = 1, 5, 14, 15, 29  # d_tag
_VERDEF, _VERDEFNUM, _VERNEED, _VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
_DYNSYM = 11  # sh_type
_MAX_TEXT = 1 << 16  # bytes of one string
_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string of the dynamic string table at byte `offset` of the file.

    `is_shared`: something else in the file uses, or may use, a part of it: linkers let strings share tails.
    """

    value: str
    offset: int
    is_shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """`loader` is PT_INTERP, `search` DT_RPATH and DT_RUNPATH, `glibc` the newest version needed."""

    loader: str = ""
    needed: tuple[Text, ...] = ()
    search: tuple[Text, ...] = ()
    glibc: tuple[int, int] = (0, 0)


def inspect(path: Path) -> Elf | None:
    """Read `path`; `None` if it is not an ELF file. Raises `ValueError` for a malformed one."""
    with path.open("rb") as stream:
        if stream.read(4) != _MAGIC:
            return None
        try:
            return _read(_File(stream))
        except (ValueError, LookupError, struct.error) as error:
            raise ValueError(f"{path} is not a valid ELF file: {error}") from error


class _File:
    """The tables of one file, as tuples of their fields in file order."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._size = stream.seek(0, 2)
        word, order = self.at(4, 2)
        if word not in (1, 2) or order not in (1, 2):
            raise ValueError("unknown class or byte order")
        self.is_64 = word == 2
        self._order = "<" if order == 1 else ">"
        header = self.one("HHIQQQIHHHHHH" if self.is_64 else "HHIIIIIHHHHHH", 16)
        self._program, self._sections = header[4], header[5]
        self._counts = header[8:12]  # e_phentsize, e_phnum, e_shentsize, e_shnum

    def at(self, offset: int, size: int) -> bytes:
        if offset < 0 or size < 0 or offset + size > self._size:
            raise ValueError(f"a table at byte {offset} extends beyond the end of the file")
        self._stream.seek(offset)
        return self._stream.read(size)

    def one(self, layout: str, offset: int) -> tuple[int, ...]:
        form = struct.Struct(self._order + layout)
        return form.unpack(self.at(offset, form.size))

    def table(self, layout: str, offset: int, size: int, *, step: int = 0) -> Iterator[tuple[int, ...]]:
        """The records of a table of `size` bytes; each takes `step` bytes."""
        form = struct.Struct(self._order + layout)
        if step and step != form.size:
            if step < form.size:
                raise ValueError(f"table entries of {step} bytes are too short")
            form = struct.Struct(f"{self._order}{layout}{step - form.size}x")
        return form.iter_unpack(self.at(offset, size - size % form.size))

    def segments(self) -> list[tuple[int, int, int, int]]:
        """(p_type, p_offset, p_vaddr, p_filesz) of each program header."""
        step, count = self._counts[0], self._counts[1]
        rows = self.table("IIQQQQQQ" if self.is_64 else "IIIIIIII", self._program, step * count, step=step)
        places = (0, 2, 3, 5) if self.is_64 else (0, 1, 2, 4)
        return [(row[places[0]], row[places[1]], row[places[2]], row[places[3]]) for row in rows]

    def sections(self) -> Iterator[tuple[int, int, int, int]]:
        """(sh_type, sh_offset, sh_size, sh_entsize) of each section header; a file may have none."""
        step, count = self._counts[2], self._counts[3]
        if self._sections and step:
            for row in self.table(
                "IIQQQQIIQQ" if self.is_64 else "IIIIIIIIII", self._sections, step * count, step=step
            ):
                yield row[1], row[4], row[5], row[9]

    def text(self, offset: int) -> str:
        """The NUL-terminated string at an offset."""
        data, terminator, _ = self.at(offset, max(0, min(_MAX_TEXT, self._size - offset))).partition(b"\0")
        if not terminator:
            raise ValueError(f"the string at byte {offset} is not terminated")
        return data.decode("utf-8")


def _read(file: _File) -> Elf:
    segments = file.segments()
    loader = next((file.text(offset) for kind, offset, _, _ in segments if kind == _INTERP), "")
    dynamic = next(((offset, size) for kind, offset, _, size in segments if kind == _DYNAMIC), None)
    if dynamic is None:  # an object file, or statically linked
        return Elf(loader=loader)
    tags: list[tuple[int, int]] = []
    for tag, value in file.table("qQ" if file.is_64 else "iI", *dynamic):
        if tag == 0:
            break
        tags.append((tag, value))
    known = dict(tags)

    def place(tag: int) -> int:
        """The file offset of the address in a tag."""
        for kind, offset, address, size in segments:
            if kind == _LOAD and address <= known[tag] < address + size:
                return offset + known[tag] - address
        raise ValueError(f"address {known[tag]:#x} is in no segment")

    if _STRTAB not in known:
        raise ValueError("it has no string table")
    base = place(_STRTAB)
    versions = list(_needed_versions(file, place(_VERNEED), known.get(_VERNEEDNUM, 0))) if _VERNEED in known else []
    starts = {value for tag, value in tags if tag in (_NEEDED, _RPATH, _RUNPATH, _SONAME)} | set(versions)
    if _VERDEF in known:
        starts |= set(_defined_versions(file, place(_VERDEF), known.get(_VERDEFNUM, 0)))
    used = _Used(file, base, starts)
    return Elf(
        loader=loader,
        needed=tuple(used.text(value) for tag, value in tags if tag == _NEEDED),
        search=tuple(used.text(value) for kind in (_RPATH, _RUNPATH) for tag, value in tags if tag == kind),
        glibc=max((version for name in versions if (version := _glibc(file.text(base + name)))), default=(0, 0)),
    )


def _glibc(name: str) -> tuple[int, int] | None:
    if name == "GLIBC_ABI_DT_RELR":  # packed relocations, which no older version can read
        return (2, 36)
    match = _GLIBC.match(name)
    return (int(match[1]), int(match[2])) if match else None


def _needed_versions(file: _File, offset: int, count: int) -> Iterator[int]:
    """Offsets in the string table of needed versions' names and of their files' names."""
    for place, (_, names, of, first, _) in _chain(file, "HHIII", offset, count):
        yield of
        yield from (name[3] for _, name in _chain(file, "IHHII", place + first, names))


def _defined_versions(file: _File, offset: int, count: int) -> Iterator[int]:
    """Offsets in the string table of defined versions' names."""
    for place, (_, _, _, names, _, first, _) in _chain(file, "HHHHIII", offset, count):
        yield from (name[0] for _, name in _chain(file, "II", place + first, names))


def _chain(file: _File, layout: str, offset: int, count: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(offset, record) of a chain of records, each with the distance to the next, or 0, in its last field."""
    for _ in range(count):
        record = file.one(layout, offset)
        yield offset, record
        if not record[-1]:
            return
        offset += record[-1]


class _Used:
    """Which parts of the dynamic string table are in use."""

    def __init__(self, file: _File, base: int, starts: set[int]) -> None:
        """:param starts: offsets of the strings in use, except those of symbols."""
        self._file, self._base, self._known = file, base, starts
        self._starts: set[int] | None = None

    def text(self, offset: int) -> Text:
        """The string at `offset` of the table. Only paths are overwritten, so others count as shared."""
        value = self._file.text(self._base + offset)
        is_shared = "/" not in value or self._is_shared(offset, value)
        return Text(value=value, offset=self._base + offset, is_shared=is_shared)

    def _is_shared(self, offset: int, value: str) -> bool:
        starts = self._all()
        is_tail = self._file.at(self._base + offset - 1, 1) != b"\0"
        return starts is None or is_tail or any(offset < start <= offset + len(value.encode()) for start in starts)

    def _all(self) -> set[int] | None:
        """Offsets of all strings in use; `None` if the file has no symbol table."""
        symbols = next((rest for kind, *rest in self._file.sections() if kind == _DYNSYM), None)
        if self._starts is None and symbols is not None:
            offset, size, step = symbols
            # st_name is the first word of a symbol in either class.
            self._starts = {name for (name,) in self._file.table("I", offset, size, step=step)} | self._known
        return self._starts

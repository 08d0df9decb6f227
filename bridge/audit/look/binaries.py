"""Read programs and shared libraries: their platform, the libraries they need, and their search path.

ELF by pyelftools, Mach-O by macholib, PE by pefile; only what the loader reads is read. pyelftools takes 50 µs for an
entry of a table, so tables of fixed records are unpacked with `struct`. The three are imported where a file needs them.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bridge.audit.look.inspection import Binary, Format
from converters.deferred import regex, replace

if TYPE_CHECKING:
    from elftools.elf.structs import ELFStructs

__all__ = ["is_binary_name", "may_be_binary", "read_binary"]

_LIBRARY = regex(r"\.(?:so(?:\.[0-9A-Za-z_.]+)?|dylib|pyd|dll)\Z")
_MACH = {b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce", b"\xca\xfe\xba\xbe"}
_ELF_MACHINES = {
    "EM_X86_64": "x86_64", "EM_AARCH64": "aarch64", "EM_386": "i686", "EM_PPC64": "ppc64le", "EM_S390": "s390x",
    "EM_ARM": "armv7l", "EM_RISCV": "riscv64",
}  # fmt: skip
_ELF_NUMBERS = {
    62: "EM_X86_64", 183: "EM_AARCH64", 3: "EM_386", 21: "EM_PPC64", 22: "EM_S390", 40: "EM_ARM", 243: "EM_RISCV"
}  # fmt: skip
_MACH_MACHINES = {0x01000007: "x86_64", 0x0100000C: "arm64", 7: "i686"}
_PE_MACHINES = {0x8664: "x86_64", 0x14C: "i686", 0xAA64: "arm64"}
_GLIBC = regex(rb"GLIBC_(\d+)\.(\d+)(?:\.\d+)?\Z")
_BUILT_FOR_NUMPY = regex(rb"\(NumPy (?:>=)?(\d+\.\d+)\) but the running NumPy")
_OF_GLIBC = regex(r"(?:ld-|ld64|lib(?:c|m|dl|rt|pthread|util|resolv|nsl|anl|mvec)\.so)")
_WEAK = 2  # VER_FLG_WEAK
_BASE = 1  # VER_FLG_BASE: the name of the library itself
_BLOCK = 1 << 20
_MAX_TABLE = 1 << 20  # bytes of a table that is read at once; longer ones are read piecewise
_MAX_STRING = 4096  # bytes of one name
_MAX_NEEDED = 4096
_MAX_SEGMENTS = 512


def is_binary_name(name: str) -> bool:
    """Whether a file of this name should be a program or library."""
    # Most names are not, and substring tests cost less than a regular expression.
    return may_be_binary(name) and _LIBRARY.search(name) is not None


def may_be_binary(text: str) -> bool:
    """Whether a name, or one of several in one text, may be that of a library."""
    return ".so" in text or ".dylib" in text or ".pyd" in text or ".dll" in text


def read_binary(path: Path, *, with_numpy: bool = False) -> Binary | None:
    """Read a binary; `None`: it is no ELF, Mach-O or PE file (a linker script is a `.so` too).

    One that cannot be parsed is a `Binary` with a `problem`. Raises `OSError`.

    :param with_numpy: search for traces of numpy's C API. Reads the whole file.
    """
    with path.open("rb") as stream:
        magic = stream.read(4)
        stream.seek(0)
        if magic == b"\x7fELF":
            binary = _guarded("elf", _read_elf, stream)
        elif magic in _MACH:
            binary = _guarded("macho", _read_macho, stream)
        elif magic[:2] == b"MZ":
            binary = _guarded("pe", _read_pe, stream)
        else:
            return None
        return replace(binary, numpy=_numpy(stream)) if with_numpy and not binary.problem else binary


def _guarded(kind: Format, read: Callable[[BinaryIO], Binary], stream: BinaryIO) -> Binary:
    try:
        return read(stream)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - the libraries raise anything on a damaged file
        reason = str(error) or type(error).__name__
        return Binary(format=kind, problem=f"it cannot be read as {kind.upper()}: {reason[:200]}")


# --- ELF --------------------------------------------------------------------------------------------------------------


@cache
def _structs(is_little: bool, word: int) -> ELFStructs:
    """Pyelftools' description of the tables; making it takes longer than reading a file."""
    from elftools.elf.structs import ELFStructs

    structs = ELFStructs(little_endian=is_little, elfclass=word)
    structs.create_basic_structs()
    structs.create_advanced_structs()
    return structs


@dataclass(frozen=True, slots=True)
class _Segments:
    """The processor of an ELF file in conda's words, and its segments."""

    machine: str
    dynamic: tuple[int, int] | None  # offset, size
    loads: tuple[tuple[int, int, int], ...]  # address, size, offset


def _segments(stream: BinaryIO, order: str, is_64: bool) -> _Segments | None:
    """The segments of a file as linkers make them; `None`: leave it to pyelftools, which reports errors."""
    header = struct.Struct(order + ("16xHHIQQQIHHHHHH" if is_64 else "16xHHIIIIIHHHHHH"))
    entry = struct.Struct(order + ("IIQQQQQQ" if is_64 else "IIIIIIII"))
    stream.seek(0)
    data = stream.read(header.size)
    if len(data) < header.size:
        return None
    _, machine, _, _, start, _, _, _, size, count, *_ = header.unpack(data)
    if machine not in _ELF_NUMBERS or size != entry.size or count > _MAX_SEGMENTS:
        return None
    table = b""
    if count:
        stream.seek(start)
        table = stream.read(size * count)
    if len(table) < size * count:
        return None
    dynamic, loads = None, []
    for kind, *fields in entry.iter_unpack(table):
        offset, address, length = fields[1:3] + fields[4:5] if is_64 else fields[0:2] + fields[3:4]
        if kind == 2:  # PT_DYNAMIC
            dynamic = offset, length
        elif kind == 1:  # PT_LOAD
            loads.append((address, length, offset))
    return _Segments(_ELF_MACHINES[_ELF_NUMBERS[machine]], dynamic, tuple(loads))


def _parsed_segments(stream: BinaryIO, is_little: bool, is_64: bool) -> _Segments:
    from elftools.common.utils import struct_parse

    structs = _structs(is_little, 64 if is_64 else 32)
    header = struct_parse(structs.Elf_Ehdr, stream, stream_pos=0)
    machine = _ELF_MACHINES.get(header["e_machine"], str(header["e_machine"]))
    dynamic, loads = None, []
    for index in range(header["e_phnum"]):
        segment = struct_parse(structs.Elf_Phdr, stream, stream_pos=header["e_phoff"] + index * header["e_phentsize"])
        if segment["p_type"] == "PT_DYNAMIC":
            dynamic = segment["p_offset"], segment["p_filesz"]
        elif segment["p_type"] == "PT_LOAD":
            loads.append((segment["p_vaddr"], segment["p_filesz"], segment["p_offset"]))
    return _Segments(machine, dynamic, tuple(loads))


def _read_elf(stream: BinaryIO) -> Binary:
    identity = stream.read(16)
    if len(identity) < 16 or identity[4] not in {1, 2} or identity[5] not in {1, 2}:
        raise ValueError("its first bytes have no class or no byte order")
    is_64, is_little = identity[4] == 2, identity[5] == 1
    order = "<" if is_little else ">"
    segments = _segments(stream, order, is_64) or _parsed_segments(stream, is_little, is_64)
    machine, dynamic, loads = segments.machine, segments.dynamic, segments.loads
    if dynamic is None:  # An object file, or statically linked.
        return Binary(format="elf", machines=(machine,))
    tags = list(_dynamic(_at(stream, *dynamic), order, is_64))
    values = dict(tags)

    def offset(address: int) -> int:
        return next((a - v + address for v, size, a in loads if v <= address < v + size), address)

    # The string table has the name of every symbol: up to 100 MB in a C++ library.
    strings = _Strings(stream, offset(values.get(5, 0)), values.get(10, 0))  # DT_STRTAB, DT_STRSZ

    def text(start: int) -> str:
        return strings.at(start).decode("utf-8", "replace")

    versions: tuple[tuple[str, tuple[bytes, ...]], ...] = ()
    if 0x6FFFFFFE in values:  # DT_VERNEED
        table = _at(stream, offset(values[0x6FFFFFFE]), _MAX_TABLE)
        versions = tuple(_needed_versions(table, order, values.get(0x6FFFFFFF, 0), strings))
    defines: tuple[str, ...] = ()
    if 0x6FFFFFFC in values:  # DT_VERDEF
        table = _at(stream, offset(values[0x6FFFFFFC]), _MAX_TABLE)
        defines = tuple(_defined_versions(table, order, values.get(0x6FFFFFFD, 0), strings))
    search = [directory for tag, value in tags if tag in {15, 29} for directory in text(value).split(":") if directory]
    return Binary(
        format="elf",
        machines=(machine,),
        name=text(values[14]) if 14 in values else "",  # DT_SONAME
        needed=tuple(text(value) for tag, value in tags[:_MAX_NEEDED] if tag == 1),  # DT_NEEDED
        search=tuple(dict.fromkeys(search)),
        glibc=_glibc(versions),
        versions=tuple(
            (library, tuple(each.decode("utf-8", "replace") for each in names))
            for library, names in versions
            if not _OF_GLIBC.match(library)
        ),
        defines=defines,
    )


def _at(stream: BinaryIO, offset: int, size: int) -> bytes:
    stream.seek(offset)
    return stream.read(min(size, _MAX_TABLE))


class _Strings:
    """A string table: a short one is read once, a long one name by name."""

    def __init__(self, stream: BinaryIO, offset: int, size: int) -> None:
        self._stream, self._offset, self._size = stream, offset, size
        self._all = _at(stream, offset, size) if size <= _MAX_TABLE else None

    def at(self, start: int) -> bytes:
        """The bytes up to the next NUL; empty: there is no such string."""
        if not 0 <= start < self._size:
            return b""
        if self._all is not None:
            end = self._all.find(b"\0", start)
            return self._all[start:end] if end >= 0 else b""
        name, end_of_name, _ = _at(self._stream, self._offset + start, _MAX_STRING).partition(b"\0")
        return name if end_of_name else b""


def _dynamic(table: bytes, order: str, is_64: bool) -> Iterator[tuple[int, int]]:
    """(tag, value) up to DT_NULL (System V ABI, "Dynamic Section")."""
    entry = struct.Struct(order + ("QQ" if is_64 else "II"))
    for tag, value in entry.iter_unpack(table[: len(table) - len(table) % entry.size]):
        if tag == 0:
            return
        yield tag, value


def _needed_versions(
    table: bytes, order: str, count: int, strings: _Strings
) -> Iterator[tuple[str, tuple[bytes, ...]]]:
    """Library → the symbol versions that must be in it (LSB, "Symbol Version Requirements")."""
    at = 0
    for _ in range(min(count, _MAX_NEEDED)):
        _, auxiliaries, library, first, following = struct.unpack_from(f"{order}HHIII", table, at)
        here, names = at + first, []
        for _ in range(auxiliaries):
            _, flags, _, name, step = struct.unpack_from(f"{order}IHHII", table, here)
            if not flags & _WEAK:
                names.append(strings.at(name))
            here += step
        yield strings.at(library).decode("utf-8", "replace"), tuple(names)
        at += following


def _defined_versions(table: bytes, order: str, count: int, strings: _Strings) -> Iterator[str]:
    """The symbol versions that a library has (LSB, "Symbol Version Definitions")."""
    at = 0
    for _ in range(min(count, _MAX_NEEDED)):
        _, flags, _, _, _, first, following = struct.unpack_from(f"{order}HHHHIII", table, at)
        (name,) = struct.unpack_from(f"{order}I", table, at + first)
        if not flags & _BASE:
            yield strings.at(name).decode("utf-8", "replace")
        at += following


def _glibc(versions: Iterable[tuple[str, tuple[bytes, ...]]]) -> tuple[int, int]:
    """The newest GLIBC_x.y among needed versions."""
    newest = (0, 0)
    for name in (name for _, names in versions for name in names):
        if match := _GLIBC.match(name):
            newest = max(newest, (int(match[1]), int(match[2])))
        elif name == b"GLIBC_ABI_DT_RELR":  # Packed relocations, new in 2.36.
            newest = max(newest, (2, 36))
    return newest


# --- Mach-O and PE ----------------------------------------------------------------------------------------------------


def _read_macho(stream: BinaryIO) -> Binary:
    from macholib import mach_o
    from macholib.MachO import MachO

    class Opened(MachO):  # type: ignore[misc]
        """MachO of an open file: macholib itself opens a path."""

        def __init__(self) -> None:
            self.graphident = self.filename = self.loader_path = ""
            self.fat = None
            self.headers: list[object] = []
            self.allow_unknown_load_commands = True
            self.load(stream)

    needed: dict[str, None] = {}
    search: dict[str, None] = {}
    machines, name = [], ""
    for header in Opened().headers:
        machines.append(_MACH_MACHINES.get(header.header.cputype, str(header.header.cputype)))  # type: ignore[attr-defined]
        for command, _, data in header.commands:  # type: ignore[attr-defined]
            text = bytes(data).rstrip(b"\0").decode("utf-8", "replace") if isinstance(data, bytes) else ""
            if command.cmd in {mach_o.LC_LOAD_DYLIB, mach_o.LC_LOAD_WEAK_DYLIB, mach_o.LC_REEXPORT_DYLIB}:
                needed[text] = None
            elif command.cmd == mach_o.LC_RPATH:
                search[text] = None
            elif command.cmd == mach_o.LC_ID_DYLIB:
                name = text
    return Binary(
        format="macho",
        machines=tuple(dict.fromkeys(machines)),
        name=name.rpartition("/")[2],
        needed=tuple(needed),
        search=tuple(search),
    )


def _read_pe(stream: BinaryIO) -> Binary:
    import pefile

    binary = pefile.PE(data=stream.read(64 << 20), fast_load=True)
    with contextlib.closing(binary):
        directory = pefile.DIRECTORY_ENTRY
        wanted = [directory["IMAGE_DIRECTORY_ENTRY_IMPORT"], directory["IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT"]]
        binary.parse_data_directories(directories=wanted)
        imports = [
            *getattr(binary, "DIRECTORY_ENTRY_IMPORT", ()),
            *getattr(binary, "DIRECTORY_ENTRY_DELAY_IMPORT", ()),
        ]
        machine = binary.FILE_HEADER.Machine
        return Binary(
            format="pe",
            machines=(_PE_MACHINES.get(machine, hex(machine)),),
            needed=tuple(dict.fromkeys(each.dll.decode("utf-8", "replace") for each in imports if each.dll)),
        )


# --- numpy ------------------------------------------------------------------------------------------------------------


def _numpy(stream: BinaryIO) -> str:
    """What `import_array()` left in an extension: the module it imports, and the oldest numpy it was built for.

    numpy 1's header imports `numpy.core._multiarray_umath` (`numpy.core.multiarray` before 1.16); numpy 2's tries
    `numpy._core._multiarray_umath` first, and its error message has the version it was built for
    (numpy, `numpy/_core/code_generators/generate_numpy_api.py`).
    """
    stream.seek(0, io.SEEK_SET)
    tail, has_old, has_new, version = b"", False, False, ""
    while block := stream.read(_BLOCK):
        window = tail + block
        if b"_multiarray_umath\0" in window:
            has_new = has_new or b"numpy._core._multiarray_umath\0" in window
            has_old = has_old or b"\0numpy.core._multiarray_umath\0" in window
        if not version and (match := _BUILT_FOR_NUMPY.search(window)):
            version = match[1].decode()
        tail = block[-256:]
    if has_new:
        return version or "2"
    return "1" if has_old else ""

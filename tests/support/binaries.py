"""Programs and libraries for tests: small files that loaders and their tools read as what they say they are."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

MACHINES = {"x86_64": 62, "aarch64": 183, "i686": 3}
_MACH = {"x86_64": 0x01000007, "arm64": 0x0100000C}
_PE = {"x86_64": 0x8664, "arm64": 0xAA64}


def elf(
    *,
    needed: Sequence[str] = (),
    soname: str = "",
    search: str = "",
    glibc: str = "",
    machine: str = "x86_64",
    versions: Mapping[str, Sequence[str]] | None = None,
    defines: Sequence[str] = (),
    payload: bytes = b"",
    symbols: int = 0,
) -> bytes:
    """An ELF shared library of 64 bits: a header, a loaded and a dynamic segment, the tables these name.

    :param glibc: the version of glibc's symbols that it needs (`2.38`).
    :param versions: library → the symbol versions that it must have.
    :param defines: the symbol versions that this library has.
    :param symbols: the bytes that names of symbols take in the string table, before the others.
    """
    strings = bytearray(b"\0" + b"_Z3nam\0" * (symbols // 7))

    def text(value: str) -> int:
        strings.extend(value.encode() + b"\0")
        return len(strings) - len(value.encode()) - 1

    tags = [(1, text(name)) for name in needed]
    tags += [(14, text(soname))] if soname else []
    tags += [(29, text(search))] if search else []
    wanted = {**({"libc.so.6": [f"GLIBC_{glibc}"]} if glibc else {}), **(versions or {})}
    need = b""
    for number, (library, names) in enumerate(wanted.items(), 1):
        size = 16 + 16 * len(names)
        need += struct.pack("<HHIII", 1, len(names), text(library), 16, size if number < len(wanted) else 0)
        for place, name in enumerate(names, 1):
            need += struct.pack("<IHHII", 0, 0, 2, text(name), 16 if place < len(names) else 0)
    define = b""
    for number, name in enumerate([soname, *defines] if defines else []):
        step = 28 if number < len(defines) else 0
        define += struct.pack("<HHHHIII", 1, 0 if number else 1, number + 1, 1, 0, 20, step)
        define += struct.pack("<II", text(name), 0)
    count = len(tags) + 2 + (2 if need else 0) + (2 if define else 0) + 1
    at_dynamic = 64 + 2 * 56
    at_strings = at_dynamic + 16 * count
    at_versions = at_strings + len(strings)
    tags += [(5, at_strings), (10, len(strings))]
    tags += [(0x6FFFFFFE, at_versions), (0x6FFFFFFF, len(wanted))] if need else []
    tags += [(0x6FFFFFFC, at_versions + len(need)), (0x6FFFFFFD, len(defines) + 1)] if define else []
    tags.append((0, 0))
    table = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    tables = need + define
    whole = at_versions + len(tables) + len(payload)
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, MACHINES[machine], 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, whole, whole, 4096)
    segments += struct.pack("<IIQQQQQQ", 2, 6, at_dynamic, at_dynamic, at_dynamic, len(table), len(table), 8)
    return header + segments + table + bytes(strings) + tables + payload


def macho(*, needed: Sequence[str] = (), search: Sequence[str] = (), machine: str = "arm64") -> bytes:
    """A Mach-O library of 64 bits: a header and its load commands."""
    commands = [_command(0xC, struct.pack("<IIII", 24, 0, 0, 0), name) for name in needed]
    commands += [_command(0x8000001C, struct.pack("<I", 12), folder) for folder in search]
    body = b"".join(commands)
    return struct.pack("<IIIIIIII", 0xFEEDFACF, _MACH[machine], 0, 6, len(commands), len(body), 0, 0) + body


def _command(kind: int, fixed: bytes, text: str) -> bytes:
    data = fixed + text.encode() + b"\0"
    data += bytes(-(len(data) + 8) % 8)
    return struct.pack("<II", kind, len(data) + 8) + data


def pe(*, machine: str = "x86_64") -> bytes:
    """A Windows library: headers without sections, which names nothing that it needs."""
    dos = b"MZ" + bytes(58) + struct.pack("<I", 64)
    file_header = struct.pack("<HHIIIHH", _PE[machine], 0, 0, 0, 0, 240, 0x2022)
    optional = struct.pack("<HBBIIIIIQIIHHHHHHIIIIHHQQQQII", 0x20B, 14, 0, 0, 0, 0, 0, 0, 0x180000000, 4096, 512,
                           6, 0, 0, 0, 6, 0, 0, 4096, 512, 0, 3, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16)  # fmt: skip
    return dos + b"PE\0\0" + file_header + optional + bytes(128) + bytes(512)

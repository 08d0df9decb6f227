"""Detect native code (ELF, Mach-O, PE) by its first bytes, since a file's suffix and a wheel's tag can be wrong."""

from __future__ import annotations

from collections.abc import Iterable

from converters.deferred import dataclass, regex

__all__ = ["HEAD", "NativeFile", "abi_of_module", "read_native", "runs_on"]

HEAD = 1024  # bytes that `read_native` needs

_ELF = {
    3: "linux-32",
    21: "linux-ppc64le",
    22: "linux-s390x",
    40: "linux-armv7l",
    62: "linux-64",
    183: "linux-aarch64",
    243: "linux-riscv64",
}
_MACH_O = {0x01000007: "osx-64", 0x0100000C: "osx-arm64"}
_PE = {0x8664: "win-64", 0x014C: "win-32", 0xAA64: "win-arm64"}
_SYSTEMS = {"linux": "Linux", "osx": "macOS", "win": "Windows"}
_MODULE = regex(r"\.(?:cpython-([0-9]+[a-z]*)-[\w-]+\.so|(abi3)\.so|(?:cp([0-9]+t?)-\w+\.)?pyd)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeFile:
    """A file of native code. `subdirs`: where it runs; empty if conda has no such architecture."""

    path: str
    system: str
    subdirs: frozenset[str]

    @property
    def is_windows(self) -> bool:
        return self.system == "Windows"


def read_native(path: str, head: bytes) -> NativeFile | None:
    """Return the system and subdirs of a native file, `None` for any other. `head`: its first `HEAD` bytes."""
    if head.startswith(b"\x7fELF"):
        order = "big" if head[5:6] == b"\x02" else "little"
        return _native(path, "linux", _ELF, [int.from_bytes(head[18:20], order)])  # type: ignore[arg-type]
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe"):
        return _native(path, "osx", _MACH_O, [int.from_bytes(head[4:8], "little")])
    if head[:4] == b"\xca\xfe\xba\xbe":
        count = int.from_bytes(head[4:8], "big")
        if not 0 < count < 20:  # Java classes start with the same bytes, followed by a version of at least 45
            return None
        return _native(
            path, "osx", _MACH_O, [int.from_bytes(head[8 + 20 * i : 12 + 20 * i], "big") for i in range(count)]
        )
    if head[:2] == b"MZ":
        at = int.from_bytes(head[60:64], "little")
        machine = int.from_bytes(head[at + 4 : at + 6], "little") if head[at : at + 4] == b"PE\0\0" else 0
        return _native(path, "win", _PE, [machine])
    return None


def _native(path: str, system: str, known: dict[int, str], machines: Iterable[int]) -> NativeFile:
    subdirs = frozenset(known[machine] for machine in machines if machine in known)
    return NativeFile(path=path, system=_SYSTEMS[system], subdirs=subdirs)


def abi_of_module(path: str) -> str | None:
    """Return the ABI in the suffix of an extension module (`cp313t`, `abi3`; `none`: `.pyd`); `None` of others."""
    suffix = _MODULE.search(path)
    if suffix is None:
        return None
    python = suffix[1] or suffix[3]
    return f"cp{python}" if python else suffix[2] or "none"


def runs_on(files: Iterable[NativeFile]) -> frozenset[str] | None:
    """Return the only subdirs on which a wheel tagged `any` can run, given its native files; `None`: no restriction.

    A wheel with files for several systems chooses among them at run time. Files for Windows only are launchers or .NET
    assemblies (setuptools, pythonnet), unless one is an extension module.
    """
    natives = list(files)
    systems = {file.system for file in natives}
    if len(systems) != 1:
        return None
    if systems == {"Windows"} and all(abi_of_module(file.path) is None for file in natives):
        return None
    return frozenset().union(*(file.subdirs for file in natives))

"""`Interpreter`: the parts of the interpreter that runs bridge, read from `sys` and `sysconfig`.

In a venv it is the base installation. An interpreter that cannot become a relocatable package is refused here
(`host-layout`), or in `relocate` where only its binaries show it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from bridge.errors import UsageError
from converters.deferred import dataclass
from converters.target import SUBDIRS, Python

__all__ = ["FORMAT", "Interpreter", "not_packable"]

FORMAT = 2
"""Part of the identity: increase it whenever the same interpreter gives another package."""

_LEVELS = {"alpha": "a", "beta": "b", "candidate": "rc", "final": ""}
_32_BIT = {"x86_64": "i686", "AMD64": "x86", "aarch64": "armv7l"}  # a 32-bit python on a 64-bit kernel


def not_packable(reason: str, *, context: Iterable[str] = ()) -> UsageError:
    """The error for an interpreter that cannot be packed."""
    return UsageError(
        "host-layout",
        f"the interpreter bridge runs on cannot be packed as a conda package: {reason}",
        context=(f"interpreter: {sys.executable}", f"installation: {sys.base_prefix}", *context),
        hint="take python from a conda channel (--channel NAME), or run bridge with another CPython",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """One installed CPython. Paths are absolute and exist; `None` or `()` means that the installation has none.

    `version` is in conda's form (`3.14.0rc2`), `prefix` is `sys.base_prefix`, `pyconfig` the platform's header (outside
    `include` on Debian), `libraries` are libpython's files and links, `deployment_target` is empty except on macOS.
    """

    version: str
    minor: tuple[int, int]
    free_threaded: bool
    subdir: str
    prefix: Path
    binary: Path
    stdlib: Path
    include: Path | None
    pyconfig: Path | None
    libraries: tuple[Path, ...]
    multiarch: str
    deployment_target: str

    @classmethod
    def of_running(cls) -> Interpreter:
        """The running interpreter. Raises `UsageError` (`host-layout`) if it cannot be packed."""
        _refuse_other_kinds()
        prefix = Path(sys.base_prefix)
        include = Path(sysconfig.get_path("include", "posix_prefix"))
        multiarch = str(sysconfig.get_config_var("MULTIARCH") or "")
        return cls(
            version=_version(),
            minor=sys.version_info[:2],
            free_threaded="t" in sys.abiflags,
            subdir=_subdir(),
            prefix=prefix,
            binary=_binary(prefix),
            stdlib=_stdlib(prefix),
            include=include if include.is_dir() else None,
            pyconfig=_pyconfig(include, multiarch),
            libraries=tuple(_libraries(prefix, multiarch)),
            multiarch=multiarch,
            deployment_target=str(sysconfig.get_config_var("MACOSX_DEPLOYMENT_TARGET") or ""),
        )

    @property
    def abi(self) -> str:
        """`cp311`, or `cp313t` for a free-threaded build (PEP 703); build strings end with it."""
        return f"cp{self.minor[0]}{self.minor[1]}{'t' if self.free_threaded else ''}"

    @property
    def name(self) -> str:
        """`python3.11`, or `python3.13t`: the name of the binary, the standard library and the headers."""
        return f"python{self.minor[0]}.{self.minor[1]}{'t' if self.free_threaded else ''}"

    @property
    def site_packages(self) -> str:
        """The prefix-relative site-packages of the packed interpreter."""
        return Python(version=self.version, free_threaded=self.free_threaded).site_packages

    @property
    def timestamp(self) -> int:
        """The binary's mtime in milliseconds: fixed for one installation."""
        return int(self.binary.stat().st_mtime) * 1000

    @property
    def build(self) -> str:
        """The build string of the packed `python`, different for each installation of one version."""
        return f"host_{self.identity()}_0_{self.abi}"

    def identity(self) -> str:
        """Eight hex digits that stay the same while this installation is unchanged."""
        facts = [str(FORMAT), self.subdir, self.version, self.abi]
        for path in (self.binary, *self.libraries, self.stdlib / "os.py", self.stdlib / "site.py"):
            status = path.stat()
            facts.append(f"{os.path.realpath(path)} {status.st_size} {status.st_mtime_ns}")
        return hashlib.sha256("\n".join(facts).encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _refuse_other_kinds() -> None:
    if sys.implementation.name != "cpython":
        raise not_packable(f"it is {sys.implementation.name}, not CPython")
    if os.name != "posix":
        raise not_packable(f"bridge packs only on Linux and macOS, not on {sys.platform}")
    if getattr(sys, "frozen", False):
        raise not_packable("it is embedded in a frozen application")
    if "d" in sys.abiflags:
        raise not_packable("it is a debug build, for which there are no wheels and no conda packages")
    if sysconfig.is_python_build():
        raise not_packable("it runs from its build directory and is not installed")
    if getattr(sys, "_framework", ""):
        raise not_packable("it is a macOS framework build, which finds its parts by absolute paths")
    if sys.base_prefix == "/":
        raise not_packable("it is installed in the root directory, so its files cannot be told from others")
    if sys.platlibdir != "lib":
        raise not_packable(f"it keeps its modules in {sys.platlibdir!r}, where conda packages have 'lib'")


def _version() -> str:
    info = sys.version_info
    level = _LEVELS[info.releaselevel]
    return f"{info.major}.{info.minor}.{info.micro}{level}{info.serial if level else ''}"


def _subdir() -> str:
    machine = platform.machine()
    if sys.maxsize < 1 << 32:
        machine = _32_BIT.get(machine, machine)
    for subdir, (sys_platform, _, _, known, _) in SUBDIRS.items():
        if (sys_platform, known) == (sys.platform, machine):
            return subdir
    raise not_packable(f"conda has no platform for {sys.platform} on {machine}")


def _stdlib(prefix: Path) -> Path:
    """The standard library, which must have its place in a conda package: the binary finds it beside itself."""
    actual = os.path.realpath(sysconfig.get_path("stdlib", "posix_prefix"))
    expected = prefix / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}{sys.abiflags}"
    context = (f"found: {actual}", f"expected: {expected}")
    if not os.path.isfile(os.path.join(actual, "os.py")):
        raise not_packable("its standard library is not a directory of modules", context=context)
    if actual != os.path.realpath(expected):
        raise not_packable("its standard library is not where a conda package has it", context=context)
    return Path(actual)


def _binary(prefix: Path) -> Path:
    """The installation's own executable; `sys._base_executable` may be a copy in a venv, or another program."""
    base = getattr(sys, "_base_executable", "") or ""
    major, minor = sys.version_info[:2]
    candidates = [prefix / "bin" / f"python{major}.{minor}{sys.abiflags}", prefix / "bin" / f"python{major}.{minor}"]
    for candidate in (*candidates, Path(base)):
        if candidate.is_file():
            return Path(os.path.realpath(candidate))
    raise not_packable("its executable was not found", context=(f"looked for: {candidates[0]}",))


def _pyconfig(include: Path, multiarch: str) -> Path | None:
    """The real pyconfig.h: Debian's in `include` only includes one in a directory of the architecture."""
    for candidate in (include.parent / multiarch / include.name / "pyconfig.h", include / "pyconfig.h"):
        if candidate.is_file():
            return candidate
    return None


def _libraries(prefix: Path, multiarch: str) -> Iterator[Path]:
    """The files of libpython, from the first directory with any."""
    major, minor = sys.version_info[:2]
    stem = f"libpython{major}.{minor}{sys.abiflags}"
    configured = Path(str(sysconfig.get_config_var("LIBDIR") or prefix / "lib"))
    for directory in dict.fromkeys((prefix / "lib", prefix / "lib" / multiarch, configured)):
        libraries = [*directory.glob(f"{stem}.so*"), *directory.glob(f"{stem}.dylib")]
        if libraries and Path(os.path.realpath(directory)).is_relative_to(os.path.realpath(prefix)):
            stub = directory / f"libpython{major}{sys.abiflags}.so"
            if stub.is_file() and f"{stem}.so".encode() in stub.read_bytes():
                libraries.append(stub)  # the stable ABI's; in a shared directory it may belong to another python
            yield from sorted(path for path in libraries if path.is_file())
            return

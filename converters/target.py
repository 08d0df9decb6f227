"""`Target`: the platform and python a package is chosen for, with its wheel tags and marker environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from converters.deferred import dataclass, regex, replace

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["POSIX", "SUBDIRS", "WINDOWS", "PrefixLayout", "Python", "Target", "overridden"]

# subdir -> (sys_platform, os_name, platform_system, platform_machine, architecture in a wheel tag)
SUBDIRS: dict[str, tuple[str, str, str, str, str]] = {
    "linux-64": ("linux", "posix", "Linux", "x86_64", "x86_64"),
    "linux-aarch64": ("linux", "posix", "Linux", "aarch64", "aarch64"),
    "linux-ppc64le": ("linux", "posix", "Linux", "ppc64le", "ppc64le"),
    "linux-s390x": ("linux", "posix", "Linux", "s390x", "s390x"),
    "linux-riscv64": ("linux", "posix", "Linux", "riscv64", "riscv64"),
    "linux-armv7l": ("linux", "posix", "Linux", "armv7l", "armv7l"),
    "linux-32": ("linux", "posix", "Linux", "i686", "i686"),
    "osx-64": ("darwin", "posix", "Darwin", "x86_64", "x86_64"),
    "osx-arm64": ("darwin", "posix", "Darwin", "arm64", "arm64"),
    "win-64": ("win32", "nt", "Windows", "AMD64", "amd64"),
    "win-32": ("win32", "nt", "Windows", "x86", "win32"),
    "win-arm64": ("win32", "nt", "Windows", "ARM64", "arm64"),
}

_PLAIN_PYTHON = regex(r"([0-9]{1,3})\.([0-9]{1,3})(?:\.[0-9]{1,9})*\Z")
# glibc version → legacy alias (PEP 600).
_LEGACY_MANYLINUX = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
_OLDEST_GLIBC_MINOR = {"x86_64": 5, "i686": 5}  # PEP 600; manylinux2014 and later elsewhere
_DEFAULT_GLIBC_MINOR = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Python:
    """The CPython of a target: its full version (conda's text) and whether the build is free-threaded (PEP 703)."""

    version: str
    free_threaded: bool = False

    @property
    def minor(self) -> tuple[int, int]:
        """`(major, minor)`. Raises `ValueError` for a version that PEP 440 cannot parse."""
        return _minor(self.version)

    @property
    def site_packages(self) -> str:
        """The prefix-relative site-packages directory on a POSIX target (CEP 17 for free-threaded builds)."""
        return f"lib/python{self.minor[0]}.{self.minor[1]}{'t' if self.free_threaded else ''}/site-packages"


@lru_cache(maxsize=64)
def _minor(version: str) -> tuple[int, int]:
    plain = _PLAIN_PYTHON.match(version)
    if plain is not None:
        return int(plain[1]), int(plain[2])
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - most are plain

    try:
        release = Version(version).release
    except InvalidVersion as error:
        raise ValueError(f"the python version {version!r} is not a PEP 440 version") from error
    return release[0], release[1] if len(release) > 1 else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixLayout:
    """Where an environment has its interpreter, modules and commands: sysconfig's `posix_prefix` or, on Windows, `nt`.

    Paths are prefix-relative.
    """

    is_windows: bool = False

    @property
    def scripts(self) -> str:
        """The directory of commands."""
        return "Scripts" if self.is_windows else "bin"

    def site_packages(self, python: Python) -> str:
        """The default directory of modules; a python's record may name another one (CEP 17)."""
        return "Lib/site-packages" if self.is_windows else python.site_packages

    def interpreter(self, python: Python) -> str:
        """The program that scripts name in their first line."""
        major, minor = python.minor
        return "python.exe" if self.is_windows else f"bin/python{major}.{minor}"

    def headers(self, python: Python) -> str:
        """The directory below which pip places the headers of each project."""
        major, minor = python.minor
        return "Include" if self.is_windows else f"include/python{major}.{minor}{'t' if python.free_threaded else ''}"

    def command_of_conda(self, name: str) -> tuple[str, ...]:
        """The files of an entry point of a noarch python package: on Windows a launcher and the script it starts."""
        path = f"{self.scripts}/{name}"
        return (f"{path}-script.py", f"{path}.exe") if self.is_windows else (path,)

    def command_of_wheel(self, name: str) -> str:
        """The file of an entry point of a wheel: on Windows one launcher that contains the script, as from pip."""
        return f"{self.scripts}/{name}{'.exe' if self.is_windows else ''}"


POSIX = PrefixLayout()
WINDOWS = PrefixLayout(is_windows=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A conda subdir, its virtual packages as `(name, version, build)`, and the python once it is chosen."""

    subdir: str
    virtual_packages: tuple[tuple[str, str, str], ...] = ()
    python: Python | None = None

    def __post_init__(self) -> None:
        if self.subdir not in SUBDIRS:
            raise ValueError(f"unknown platform {self.subdir!r}; known: {', '.join(sorted(SUBDIRS))}")

    def with_python(self, python: Python) -> Target:
        """Return the same target with another python."""
        return replace(self, python=python)

    def virtual(self, name: str) -> str | None:
        """Return the version of a virtual package (`__glibc`), or `None` if the target lacks it."""
        return next((version for virtual, version, _ in self.virtual_packages if virtual == name), None)

    @property
    def is_windows(self) -> bool:
        return self.subdir.startswith("win-")

    @property
    def layout(self) -> PrefixLayout:
        """The layout of an environment of this target."""
        return WINDOWS if self.is_windows else POSIX

    def platform_tags(self) -> tuple[str, ...]:
        """Return the wheel platform tags that run on this target, best first (PEP 600).

        The version of `__glibc` or `__osx` limits them; without `__glibc` no manylinux tag fits. musllinux (PEP 656)
        never fits, since no conda subdir uses musl.
        """
        return _platform_tags(self.subdir, self.virtual("__glibc"), self.virtual("__osx"))

    def tags(self) -> tuple[Tag, ...]:
        """Return all wheel tags of the chosen python, best first (PEP 425). Raises `ValueError` without a python."""
        if self.python is None:
            raise ValueError("a target's wheel tags need a python")
        return python_tags(self.python.minor, self.python.free_threaded, self.platform_tags())

    def tag_ranks(self) -> Mapping[Tag, int]:
        """Return the place of each of `tags` among them, 0 for the best. Raises `ValueError` without a python."""
        if self.python is None:
            raise ValueError("a target's wheel tags need a python")
        return tag_ranks(self.python.minor, self.python.free_threaded, self.platform_tags())

    def marker_environment(self, python: Python | None = None) -> dict[str, str]:
        """Return the PEP 508 environment of this target. Raises `ValueError` without a python.

        `platform_release` and `platform_version` are empty: they describe a machine, and a target is a platform.
        """
        chosen = python or self.python
        if chosen is None:
            raise ValueError("a target's marker environment needs a python")
        sys_platform, os_name, system, machine, _ = SUBDIRS[self.subdir]
        major, minor = chosen.minor
        return {
            "implementation_name": "cpython",
            "implementation_version": chosen.version,
            "os_name": os_name,
            "platform_machine": machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": system,
            "platform_version": "",
            "python_full_version": chosen.version,
            "python_version": f"{major}.{minor}",
            "sys_platform": sys_platform,
        }


def overridden(
    known: Iterable[tuple[str, str, str]], given: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str, str], ...]:
    """Return virtual packages, as (name, version, build), with others in place of some.

    :param given: name and VERSION[=BUILD]; without a build the known one stays, and an empty version removes one.
    """
    named = {name: (version, build) for name, version, build in known}
    for name, text in given:
        version, _, build = text.partition("=")
        named[name] = (version, build or named.get(name, ("", "0"))[1])
    return tuple((name, version, build) for name, (version, build) in named.items() if version)


@lru_cache(maxsize=64)
def python_tags(minor: tuple[int, int], free_threaded: bool, platforms: tuple[str, ...]) -> tuple[Tag, ...]:
    """Return the tags of CPython `minor` on `platforms`, best first; a free-threaded build takes no `abi3`."""
    from packaging.tags import compatible_tags, cpython_tags  # noqa: PLC0415 - slow to import; lists need no tags

    nodot = f"cp{minor[0]}{minor[1]}"
    abi = nodot + ("t" if free_threaded else "")
    specific = cpython_tags(minor, [abi], platforms)
    kept = [tag for tag in specific if not (free_threaded and tag.abi == "abi3")]
    return (*kept, *compatible_tags(minor, nodot, platforms))


@lru_cache(maxsize=256)
def tag_ranks(minor: tuple[int, int], free_threaded: bool, platforms: tuple[str, ...]) -> Mapping[Tag, int]:
    """Return the place of each of `python_tags` among them, 0 for the best."""
    ranks: dict[Tag, int] = {}
    for place, tag in enumerate(python_tags(minor, free_threaded, platforms)):
        ranks.setdefault(tag, place)
    return ranks


@lru_cache(maxsize=64)
def _platform_tags(subdir: str, glibc: str | None, osx: str | None) -> tuple[str, ...]:
    system, _, _, _, arch = SUBDIRS[subdir]
    if system == "win32":
        return ("win32",) if arch == "win32" else (f"win_{arch}",)
    if system == "darwin":
        from packaging.tags import mac_platforms  # noqa: PLC0415 - as above

        floor = _pair(osx) if osx else ((11, 0) if arch == "arm64" else (10, 13))
        return tuple(mac_platforms(floor, arch))
    tags: list[str] = []
    if glibc is not None:
        major, newest = _pair(glibc)
        oldest = _OLDEST_GLIBC_MINOR.get(arch, _DEFAULT_GLIBC_MINOR)
        for minor in range(newest, oldest - 1, -1) if major == 2 else ():
            tags.append(f"manylinux_2_{minor}_{arch}")
            if (2, minor) in _LEGACY_MANYLINUX:
                tags.append(f"{_LEGACY_MANYLINUX[2, minor]}_{arch}")
    return (*tags, f"linux_{arch}")


def _pair(text: str) -> tuple[int, int]:
    parts = (*text.split("."), "0")
    try:
        return int(parts[0]), int(parts[1])
    except ValueError as error:
        raise ValueError(f"not a version of the form MAJOR.MINOR: {text!r}") from error

"""Map wheel tags to subdirs, pythons and virtual packages (PEP 425, 600, 656, 703; CEP 20).

docs/conversion.md has the table of tags and packages. A `py37` tag fits python 3.7 and all later minor versions. An
abi3 wheel becomes one package for all minor versions (CEP 20), as in conda-forge. The package depends on `python_abi`
and not on conda-forge's helper packages, which other channels do not have.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag
from packaging.version import Version

from converters.errors import UnsafeInputError
from converters.native import NativeFile, abi_of_module, runs_on
from converters.target import SUBDIRS, Python, Target

__all__ = ["Fit", "fits", "fits_at", "misfit", "tags_of_modules"]

_LINUX = {architecture: subdir for subdir, (system, _, _, _, architecture) in SUBDIRS.items() if system == "linux"}
_MACOS = {"x86_64": ["osx-64"], "arm64": ["osx-arm64"], "universal2": ["osx-64", "osx-arm64"]}
_MACOS |= {architectures: ["osx-64"] for architectures in ("intel", "fat64", "universal")}
_WINDOWS = {"win32": "win-32", "win_amd64": "win-64", "win_arm64": "win-arm64"}
_LEGACY_GLIBC = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_MANYLINUX = re.compile(r"manylinux_([0-9]+)_([0-9]+)_(\w+)\Z")
_LEGACY = re.compile(r"(manylinux1|manylinux2010|manylinux2014)_(\w+)\Z")
_MACOSX = re.compile(r"macosx_([0-9]+)_([0-9]+)_(\w+)\Z")
_PYTHON = re.compile(r"(py|cp)([23])([0-9]*)\Z")
_ABI = re.compile(r"cp([23])([0-9]+)(t|mu|m|)\Z")
_OLDEST_ARM64 = (11, 0)  # the oldest macOS on arm64
_ABI_RANK = {"none": 2, "abi3": 1, "abi3t": 1}  # the ABI of one minor version is best

_STABLE = {"abi3": "python_abi * *_cp*", "abi3t": "python_abi * *_cp*t"}
# The builds of python_abi for free-threaded pythons (`8_cp314t`) do not support abi3 (PEP 703), and no glob excludes
# them. This regular expression (CEP 29: `^…$`) does, because the others have at most two characters after `cp3`. It has
# no brackets, which libsolv cannot read, no bars and no groups, which conda cannot; strict readers of `depends` see
# only the glob.
_WITH_GIL = "python_abi * ^.*_cp3..?$"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A subdir and range of pythons that a wheel supports.

    `abi` is `none`, `abi3`, `abi3t`, or that of one minor version (`cp312`, `cp313t`); then `python` is that version.
    `depends` are MatchSpecs of virtual packages and `python_abi`, `constrains` of `python_abi`; all are positional
    (CEP 29), because libsolv reads no other form.
    """

    subdir: str
    abi: str
    pythons: SpecifierSet
    python: Python | None
    depends: tuple[str, ...]
    constrains: tuple[str, ...] = ()

    @property
    def is_portable(self) -> bool:
        return self.subdir == "noarch"


@dataclass(frozen=True, slots=True)
class _Pythons:
    abi: str
    minor: tuple[int, int] | None
    floor: tuple[int, int]


def fits(tags: Iterable[Tag]) -> tuple[Fit, ...]:
    """Return all fits of a wheel with these tags, in a fixed order; none if no conda python can run it.

    Tags that differ only in the platform version (`manylinux_2_17`, `manylinux_2_28`) give one fit, with the lower one.
    """
    floors: dict[tuple[str, _Pythons], tuple[str, tuple[int, int]] | None] = {}
    for tag in sorted(tags, key=str):
        pythons = _pythons(tag)
        if pythons is None:
            continue
        for subdir, floor in _platforms(tag.platform):
            known = floors.get((subdir, pythons), floor)
            floors[subdir, pythons] = None if known is None or floor is None else min(known, floor)
    unordered = [_fit(subdir, pythons, floor) for (subdir, pythons), floor in floors.items()]
    return tuple(sorted(unordered, key=lambda fit: (fit.subdir, fit.abi, str(fit.pythons))))


def tags_of_modules(natives: Sequence[NativeFile], tags: Collection[Tag]) -> Collection[Tag]:
    """Return the tags that the extension modules of a wheel tagged `any` should have given it; without any, `tags`.

    pip installs such a wheel everywhere, but only the pythons and platforms of its modules can import them.
    """
    abis = {abi for file in natives if (abi := abi_of_module(file.path)) is not None}
    platforms = [Target(subdir=subdir).platform_tags()[0] for subdir in runs_on(natives) or () if abis]
    named = [
        ("py3", abi) if abi == "none" else ("cp32", abi) if abi == "abi3" else (abi.rstrip("tmu"), abi) for abi in abis
    ]
    return {Tag(python, abi, platform) for python, abi in named for platform in platforms} or tags


def fits_at(everywhere: Sequence[Fit], subdir: str, version: str) -> tuple[Fit, ...]:
    """Return the best of a wheel's fits on `subdir` for a full python version, one for each kind of its builds.

    The ABI of the build is better than abi3, and abi3 than none; free-threaded builds have abi3t instead (PEP 803).
    """
    if len(everywhere) == 1:
        return tuple(everywhere)
    here = [fit for fit in everywhere if fit.subdir in ("noarch", subdir) and fit.pythons.contains(version)]
    with_gil = [fit for fit in here if not fit.abi.endswith("t")]
    free_threaded = [fit for fit in here if fit.abi == "none" or fit.abi.endswith("t")]
    return tuple(dict.fromkeys(min(group, key=_rank) for group in (with_gil, free_threaded) if group))


def _rank(fit: Fit) -> tuple[int, bool, Version]:
    """Of equal fits the one that serves most is best: all platforms, and the oldest python with those after it."""
    return _ABI_RANK.get(fit.abi, 0), not fit.is_portable, min(Version(clause.version) for clause in fit.pythons)


def _fit(subdir: str, pythons: _Pythons, floor: tuple[str, tuple[int, int]] | None) -> Fit:
    depends = [f"{floor[0]} >={floor[1][0]}.{floor[1][1]}"] if floor is not None else []
    if pythons.minor is None:
        stable = _STABLE.get(pythons.abi)
        return Fit(
            subdir=subdir,
            abi=pythons.abi,
            pythons=SpecifierSet(f">={pythons.floor[0]}.{pythons.floor[1]}"),
            python=None,
            depends=(*depends, stable) if stable else tuple(depends),
            constrains=(_WITH_GIL,) if pythons.abi == "abi3" else (),
        )
    major, minor = pythons.minor
    if pythons.abi != "none":
        depends.insert(0, f"python_abi {major}.{minor}.* *_{pythons.abi}")
    return Fit(
        subdir=subdir,
        abi=pythons.abi,
        pythons=SpecifierSet(f">={major}.{minor},<{major}.{minor + 1}"),
        python=Python(version=f"{major}.{minor}.0", free_threaded=pythons.abi.endswith("t")),
        depends=tuple(depends),
    )


def _pythons(tag: Tag) -> _Pythons | None:
    """Return the pythons and ABI of a tag; `None`: not for CPython 3."""
    named = _PYTHON.match(tag.interpreter)
    if named is None or (tag.abi != "none" and tag.platform == "any"):
        return None  # no installer supports an ABI on any platform
    kind, major, minor = named.group(1), int(named.group(2)), int(named.group(3) or 0)
    if kind == "py":
        return _Pythons("none", None, (major, minor)) if tag.abi == "none" and major == 3 else None
    if not named.group(3):
        return None  # no installer supports `cp3`
    if tag.abi in _STABLE:
        return _Pythons(tag.abi, None, (major, minor)) if major == 3 else None
    abi = _ABI.match(tag.abi)
    is_own = abi is not None and (int(abi.group(1)), int(abi.group(2))) == (major, minor)
    return _Pythons(tag.abi, (major, minor), (major, minor)) if is_own or tag.abi == "none" else None


def _platforms(platform: str) -> list[tuple[str, tuple[str, tuple[int, int]] | None]]:
    """Return (subdir, (virtual package, lowest version)) for a platform tag; empty: conda has no such platform."""
    if platform == "any":
        return [("noarch", None)]
    if platform in _WINDOWS:
        return [(_WINDOWS[platform], None)]
    if match := _MANYLINUX.match(platform):
        return _on_linux(match.group(3), (int(match.group(1)), int(match.group(2))))
    if match := _LEGACY.match(platform):
        return _on_linux(match.group(2), _LEGACY_GLIBC[match.group(1)])
    if match := _MACOSX.match(platform):
        floor = (int(match.group(1)), int(match.group(2)))
        return [
            (subdir, ("__osx", max(floor, _OLDEST_ARM64) if subdir == "osx-arm64" else floor))
            for subdir in _MACOS.get(match.group(3), [])
        ]
    if platform.startswith("linux_") and platform.removeprefix("linux_") in _LINUX:
        return [(_LINUX[platform.removeprefix("linux_")], None)]
    return []


def _on_linux(architecture: str, glibc: tuple[int, int]) -> list[tuple[str, tuple[str, tuple[int, int]] | None]]:
    return [(_LINUX[architecture], ("__glibc", glibc))] if architecture in _LINUX else []


def misfit(filename: str, tags: Iterable[Tag]) -> UnsafeInputError:
    """Return the error for a wheel without any fit."""
    tags = frozenset(tags)
    if all("musllinux" in tag.platform for tag in tags):
        problem = f"{filename} is built for musl, and every conda platform of Linux has glibc"
        hint: str | None = "take the manylinux wheel of the same version"
    elif not any(map(_pythons, tags)):
        problem = f"{filename} is not for CPython 3, the only python that bridge makes packages for"
        hint = None
    else:
        problem = f"{filename} is for a platform that conda does not have"
        hint = None
    return UnsafeInputError("wheel-tag", problem, context=(f"tags: {', '.join(sorted(map(str, tags)))}",), hint=hint)

"""Wheel tags in conda's terms: which subdirs, which pythons, which floors (PEP 425, 600, 656, 703; CEP 20).

| wheel tag | package |
|---|---|
| `py3-none-any` | `noarch`, python >=3.0 |
| `py37-none-any` | `noarch`, python >=3.7: a `py` tag fits that version and all later ones of the same major |
| `cp312-none-any` | `noarch`, python 3.12 only |
| `py3-none-manylinux_2_17_x86_64` | `linux-64`, any python, `__glibc >=2.17` |
| `cp312-cp312-…` | one subdir, python 3.12, `python_abi 3.12.* *_cp312` |
| `cp313-cp313t-…` | one subdir, python 3.13, `python_abi 3.13.* *_cp313t` |
| `cp39-abi3-…` | one subdir, python >=3.9, and a `python_abi` that is not free-threaded |
| `macosx_10_13_universal2` | `osx-64` or `osx-arm64`: one package for each |
| `musllinux_…` | refused: no conda subdir is musl |

Of an abi3 wheel one package is made for all minors, in the layout of CEP 20 (`noarch: python` in a platform's subdir),
as conda-forge does (149 such records in a snapshot of its linux-64). It asks for `python_abi` rather than for
conda-forge's own helper packages, so that it can be installed from channels that do not have those.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag

from converters.errors import UnsafeInputError
from converters.target import SUBDIRS, Python, Target

__all__ = ["Fit", "choose_fit", "fits", "targets_of"]

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
_OLDEST_ARM64 = (11, 0)  # no macOS on arm64 is older, whatever the tag says

# Any build of python_abi but a free-threaded one: abi3 is not the ABI of those (PEP 703). A build string is matched as
# a regular expression where it begins with ^ and ends with $ (CEP 29).
_GIL = r"python_abi[build='^.*_cp\d+m?$']"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One way in which a wheel fits: where it runs, on which pythons, and what it needs there.

    `abi` is `none`, `abi3`, or that of one minor (`cp312`, `cp313t`); `python` is that minor, where it is only one.
    `depends` are MatchSpecs on virtual packages and on `python_abi`.
    """

    subdir: str
    abi: str
    pythons: SpecifierSet
    python: Python | None
    depends: tuple[str, ...]

    @property
    def is_portable(self) -> bool:
        return self.subdir == "noarch"


@dataclass(frozen=True, slots=True)
class _Pythons:
    abi: str
    minor: tuple[int, int] | None
    floor: tuple[int, int]


def fits(tags: Iterable[Tag]) -> tuple[Fit, ...]:
    """Every way in which a wheel of these tags fits a conda package, in a fixed order; none: no conda python runs it.

    Tags that differ in their floor only (`manylinux_2_17` and `manylinux_2_28`) are one way, with the lower floor: the
    wheel says that it runs there.
    """
    floors: dict[tuple[str, _Pythons], tuple[str, tuple[int, int]] | None] = {}
    for tag in sorted(tags, key=str):
        pythons = _pythons(tag)
        if pythons is None:
            continue
        for subdir, floor in _platforms(tag.platform):
            known = floors.get((subdir, pythons), floor)
            floors[subdir, pythons] = None if known is None or floor is None else min(known, floor, key=_version)
    found = [_fit(subdir, pythons, floor) for (subdir, pythons), floor in floors.items()]
    return tuple(sorted(found, key=lambda fit: (fit.subdir, fit.abi, str(fit.pythons))))


def choose_fit(filename: str, tags: Iterable[Tag], target: Target | None) -> Fit:
    """The way that suits `target` best: its own minor's ABI, then abi3, then none; the only one, where there is one.

    A wheel that fits one python only is a package for that python, whatever python the target has. Raises
    `UnsafeInputError` (`wheel-tag`) where the wheel does not run on the target's platform, or where it fits several
    pythons and the target's is none of them.
    """
    tags = frozenset(tags)
    found = fits(tags)
    here = [fit for fit in found if fit.is_portable or (target is not None and fit.subdir == target.subdir)]
    if not here:
        raise _misfit(filename, tags, found, target)
    minor = target.python.minor if target is not None and target.python is not None else None
    suitable = [fit for fit in here if minor is None or fit.pythons.contains(f"{minor[0]}.{minor[1]}.99")]
    if len(here) == 1:
        return here[0]
    if not suitable or (minor is None and all(fit.python for fit in here)):
        pythons = ", ".join(sorted({str(fit.pythons) for fit in here}))
        raise UnsafeInputError(
            "wheel-tag",
            f"{filename} fits several pythons, and which one is meant is not said",
            context=(f"pythons: {pythons}",),
            hint="name the python to convert for",
        )
    free = bool(target and target.python and target.python.free_threaded)
    return min(suitable, key=lambda fit: (_is_free_threaded(fit) != free, _rank(fit), str(fit.pythons)))


def targets_of(tags: Iterable[Tag], default: Target) -> tuple[Target, ...]:
    """The targets to convert a wheel for: `default` where it runs there, else one for each platform it is made for.

    Where it is made for several pythons, and that of `default` is none of them, the newest takes its place. Raises
    nothing: without any fit it is `default`, and `choose_fit` says why not.
    """
    found = fits(tags)
    if not found:
        return (default,)
    targets = [default]
    if not any(fit.subdir in ("noarch", default.subdir) for fit in found):
        targets = [
            Target(subdir=subdir, python=default.python) for subdir in dict.fromkeys(fit.subdir for fit in found)
        ]
    return tuple(_with_a_python(target, found) for target in targets)


def _with_a_python(target: Target, found: Iterable[Fit]) -> Target:
    here = [fit for fit in found if fit.is_portable or fit.subdir == target.subdir]
    pythons = [fit.python for fit in here if fit.python is not None]
    if target.python is None or len(here) < 2 or len(pythons) < len(here):
        return target
    major, minor = target.python.minor
    if any(fit.pythons.contains(f"{major}.{minor}.99") for fit in here):
        return target
    return target.with_python(max(pythons, key=lambda python: (python.minor, not python.free_threaded)))


def _rank(fit: Fit) -> int:
    return {"none": 2, "abi3": 1}.get(fit.abi, 0)


def _is_free_threaded(fit: Fit) -> bool:
    return fit.abi.endswith("t")


def _version(floor: tuple[str, tuple[int, int]]) -> tuple[int, int]:
    return floor[1]


def _fit(subdir: str, pythons: _Pythons, floor: tuple[str, tuple[int, int]] | None) -> Fit:
    depends = [f"{floor[0]} >={floor[1][0]}.{floor[1][1]}"] if floor is not None else []
    if pythons.minor is None:
        if pythons.abi == "abi3":
            depends.append(_GIL)
        specifier = f">={pythons.floor[0]}.{pythons.floor[1]}"
        return Fit(subdir=subdir, abi=pythons.abi, pythons=SpecifierSet(specifier), python=None, depends=tuple(depends))
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
    """What a tag's first two parts say of python; `None`: nothing that conda's CPython 3 is."""
    named = _PYTHON.match(tag.interpreter)
    if named is None or (tag.abi != "none" and tag.platform == "any"):
        return None  # no installer knows an ABI on any platform
    kind, major, minor = named.group(1), int(named.group(2)), int(named.group(3) or 0)
    if kind == "py":
        return _Pythons("none", None, (major, minor)) if tag.abi == "none" and major == 3 else None
    if not named.group(3):
        return None  # `cp3` names no interpreter that any installer knows
    if tag.abi == "abi3":
        return _Pythons("abi3", None, (major, minor)) if major == 3 else None
    abi = _ABI.match(tag.abi)
    is_own = abi is not None and (int(abi.group(1)), int(abi.group(2))) == (major, minor)
    return _Pythons(tag.abi, (major, minor), (major, minor)) if is_own or tag.abi == "none" else None


def _platforms(platform: str) -> list[tuple[str, tuple[str, tuple[int, int]] | None]]:
    """Subdirs and floors (virtual package and version) of a platform tag; none: conda has no such platform."""
    if platform == "any":
        return [("noarch", None)]
    if platform in _WINDOWS:
        return [(_WINDOWS[platform], None)]
    if found := _MANYLINUX.match(platform):
        return _on_linux(found.group(3), (int(found.group(1)), int(found.group(2))))
    if found := _LEGACY.match(platform):
        return _on_linux(found.group(2), _LEGACY_GLIBC[found.group(1)])
    if found := _MACOSX.match(platform):
        floor = (int(found.group(1)), int(found.group(2)))
        return [
            (subdir, ("__osx", max(floor, _OLDEST_ARM64) if subdir == "osx-arm64" else floor))
            for subdir in _MACOS.get(found.group(3), [])
        ]
    if platform.startswith("linux_") and platform.removeprefix("linux_") in _LINUX:
        return [(_LINUX[platform.removeprefix("linux_")], None)]
    return []


def _on_linux(architecture: str, glibc: tuple[int, int]) -> list[tuple[str, tuple[str, tuple[int, int]] | None]]:
    return [(_LINUX[architecture], ("__glibc", glibc))] if architecture in _LINUX else []


def _misfit(filename: str, tags: frozenset[Tag], found: Iterable[Fit], target: Target | None) -> UnsafeInputError:
    """Why a wheel has no fit on the target, in the person's words."""
    subdirs = sorted({fit.subdir for fit in found})
    platforms = sorted({tag.platform for tag in tags})
    if subdirs:
        place = f"not on {target.subdir}" if target is not None else "on one platform only"
        problem = f"{filename} runs on {', '.join(subdirs)}, {place}"
        hint: str | None = f"convert it for that platform: --platform {subdirs[0]}"
    elif all("musllinux" in platform for platform in platforms):
        problem = f"{filename} is built for musl, and every conda platform of Linux has glibc"
        hint = "take the manylinux wheel of the same version"
    elif not any(map(_pythons, tags)):
        problem = f"{filename} is for no python that conda packages are made for here (CPython 3)"
        hint = None
    else:
        problem = f"{filename} is for a platform that conda does not have"
        hint = None
    return UnsafeInputError("wheel-tag", problem, context=(f"tags: {', '.join(sorted(map(str, tags)))}",), hint=hint)

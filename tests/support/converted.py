"""The one of a wheel's packages that a target would install, as its record says."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from rattler import Version, VersionSpec

from bridge.convert.wheel import ConvertedPackage, convert_wheel
from converters.names import NameMap
from converters.target import Target

__all__ = ["convert_for", "serves", "serving"]

Package = TypeVar("Package")
_SYSTEMS = {"linux": ("__unix", "__linux"), "osx": ("__unix", "__osx"), "win": ("__win",)}


def serves(subdir: str, depends: Iterable[str], place: tuple[str, str], *, free_threaded: bool = False) -> bool:
    """Whether a package of `subdir` with `depends` can be installed on a subdir with a python version."""
    here, python = place
    systems = _SYSTEMS[here.split("-")[0]]
    for text in depends:
        name, _, rest = text.partition(" ")
        version, _, build = rest.partition(" ")
        if name in ("__unix", "__linux", "__osx", "__win") and name not in systems:
            return False
        if name == "python" and version and not VersionSpec(version).matches(Version(python)):
            return False
        if name == "python_abi" and build.endswith("t") != free_threaded:
            return False
    return subdir in ("noarch", here)


def serving(packages: Iterable[tuple[Package, str, Iterable[str]]], target: Target | None) -> Package:
    """Return the package for `target`, of packages with their subdirs and `depends`; without a target the only one.

    If none is for the python of the target, the last one for its platform.
    """
    found = list(packages)
    if target is None:
        ((package, _, _),) = found
        return package
    version = target.python.version if target.python is not None else "3.12.4"
    is_free = target.python is not None and target.python.free_threaded
    place = (target.subdir, version)
    for package, subdir, depends in found:
        if serves(subdir, depends, place, free_threaded=is_free):
            return package
    return [package for package, subdir, _ in found if subdir in ("noarch", target.subdir)][-1]


def convert_for(wheel: Path, output: Path, target: Target | None, **options: Any) -> ConvertedPackage:  # noqa: ANN401
    """Convert a wheel, and return the package for `target`."""
    platforms = () if target is None else (target.subdir,)
    defaults: dict[str, Any] = {"names": NameMap.empty(), "platforms": platforms}
    made = convert_wheel(wheel, output, **(defaults | options)).all
    return serving([(each, each.record.subdir, each.record.requirements) for each in made], target)

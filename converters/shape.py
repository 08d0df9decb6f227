"""Choose the subdir, the python versions and the layout of the package that a wheel becomes.

The package of a pure wheel is `noarch` if its requirements are the same on all platforms and python 3.9 to 3.14. If
markers make them differ, it is made for the target: limited to the pythons with the same requirements, and placed in
the target's subdir only if needed. It is `noarch: python` in both cases (CEP 20).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from converters.dependencies import WheelRequirements, span_of
from converters.errors import UnsafeInputError
from converters.layout import PackageLayout
from converters.markers import Span
from converters.native import NativeFile, is_extension_module, runs_on
from converters.payload import Manifest
from converters.tags import Fit
from converters.target import SUBDIRS, Python, Target

__all__ = ["Shape", "shape_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The subdir, layout and pythons of a package.

    `pythons` combines Requires-Python, tags, markers and headers. `label` is the start of the build string.
    """

    subdir: str
    layout: PackageLayout
    pythons: SpecifierSet
    label: str
    span: Span


def shape_of(
    wheel: Manifest, fit: Fit, natives: Sequence[NativeFile], requirements: WheelRequirements, target: Target | None
) -> Shape:
    """Decide subdir, layout and pythons. `natives`: the native files of a wheel whose platform tag is `any`.

    Raises `UnsafeInputError`: `wheel-tag`, `not-portable`, `requires-python`.
    """
    subdirs = _subdirs(wheel.filename, fit, natives, target)
    pythons = requirements.requires_python & fit.pythons
    built_for = None if fit.abi in ("none", "abi3") else fit.python
    if built_for is None and _has_headers(wheel):
        built_for = _python_of(wheel.filename, target)
        subdirs = [subdir for subdir in subdirs if target is not None and subdir == target.subdir]
        pythons &= _only(built_for)
    span = span_of(requirements, pythons, subdirs, target)
    subdir = _subdir(fit, span, target)
    is_pinned = built_for is not None and not subdir.startswith("win-")
    return Shape(
        subdir=subdir,
        layout=PackageLayout.pinned(built_for)
        if built_for is not None and is_pinned
        else PackageLayout.portable(subdir),
        pythons=pythons & span.pythons,
        label=_label(built_for or fit.python, span),
        span=span,
    )


def _subdir(fit: Fit, span: Span, target: Target | None) -> str:
    if not fit.is_portable or target is None or len(span.subdirs) == len(SUBDIRS):
        return fit.subdir
    return target.subdir


def _has_headers(wheel: Manifest) -> bool:
    headers = tuple(f"{data_dir}/headers/" for data_dir in wheel.data_dirs)
    return bool(headers) and any(member.path.startswith(headers) for member in wheel.members)


def _python_of(filename: str, target: Target | None) -> Python:
    if target is None or target.python is None:
        raise UnsafeInputError(
            "not-portable",
            f"{filename} has headers, which are installed in the directory of one python minor version",
            hint="choose the platform and the python to convert for",
        )
    return target.python


def _only(python: Python) -> SpecifierSet:
    major, minor = python.minor
    return SpecifierSet(f">={major}.{minor},<{major}.{minor + 1}")


def _subdirs(filename: str, fit: Fit, natives: Sequence[NativeFile], target: Target | None) -> list[str]:
    """Return the subdirs on which the package could run, by its tags, or by its native files if the tag is `any`."""
    if not fit.is_portable:
        return [fit.subdir]
    tied = runs_on(natives)
    if tied is None:
        return sorted(SUBDIRS)
    where = ", ".join(sorted(tied)) or f"an architecture of {natives[0].system} that conda does not support"
    modules = [native.path for native in natives if is_extension_module(native.path)]
    if modules:
        raise UnsafeInputError(
            "wheel-tag",
            f"{filename} is tagged for any platform, but has extension modules that run only on {where}",
            context=tuple(f"extension module: {path}" for path in modules[:5]),
            hint="rebuild the wheel with the right tags, or correct them with `wheel tags`",
        )
    if target is None or target.subdir not in tied:
        raise UnsafeInputError(
            "wheel-tag",
            f"{filename} is tagged for any platform, but has native code that runs only on {where}",
            context=tuple(f"native code: {native.path}" for native in natives[:5]),
            hint=f"convert it for that platform: --platform {min(tied)}" if tied else None,
        )
    return sorted(tied)


def _label(python: Python | None, span: Span) -> str:
    """Return `py`; `py312` (`py313t`) for one python; `py311` if markers set a lower or upper bound at 3.11."""
    if python is not None:
        return f"py{python.minor[0]}{python.minor[1]}{'t' if python.free_threaded else ''}"
    if not span.pythons:
        return "py"
    edge = 0 if any(clause.operator == ">=" for clause in span.pythons) else -1
    major, minor = span.places[edge][1].split(".")[:2]
    return f"py{major}{minor}"

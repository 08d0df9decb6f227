"""Choose the packages that a wheel becomes: for each its subdir, system, pythons and layout.

A pure wheel becomes `noarch: python` packages, one for each set of requirements and limited by virtual packages
(`converters.spans`); a wheel with tags of platforms becomes packages in their subdirs (`converters.tags`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from packaging.specifiers import SpecifierSet

from converters.dependencies import Evaluator
from converters.errors import UnsafeInputError
from converters.layout import PackageLayout
from converters.markers import Place, PythonVersions, microversions
from converters.native import NativeFile, runs_on
from converters.payload import Manifest
from converters.spans import Span, split
from converters.tags import Fit, fits, fits_at, misfit, tags_of_modules
from converters.target import SUBDIRS, Python
from converters.wheel import WheelName

__all__ = ["Shape", "shapes_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The layout, pythons and limits of a package.

    `pythons` combines Requires-Python, tags, markers and headers. `label` is the start of the build string. `limits`
    are MatchSpecs of virtual packages and `python_abi`.
    """

    fit: Fit
    span: Span
    layout: PackageLayout
    pythons: SpecifierSet
    label: str
    limits: tuple[str, ...]

    @property
    def subdir(self) -> str:
        return self.span.subdir


def shapes_of(
    wheel: Manifest, named: WheelName, natives: Sequence[NativeFile], evaluator: Evaluator
) -> tuple[Shape, ...]:
    """Return the packages that serve the wheel on all its platforms and python 3.9 to 3.15.

    :param natives: the native files of a wheel whose platform tag is `any`.

    Raises `UnsafeInputError`: `wheel-tag`, `requires-python`.
    """
    tags = tags_of_modules(natives, named.tags)
    everywhere = fits(tags)
    if not everywhere:
        raise misfit(wheel.filename, tags)
    requires_python = evaluator.requirements.requires_python
    at = microversions(evaluator.requirements.deciding())
    has_headers = _has_headers(wheel)

    def content(fit: Fit, place: Place) -> Hashable:
        if fit not in fits_at(everywhere, *place):
            return None
        minor = Python(version=place[1]).minor if has_headers and _names_python(place[0]) else None
        return minor, evaluator.comparable(place)

    shapes = []
    for fit in everywhere:
        admitted = PythonVersions.admitted(requires_python & fit.pythons, at)
        if admitted.versions:
            spans = split(cache(partial(content, fit)), admitted, _subdirs(wheel.filename, fit, natives))
            shapes += [_shape(fit, span, requires_python, has_headers=has_headers) for span in spans]
    if not shapes:
        pythons = " or ".join(dict.fromkeys(str(fit.pythons) for fit in everywhere))
        message = f"no python version fits {named.project}: {requires_python}, and {pythons} by its tags"
        raise UnsafeInputError("requires-python", message)
    return tuple(shapes)


def _shape(fit: Fit, span: Span, requires_python: SpecifierSet, *, has_headers: bool) -> Shape:
    built_for = None if fit.abi == "none" else fit.python
    limits = [f"__{span.system}"] if span.system else []
    limits += fit.depends
    if has_headers and built_for is None and _names_python(span.subdirs[0]):
        major, minor = Python(version=span.places[0][1]).minor
        built_for = Python(version=f"{major}.{minor}.0")
        # Free-threaded pythons have other directories.
        limits.append(f"python_abi {major}.{minor}.* *_cp{major}{minor}")
        requires_python &= SpecifierSet(f">={major}.{minor},<{major}.{minor + 1}")
    is_pinned = built_for is not None and not span.is_windows
    return Shape(
        fit=fit,
        span=span,
        layout=PackageLayout.pinned(built_for)
        if built_for is not None and is_pinned
        else PackageLayout.portable(is_windows=span.is_windows),
        pythons=requires_python & fit.pythons & span.pythons,
        label=(f"{span.system}_" if span.system else "") + _label(built_for or fit.python, span),
        limits=tuple(limits),
    )


def _names_python(subdir: str) -> bool:
    """Whether the directory of headers on `subdir` names the python's minor version."""
    return not subdir.startswith("win-")


def _has_headers(wheel: Manifest) -> bool:
    headers = tuple(f"{data_dir}/headers/" for data_dir in wheel.data_dirs)
    return bool(headers) and any(member.path.startswith(headers) for member in wheel.members)


def _subdirs(filename: str, fit: Fit, natives: Sequence[NativeFile]) -> list[str]:
    """Return the subdirs on which the package could run, by its tags, or by its native files if the tag is `any`."""
    if not fit.is_portable:
        return [fit.subdir]
    tied = runs_on(natives)
    if tied is None:
        return sorted(SUBDIRS)
    if not tied:
        where = f"an architecture of {natives[0].system} that conda does not support"
        raise UnsafeInputError(
            "wheel-tag",
            f"{filename} is tagged for any platform, but has native code that runs only on {where}",
            context=tuple(f"native code: {native.path}" for native in natives[:5]),
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

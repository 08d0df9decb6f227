"""Evaluate PEP 508 markers over places (a subdir and a python version), never dropping or widening one.

Where requirements are the same is found by evaluating markers with `packaging`, not by analysing their text, so every
form of marker is covered.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from converters.errors import UnsafeInputError
from converters.notes import Note
from converters.projects import canonicalize_name
from converters.target import Python, Target

__all__ = ["Place", "PythonVersions", "RequirementLine", "microversions", "notes_on_kernels"]

Minor = tuple[int, int]
Place = tuple[str, str]
"""A subdir and a full python version."""

# A portable package has the same requirements for at least these pythons.
_WINDOW = tuple((3, minor) for minor in range(9, 16))
_KNOWN = ((2, 7), *((3, minor) for minor in range(21)))
_MICROS = (0, 99)  # stand for the first and last release of a minor version, since markers can name microversions

_OF_PYTHON = re.compile(r"\b(python_version|python_full_version|implementation_version)\b")
_OF_PLATFORM = re.compile(r"\b(sys_platform|os_name|platform_(system|machine|release|version))\b")
_MICROVERSION = re.compile(r"[\"'](\d+)\.(\d+)\.(\d+)")
_MINOR_VERSION = re.compile(r"[\"'](\d+)\.(\d+)(?![.\d])")
_OF_FULL_VERSION = re.compile(r"\b(python_full_version|implementation_version)\b")
_OF_MACHINE = ("platform_release", "platform_version")
_OLDEST, _NEWEST = "0", "9999"  # below and above every kernel version
_MICROVERSION_TEXT = re.compile(r"\d+\.\d+\.\d+\Z")
_EXTRA = re.compile(r"\bextra [=!]= \"([^\"]*)\"|\"([^\"]*)\" [=!]= extra\b")
_QUOTED = re.compile(r"\"[^\"]*\"")
_LITERAL = re.compile(r"\"([^\"]*)\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """A Requires-Dist line with an analysed marker: its text (`""`: none), its variables, and the extras it names.

    `by_any_extra`: the marker compares `extra` by other operators than `==` and `!=`, so any extra can matter.
    """

    requirement: Requirement
    marker: str = ""
    by_platform: bool = False
    by_python: bool = False
    extras: tuple[str, ...] = ()
    by_any_extra: bool = False

    @classmethod
    def of(cls, requirement: Requirement) -> RequirementLine:
        """Analyse the marker of a requirement."""
        if requirement.marker is None:
            return cls(requirement=requirement)
        text = str(requirement.marker)
        extras = [left or right for left, right in _EXTRA.findall(text)]
        return cls(
            requirement=requirement,
            marker=text,
            by_platform=_OF_PLATFORM.search(text) is not None,
            by_python=_OF_PYTHON.search(text) is not None,
            extras=tuple(map(canonicalize_name, extras)),
            by_any_extra=len(re.findall(r"\bextra\b", _QUOTED.sub("", text))) != len(extras),
        )

    def holds(self, place: Place, extra: str = "") -> bool:
        """Return whether the marker is true at `place` with `extra` (normalised), or without an extra.

        The kernel is newer than any that the marker names. Raises `UnsafeInputError` (`requirement-untranslatable`) if
        the marker has no value.
        """
        return not self.marker or _evaluate(*self._read(place, extra))

    def depends_on_kernel(self, place: Place, extra: str = "") -> bool:
        """Return whether the marker's value at `place` differs between kernels."""
        is_of_machine = any(name in self.marker for name in _OF_MACHINE)
        return is_of_machine and len(set(_by_kernel(*self._read(place, extra)).values())) > 1

    def _read(self, place: Place, extra: str) -> tuple[str, Place, str]:
        """Return the marker, place and extra without what the marker does not read, for more hits in the cache."""
        subdir, python = place
        relevant = (subdir if self.by_platform else "linux-64", python if self.by_python else "3.12.0")
        return self.marker, relevant, extra if self.by_any_extra or extra in self.extras else ""

    def outcome(self, place: Place) -> tuple[bool | None, ...]:
        """Return the marker's value without and with each extra; `None`: undecidable."""
        return tuple(self._value(place, extra) for extra in ("", *self.extras))

    def _value(self, place: Place, extra: str) -> bool | None:
        try:
            return self.holds(place, extra)
        except UnsafeInputError:
            return None


@lru_cache(maxsize=65536)
def _evaluate(text: str, place: Place, extra: str) -> bool:
    environment = {**_environment(place), "extra": extra}
    if not any(name in text for name in _OF_MACHINE):
        return _outcome(text, environment)
    values = _by_kernel(text, place, extra)
    if _NEWEST not in values:
        raise _undecidable(text, "it compares the version of the kernel with a text that is not one")
    return values[_NEWEST]


@lru_cache(maxsize=4096)
def _by_kernel(text: str, place: Place, extra: str) -> Mapping[str, bool]:
    """Return kernel → value of a marker, for extreme versions and for those that the marker names."""
    environment = {**_environment(place), "extra": extra}
    values = {}
    for machine in (_OLDEST, *_LITERAL.findall(text), _NEWEST):
        with suppress(InvalidVersion):  # the literal is a name, and the marker compares versions
            values[machine] = _outcome(text, {**environment, **dict.fromkeys(_OF_MACHINE, machine)})
    return values


def _outcome(text: str, environment: dict[str, str]) -> bool:
    try:
        return _parse(text).evaluate(environment)
    except InvalidVersion:
        if any(name in text for name in _OF_MACHINE):
            raise  # Handled in `_evaluate`.
        raise _undecidable(text, "it compares a version with a text that is not one") from None
    except (UndefinedComparison, UndefinedEnvironmentName, ValueError, RecursionError) as error:
        raise _undecidable(text, str(error)) from error


def _undecidable(text: str, reason: str) -> UnsafeInputError:
    return UnsafeInputError("requirement-untranslatable", f"the marker `{text}` cannot be evaluated", context=(reason,))


@lru_cache(maxsize=4096)
def _parse(text: str) -> Marker:
    return Marker(text)


@lru_cache(maxsize=1024)
def _environment(place: Place) -> dict[str, str]:
    subdir, version = place
    return Target(subdir=subdir).marker_environment(Python(version=version))


def microversions(lines: Iterable[RequirementLine]) -> tuple[str, ...]:
    """Return the microversions that markers name (`3.8.5`), each with its successor: boundaries within a minor version.

    In a comparison of full versions `3.11` is 3.11.0: `python_full_version <= "3.11"` excludes 3.11.1.
    """
    boundaries = set()
    for line in lines:
        if not line.by_python:
            continue
        named = _MICROVERSION.findall(line.marker)
        if _OF_FULL_VERSION.search(line.marker):
            named += [(major, minor, "0") for major, minor in _MINOR_VERSION.findall(line.marker)]
        for major, minor, micro in named:
            boundaries |= {f"{major}.{minor}.{int(micro) + step}" for step in (0, 1)}
    return tuple(sorted(boundaries))


def notes_on_kernels(lines: Iterable[RequirementLine], places: Collection[Place]) -> list[Note]:
    """Say which markers depend on the kernel of one machine, since a package is for a platform."""
    found = dict.fromkeys(line.marker for line in lines for place in places if line.depends_on_kernel(place))
    text = "the marker `{}` depends on the kernel: a newer one than any that it names is assumed"
    return [Note(kind="kernel", text=text.format(marker), detail=f"`{marker}`") for marker in found]


@dataclass(frozen=True, slots=True)
class PythonVersions:
    """Python versions at which to evaluate markers, ascending; between two of them no marker changes its value."""

    versions: tuple[str, ...]

    @classmethod
    def admitted(cls, requires_python: SpecifierSet, at: Iterable[str] = ()) -> PythonVersions:
        """Return the ends of each known minor version and the versions in `at` that Requires-Python admits."""
        ends = [f"{major}.{minor}.{micro}" for major, minor in _KNOWN for micro in _MICROS]
        named = [
            after
            for clause in requires_python
            if _MICROVERSION_TEXT.match(clause.version)
            for after in (clause.version, _next(clause.version))
        ]
        candidates = sorted({*ends, *at, *named}, key=Version)
        return cls(tuple(requires_python.filter(candidates, prereleases=True)))

    def window(self) -> list[str]:
        """Return the versions that a portable package must serve; all versions, if none of those is admitted."""
        inside = [version for version in self.versions if _minor(version) in _WINDOW]
        return inside or list(self.versions)

    def places(self, subdirs: Iterable[str], versions: Iterable[str] | None = None) -> list[Place]:
        """Return the places of `subdirs` and `versions` (default: all)."""
        chosen = self.versions if versions is None else tuple(versions)
        return [(subdir, version) for subdir in subdirs for version in chosen]


def _next(version: str) -> str:
    major, minor, micro = version.split(".")
    return f"{major}.{minor}.{int(micro) + 1}"


def _minor(version: str) -> Minor:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)

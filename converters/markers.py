"""PEP 508 markers, evaluated for a place: never dropped, never widened (peers' defects C1 to C7).

A written package has no markers. So it must be known where a wheel's requirements are the same: over which subdirs, and
from which python minor to which. Both are found by evaluating, not by reading the marker's text: every form of marker
(reversed, `in`, nested, with a microversion) is judged by `packaging` alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from converters.errors import UnsafeInputError
from converters.target import Python, Target

__all__ = ["Place", "PythonVersions", "RequirementLine", "Span", "find_span", "microversions", "varying"]

Minor = tuple[int, int]
Place = tuple[str, str]
"""A subdir and a full python version: all that a marker may depend on in a package that is written."""

# A package that is to be portable must have one set of requirements over these at least; beyond them it may be bounded.
_WINDOW = tuple((3, minor) for minor in range(9, 15))
_KNOWN = ((2, 7), *((3, minor) for minor in range(21)))
_MICROS = (0, 99)  # the ends of a minor: markers may name a microversion

_OF_PYTHON = re.compile(r"\b(python_version|python_full_version|implementation_version)\b")
_OF_PLATFORM = re.compile(r"\b(sys_platform|os_name|platform_(system|machine|release|version))\b")
_MICROVERSION = re.compile(r"[\"'](\d+)\.(\d+)\.(\d+)")
_MINOR_VERSION = re.compile(r"[\"'](\d+)\.(\d+)(?![.\d])")
_OF_FULL_VERSION = re.compile(r"\b(python_full_version|implementation_version)\b")
_OF_MACHINE = ("platform_release", "platform_version")
_MACHINES = ("0", "9999")  # versions of no kernel; what the marker itself names is tried too
_MICROVERSION_TEXT = re.compile(r"\d+\.\d+\.\d+\Z")
_EXTRA = re.compile(r"\bextra [=!]= \"([^\"]*)\"|\"([^\"]*)\" [=!]= extra\b")
_QUOTED = re.compile(r"\"[^\"]*\"")
_LITERAL = re.compile(r"\"([^\"]*)\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where one set of requirements holds: on these subdirs, at these places.

    `pythons` bounds the versions beyond what Requires-Python says; empty: no bound is needed.
    """

    subdirs: tuple[str, ...]
    pythons: SpecifierSet
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """A requirement with its marker taken apart: its text (`""`: none), what it depends on, and the extras it names.

    `by_any_extra`: it compares extras otherwise than by `==` and `!=`, so that any extra may decide.
    """

    requirement: Requirement
    marker: str = ""
    by_platform: bool = False
    by_python: bool = False
    extras: tuple[str, ...] = ()
    by_any_extra: bool = False

    @classmethod
    def of(cls, requirement: Requirement) -> RequirementLine:
        """Take the marker apart, once for all places."""
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
        """Whether the requirement is in force at `place`, for the extra (normalised), or without any.

        Raises `UnsafeInputError` (`requirement-untranslatable`) for a marker that asks for the machine's kernel: a
        package is written for a platform, not for one machine.
        """
        if not self.marker:
            return True
        subdir, python = place
        known = (subdir if self.by_platform else "linux-64", python if self.by_python else "3.12.0")
        return _evaluate(self.marker, known, extra if self.by_any_extra or extra in self.extras else "")

    def outcome(self, place: Place) -> tuple[bool | None, ...]:
        """All that the place decides of this line; `None`: it cannot be decided. Equal outcomes, equal requirements."""
        return tuple(self._known(place, extra) for extra in ("", *self.extras))

    def _known(self, place: Place, extra: str) -> bool | None:
        try:
            return self.holds(place, extra)
        except UnsafeInputError:
            return None


@lru_cache(maxsize=65536)
def _evaluate(text: str, place: Place, extra: str) -> bool:
    environment = {**_environment(place), "extra": extra}
    if not any(name in text for name in _OF_MACHINE):
        return _outcome(text, environment)
    # Of a kernel nothing is known: it is tried as some versions, and as what the marker itself names.
    found = set()
    for machine in (*_MACHINES, *_LITERAL.findall(text)):
        with suppress(InvalidVersion):  # a name, where the marker compares versions
            found.add(_outcome(text, {**environment, **dict.fromkeys(_OF_MACHINE, machine)}))
    if len(found) > 1:
        raise UnsafeInputError(
            "requirement-untranslatable",
            f"the marker `{text}` depends on one machine's kernel; a package is written for a platform",
            hint="install the wheel itself with bridge install, which judges the marker on the machine",
        )
    return found.pop()


def _outcome(text: str, environment: dict[str, str]) -> bool:
    try:
        return _parse(text).evaluate(environment)
    except InvalidVersion:
        if any(name in text for name in _OF_MACHINE):
            raise  # The name of a machine was tried where the marker compares versions.
        raise _undecidable(text, "it compares versions with a text that is none") from None
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
    """The microversions that markers name (`3.8.5`), and those that follow them: where a minor may be cut in two.

    Where a full version is compared, `3.11` is 3.11.0: `python_full_version <= "3.11"` leaves 3.11.1 out.
    """
    found = set()
    for line in lines:
        if not line.by_python:
            continue
        named = _MICROVERSION.findall(line.marker)
        if _OF_FULL_VERSION.search(line.marker):
            named += [(major, minor, "0") for major, minor in _MINOR_VERSION.findall(line.marker)]
        for major, minor, micro in named:
            found |= {f"{major}.{minor}.{int(micro) + step}" for step in (0, 1)}
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True)
class PythonVersions:
    """Versions of python to judge by, ascending: no marker tells one of them from those between it and the next."""

    versions: tuple[str, ...]

    @classmethod
    def admitted(cls, requires_python: SpecifierSet, at: Iterable[str] = ()) -> PythonVersions:
        """The ends of each known minor, and what `at` and Requires-Python name: those that Requires-Python admits."""
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
        """Those that a portable package should serve; all, where none of them is admitted."""
        inside = [version for version in self.versions if _minor(version) in _WINDOW]
        return inside or list(self.versions)

    def nearest(self, python: Python | None) -> str | None:
        """The version that stands for `python`; `None` where it is not admitted."""
        if python is None:
            return None
        below = [
            version
            for version in self.versions
            if _minor(version) == python.minor and Version(version) <= Version(python.version)
        ]
        return below[-1] if below else None

    def places(self, subdirs: Iterable[str], versions: Iterable[str] | None = None) -> list[Place]:
        """Every place to evaluate at; of all versions, where none are given."""
        chosen = self.versions if versions is None else tuple(versions)
        return [(subdir, version) for subdir in subdirs for version in chosen]


def _next(version: str) -> str:
    major, minor, micro = version.split(".")
    return f"{major}.{minor}.{int(micro) + 1}"


def _minor(version: str) -> Minor:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def find_span(
    required: Callable[[Place], object], pythons: PythonVersions, subdirs: Sequence[str], target: Target | None
) -> Span | None:
    """The widest span over which `required` gives one value; `None`: there is none.

    A span that holds python 3.9 to 3.14 (as far as they are admitted), the target's python and all `subdirs` is
    preferred; then one around the target's python on all `subdirs`; then one around it on the target's subdir. Where
    the target's python is not admitted, or it has none, the newest that is stands for it. Without a target only the
    first will do.

    :param required: what is required at a place, in a form that compares.
    :param subdirs: those on which the package could run; a single one: it is built for that one.
    """
    window = pythons.window()
    at = (pythons.nearest(target.python) if target is not None else None) or window[-1]
    chosen = [(subdirs, window)]
    if target is not None:
        chosen += [(subdirs, [at]), ([target.subdir], [at])]
    for some, core in chosen:
        run = _run(required, pythons, some, core)
        if at in run or (target is None and run):
            return _span(run, pythons, some)
    return None


def _run(
    required: Callable[[Place], object], pythons: PythonVersions, subdirs: Sequence[str], core: Sequence[str]
) -> list[str]:
    """The consecutive versions around `core` with one value on all subdirs; none where `core` itself has several."""
    versions = pythons.versions
    value = required((subdirs[0], core[0]))

    def is_same(version: str) -> bool:
        return all(required((subdir, version)) == value for subdir in subdirs)

    if not all(map(is_same, core)):
        return []
    first, last = versions.index(core[0]), versions.index(core[-1])
    while first > 0 and is_same(versions[first - 1]):
        first -= 1
    while last + 1 < len(versions) and is_same(versions[last + 1]):
        last += 1
    return list(versions[first : last + 1])


def _span(run: Sequence[str], pythons: PythonVersions, subdirs: Sequence[str]) -> Span:
    bounds = []
    if run[0] != pythons.versions[0]:
        bounds.append(f">={run[0].removesuffix('.0')}")
    if run[-1] != pythons.versions[-1]:
        after = pythons.versions[pythons.versions.index(run[-1]) + 1]
        bounds.append(f"<{after.removesuffix('.0')}")
    return Span(
        subdirs=tuple(subdirs), pythons=SpecifierSet(",".join(bounds)), places=tuple(pythons.places(subdirs, run))
    )


def varying(lines: Iterable[RequirementLine], at: Collection[Place]) -> tuple[str, ...]:
    """The requirements (as text) in force at some of the places and not at others: what a message names."""
    return tuple(str(line.requirement) for line in lines if len({line.outcome(place)[0] for place in at}) > 1)

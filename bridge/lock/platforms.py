"""Solves for several environments and platforms, whose versions agree where they can."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bridge.errors import NoSolutionError
from bridge.model import Resolution
from bridge.requirements.algebra import Requirement, conda_requirement, conda_version, pep440_version
from converters.record import Record

__all__ = ["Place", "Solve", "agreed_versions", "disagreements", "names_of", "solve_all"]

_MOST = 24  # names that are tried, each with some solves
_OLDER = 3  # versions that are tried below each that was found


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """One environment on one platform."""

    environment: str
    platform: str

    def __str__(self) -> str:
        return self.platform if self.environment == "default" else f"{self.environment} on {self.platform}"


Solve: TypeAlias = Callable[[Place, Mapping[str, str], Sequence[Requirement]], Resolution]
Found: TypeAlias = Mapping[Place, Resolution]
Locked: TypeAlias = Mapping[Place, Mapping[str, str]]


def solve_all(places: Sequence[Place], solve: Solve, locked: Locked | None = None) -> dict[Place, Resolution]:
    """Solve for each place in turn; what was asked for comes first, then the versions of the places before.

    What is locked already stays, at several versions too: only what changes is made to agree.

    Where a platform cannot have the version of one before it, each version that was found is tried for all platforms
    of the environment, the newest first, each followed by a few older ones. It is taken if then more names agree.
    Other environments may have other versions.

    :param solve: one solve that prefers the versions it is given (`bridge.resolve.Standing.agreed`), and holds to the
        given pins.
    :param locked: the versions to keep, in the form of `Standing.agreed`.

    Raises `NoSolutionError` for the first place without a solution, which tells about the others too.
    """
    locked = locked or {}
    resolutions: dict[Place, Resolution] = {}
    failures: dict[Place, NoSolutionError] = {}
    for place in places:
        try:
            resolutions[place] = solve(place, _agreed(place, resolutions, locked), ())
        except NoSolutionError as error:
            failures[place] = error
    if failures:
        raise _failure(resolutions, failures)
    for environment in dict.fromkeys(place.environment for place in places):
        own = {place: each for place, each in resolutions.items() if place.environment == environment}
        resolutions.update(_aligned(own, solve, locked))
    return resolutions


def _failure(resolutions: Found, failures: Mapping[Place, NoSolutionError]) -> NoSolutionError:
    (place, error), *others = failures.items()
    if not resolutions and not others:
        return error
    state = [f"{each}: a solution of {len(resolutions[each].packages)} packages" for each in resolutions]
    state += [f"{each}: {other.message}" for each, other in others]
    message = f"{place}: {error.message}"
    return NoSolutionError(
        error.id,
        message,
        context=(*error.context, *state),
        hint=error.hint,
        objects={**error.objects, "place": str(place)},
    )


def _agreed(place: Place, resolutions: Found, locked: Locked) -> dict[str, str]:
    """Return the versions of the places before, but of packages that are locked here and as they were locked there.

    Any of a package's names counts: what is a conda package there may be a wheel here.
    """
    mine = locked.get(place, {})
    versions: dict[str, str] = {}
    for other, solution in resolutions.items():
        theirs = locked.get(other, {})
        for package in solution.packages:
            names = names_of(package.record)
            is_new = not any(name in mine for name in names)
            if is_new or not any(theirs.get(name) == version for name, version in names.items()):
                for name, version in names.items():
                    versions.setdefault(name, version)
    return versions


def agreed_versions(solutions: Iterable[Resolution]) -> dict[str, str]:
    """Return the version of each name, of the first solution that has it, in the form of `Standing.agreed`."""
    versions: dict[str, str] = {}
    for solution in solutions:
        for package in solution.packages:
            for name, version in names_of(package.record).items():
                versions.setdefault(name, version)
    return versions


def names_of(record: Record) -> dict[str, str]:
    """Return the names under which the version of a record is agreed on."""
    names = {record.name: record.version}
    if record.ecosystem == "wheel" and record.pypi_names:
        project = record.pypi_names[0]
        return names | {f"pypi:{project}": record.version, f"wheel:{project}": record.version}
    return names | {f"pypi:{project}": record.version for project in record.pypi_names}


def disagreements(resolutions: Found) -> dict[str, list[str]]:
    """Return the names that have several versions, with these, the oldest first."""
    versions: dict[str, dict[str, None]] = {}
    for solution in resolutions.values():
        for package in solution.packages:
            versions.setdefault(package.record.name, {})[package.record.version] = None
    several = ((name, list(seen)) for name, seen in versions.items() if len(seen) > 1)
    return {name: sorted(seen, key=_rank) for name, seen in several if len({_equal(each) for each in seen}) > 1}


def _rank(version: str) -> tuple[object, ...]:
    parsed = conda_version(version)
    return (parsed is not None, parsed if parsed is not None else version)


def _equal(version: str) -> object:
    return pep440_version(version) or version


def _aligned(resolutions: Found, solve: Solve, locked: Locked) -> Found:
    """Return solutions in which fewer names disagree, where asking for one of the versions everywhere leads to some.

    Names that disagree only because of a step before are tried too, also where that step led to as many names as
    before: the best of all steps counts, the first of equals.
    """
    best, pins = resolutions, dict[str, str]()
    tried: dict[str, None] = {}
    while len(tried) < _MOST:
        left = (name for name in sorted(disagreements(resolutions)) if name not in tried)
        name = next((each for each in left if not _is_settled(each, resolutions, locked)), None)
        if name is None:
            break
        tried[name] = None
        for version in _common(name, resolutions, pins, solve):
            made = _attempt(resolutions, {**pins, name: version}, solve)
            if made is not None and len(disagreements(made)) <= len(disagreements(resolutions)):
                resolutions, pins = made, {**pins, name: version}
                best = made if len(disagreements(made)) < len(disagreements(best)) else best
                break
    return best


def _common(name: str, resolutions: Found, pins: Mapping[str, str], solve: Solve) -> Iterator[str]:
    """Yield versions that all places may have, newest first: those that were found, and a few older than each."""
    seen = list(reversed(disagreements(resolutions).get(name, [])))
    for number, version in enumerate(seen):
        yield version
        place = next(each for each in resolutions if _version(name, resolutions[each]) == version)
        least = f",>{seen[number + 1]}" if number + 1 < len(seen) else ""
        older: str | None = version
        for _ in range(_OLDER):
            specs = [*_specs(pins), conda_requirement(f"{name} <{older}{least}")]
            try:
                older = _version(name, solve(place, agreed_versions([resolutions[place]]), specs))
            except NoSolutionError:
                break
            if older is None:
                break
            yield older


def _version(name: str, solution: Resolution) -> str | None:
    return next((each.record.version for each in solution.packages if each.record.name == name), None)


def _specs(pins: Mapping[str, str]) -> list[Requirement]:
    return [conda_requirement(f"{name} =={version}") for name, version in pins.items()]


def _is_settled(name: str, resolutions: Found, locked: Locked) -> bool:
    """Return whether every place has the version of a name that it is locked at."""
    return all(
        any(locked.get(place, {}).get(key) == version for key, version in names_of(package.record).items())
        for place, solution in resolutions.items()
        for package in solution.packages
        if package.record.name == name
    )


def _attempt(resolutions: Found, pins: Mapping[str, str], solve: Solve) -> Found | None:
    """Solve again where a name has another version than its pin, with all else as it is; `None`: there is no way."""
    made = dict(resolutions)
    specs = _specs(pins)
    for place, solution in resolutions.items():
        versions = {each.record.name: each.record.version for each in solution.packages if each.record.name in pins}
        if any(_equal(version) != _equal(pins[name]) for name, version in versions.items()):
            try:
                made[place] = solve(place, agreed_versions([solution, *made.values()]), specs)
            except NoSolutionError:
                return None
    return made

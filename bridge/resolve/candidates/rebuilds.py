"""Bounds that a later build of the same version states and an earlier one does not (decision 0035).

Packagers correct the dependencies of a version with a new build of it, and rarely patch the earlier ones. An earlier
build then allows what the version does not work with: numba 0.61.2 build 0 takes any `numpy >=1.24`, build 1 only
`>=1.24,<2.3`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from operator import and_

from bridge.requirements.algebra import Requirement
from bridge.requirements.names import name_of
from bridge.resolve.candidates.needs import plain
from bridge.resolve.candidates.packages import CondaName
from bridge.resolve.candidates.provides import is_python_text
from converters.deferred import dataclass
from converters.record import Record

__all__ = ["Correction", "corrections"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A bound of a later build. `text` is what that build states, `bound` the part that counts for earlier builds."""

    text: str
    bound: Requirement


def corrections(conda: CondaName, place: int, of: Callable[[str], CondaName]) -> Iterator[Correction]:
    """Yield the bounds that the last build of a record's version adds, for projects on which both depend.

    The last build is that with the highest build number from the same channel for a common python; if it has variants,
    what all of them state counts. Only bounds of projects on projects do: libraries are bound by what a build was made
    with. In compiled packages only those from above count, for the same reason. Without a version in common, the build
    was made for other packages.

    :param of: returns the records of a conda name.
    """
    record = conda.records[place]
    last = _last_builds(conda, place, of) if conda.provided[place].projects else ()
    if not last:
        return
    common = set.intersection(*(set(one.requirements) for one in last)) - set(record.requirements)
    for text in sorted(common):
        bound = None if is_python_text(text) else _bound(text, is_pure=record.noarch == "python")
        own = [plain(each) for each in record.requirements if bound is not None and name_of(each) == bound.name]
        if bound is None or not own or None in own:
            continue
        other = of(bound.name)
        if not other.projects:
            continue
        allowed = reduce(and_, (_meets(other, each) for each in own))
        met = allowed & _meets(other, bound)
        if met and (met != allowed or other.wheel_project is not None):
            yield Correction(text=text, bound=bound)


def _last_builds(conda: CondaName, place: int, of: Callable[[str], CondaName]) -> Sequence[Record]:
    """Return the variants of the last build; the builds of a version are next to each other, the last ones first."""
    record, first = conda.records[place], place
    while first and _is_rebuild(record, conda.records[first - 1]):
        first -= 1
    last: list[Record] = []
    for later in conda.records[first:place]:
        is_of_last = not last or later.build_number == last[0].build_number
        if is_of_last and later.build_number > record.build_number and _pythons(record, of) & _pythons(later, of):
            last.append(later)
    return last


def _is_rebuild(record: Record, other: Record) -> bool:
    return other.version == record.version and other.origin == record.origin


def _pythons(record: Record, of: Callable[[str], CondaName]) -> int:
    """Return the pythons that a record allows; bit 0 stands for none, if it does not need one."""
    python = of("python")
    texts = [plain(text) for text in record.requirements if name_of(text) == "python"]
    return reduce(and_, (_meets(python, each) for each in texts), python.everything if texts else 1)


def _meets(conda: CondaName, requirement: Requirement | None) -> int:
    return 0 if requirement is None or requirement.conda is None else conda.meets(requirement.conda)


def _bound(text: str, *, is_pure: bool) -> Requirement | None:
    """Return the part of a MatchSpec that earlier builds keep; `None` if there is none, or it names builds."""
    words = text.split()
    if len(words) != 2 or (not is_pure and "|" in words[1]):
        return None
    clauses = words[1].split(",")
    kept = clauses if is_pure else [clause for clause in clauses if clause.startswith("<")]
    return plain(f"{words[0]} {','.join(kept)}") if kept else None

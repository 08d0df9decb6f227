"""The policy, in one place: which candidate is preferred across conda and PyPI, and what is decided first.

The order within one list (the records of a conda name, the files of a project) is in `candidates/ranks.py`, that of the
conda names that provide a project in `Catalog.providers` and `encode/halves.py`. Between the ecosystems, `--prefer
conda` takes a record if any is left, even an older one; `wheel` does the opposite; `newest` takes the higher version,
and conda if they are equal. Projects that only PEP 508 requirements request are taken by `newest` unless wheels are
preferred: on PyPI a requirement means the newest version. Before all that come the versions that other platforms of the
same lock have (`agreed`), then what is installed or locked already (`kept`), while they meet the requirements.

Decision order: a requested python first, in the minor with the lowest cost to the other requests (of the newest three:
a name without any record left counts most, then a name at an older version; the newest of equals); then all other
requests, while python is undecided only their versions (a build would decide it); then python; then the builds of the
requests; then the variable with the fewest candidates left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.requirements.algebra import pep440_version
from bridge.resolve.candidates.provides import is_python_record
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import Candidate, VariableId
from bridge.resolve.masks import PRESENT
from bridge.resolve.store import Term
from converters.deferred import NamedTuple

if TYPE_CHECKING:
    from packaging.version import Version

__all__ = [
    "COMPARED_MINORS",
    "Rank",
    "best_version",
    "choose",
    "compares_versions",
    "decided",
    "newest_of_minors",
    "preferred",
    "rank",
    "takes_newest",
]

COMPARED_MINORS = 3  # of a requested python
_GROUPS = ("a requested python", "requests", "python", "builds of requests", "all others")  # the decision order


Rank = tuple[int, int, float, str]
"""The place of a variable in the decision order; the lowest comes first."""


def rank(space: Space, variable: VariableId) -> Rank:
    """Return the rank of a variable: its group, its candidates left, the conflicts it was part of, and its name."""
    store = space.store
    left = store.domains[variable].bit_count()
    return _group(space, variable), left, -store.activity[variable], space.variables[variable].name


def _group(space: Space, variable: VariableId) -> int:
    """Return the place of a variable in `_GROUPS`. O(1) once python is decided."""
    if variable not in space.requested:
        return 2 if variable == space.python else 4
    if variable == space.python:
        return 0
    return 3 if _is_open(space, variable) else 1


def newest_of_minors(space: Space, most: int) -> list[int]:
    """Return the best python left of each of the newest minors, at most `most`."""
    conda = space.meanings[space.python].conda
    assert conda is not None
    domain = space.store.domains[space.python]
    best: dict[str, int] = {}
    for place, record in enumerate(conda.records):
        if domain >> place + 1 & 1:
            best.setdefault(".".join(record.version.split(".")[:2]), 2 << place)
            if len(best) == most:
                break
    return list(best.values())


def best_version(space: Space, variable: VariableId) -> str | None:
    """Return the version of the best record left; `None` if only wheels are left or nothing was read."""
    meaning = space.meanings[variable]
    left = space.store.domains[variable] & PRESENT & ~meaning.wheel_bit
    if meaning.conda is None or left <= 0:
        return None
    return meaning.conda.records[(left & -left).bit_length() - 2].version


def compares_versions(space: Space, variable: VariableId) -> bool:
    """Return whether the versions of a record and of a wheel decide between them, so that both must be known."""
    domain = space.store.domains[variable]
    wheel = domain & space.meanings[variable].wheel_bit
    return takes_newest(space, variable) and bool(wheel and domain ^ wheel) and not preferred(space, variable)


def takes_newest(space: Space, variable: VariableId) -> bool:
    """Return whether the newest candidate counts, whoever provides it."""
    prefer = space.catalog.options.prefer
    return prefer == "newest" or (prefer == "conda" and space.requested.get(variable) == {"pep508"})


def choose(space: Space, variable: VariableId) -> Candidate:
    """Return the best candidate left of a required, known variable: its own, or one that a bit of it stands for.

    If `compares_versions`, its wheels must be known.
    """
    domain, meaning = space.store.domains[variable], space.meanings[variable]
    given = preferred(space, variable)
    if given:
        return Candidate(variable, given & -given)
    wheel = domain & meaning.wheel_bit
    others = domain & ~wheel
    if wheel and (not others or space.catalog.options.prefer == "wheel"):
        return Candidate(variable, wheel)
    if compares_versions(space, variable):
        return _newest(space, variable)
    best = _newest_record(space, variable) if meaning.providers and takes_newest(space, variable) else None
    return Candidate(variable, best.own if best is not None else others & -others)


def decided(space: Space, chosen: Candidate) -> int:
    """Return the candidates to leave for a chosen one: while python is undecided, all builds of a request's version."""
    variable, bit = chosen
    if variable not in space.requested or variable == space.python or preferred(space, variable):
        return bit
    domain = space.store.domains[variable]
    left = domain & _builds(space, variable, bit)
    return left if left != domain else bit


def _is_open(space: Space, variable: VariableId) -> bool:
    """Return whether the version is decided and the build is not, because it would decide python."""
    domain = space.store.domains[variable] & PRESENT
    return domain & (domain - 1) > 0 and not domain & ~_builds(space, variable, domain & -domain)


def _builds(space: Space, variable: VariableId, bit: int) -> int:
    """Return the records with the version and channel of one, if python is undecided and such a record needs it."""
    conda = space.meanings[variable].conda
    if conda is None or not bit & conda.everything or space.store.is_decided(space.python):
        return bit
    record = conda.records[bit.bit_length() - 2]
    if not is_python_record(record):
        return bit
    return sum(
        2 << place
        for place, each in enumerate(conda.records)
        if each.version == record.version and each.origin == record.origin
    )


def preferred(space: Space, variable: VariableId) -> int:
    """Return the candidates left that come before the newest: of an agreed version, else kept; kept ones of both."""
    kept = _among(space, variable, _kept, lambda name: bool(_kept(space, name))) if space.kept else 0
    agreed = _among(space, variable, Space.agreed_candidates, space.agrees_on_wheel) if space.agreed else 0
    return agreed & kept or agreed or kept


def _kept(space: Space, name: str) -> int:
    return space.kept.get(name, 0)


def _among(
    space: Space, variable: VariableId, of_name: Callable[[Space, str], int], takes_wheel: Callable[[str], bool]
) -> int:
    """Return the candidates left that `of_name` gives for their names, or that stand for one of these."""
    domains, meaning = space.store.domains, space.meanings[variable]
    left = domains[variable]
    if not meaning.providers:
        return left & of_name(space, space.variables[variable].name)
    chosen = 0
    for place, owner in enumerate(meaning.providers):
        if domains[owner] & of_name(space, space.variables[owner].name) & ~space.meanings[owner].wheel_bit:
            chosen |= 2 << place
    if meaning.wheels is not None and takes_wheel(space.variables[meaning.wheels].name):
        chosen |= meaning.wheel_bit
    return left & chosen


def _newest(space: Space, variable: VariableId) -> Candidate:
    """Return the newer of the best record and the best wheel; the record if equal.

    The result is the record or the file itself, so that the next best is compared if it turns out to be unusable.
    """
    meaning = space.meanings[variable]
    assert meaning.wheels is not None
    file = _left(space, meaning.wheels, (variable, meaning.wheel_bit)) & PRESENT
    theirs = pep440_version(space.file(meaning.wheels, file & -file).version) if file > 0 else None
    chosen, own = Candidate(meaning.wheels, file & -file), meaning.wheel_bit
    best = _newest_record(space, variable)
    if best is not None and (file <= 0 or best.version is None or theirs is None or best.version >= theirs):
        chosen, own = best.candidate, best.own
    is_taken = chosen.variable != variable and (chosen.bit <= 0 or space.store.domains[chosen.variable] == chosen.bit)
    return Candidate(variable, own) if is_taken else chosen


class _Best(NamedTuple):
    """A record, its version, and the bit of the deciding variable that stands for it."""

    candidate: Candidate
    version: Version | None
    own: int


def _newest_record(space: Space, variable: VariableId) -> _Best | None:
    """Return the newest of the best records of all providers; of the first in their order if equal.

    The version of a record that carries several projects counts only for the project of its own name.
    """
    meaning, best = space.meanings[variable], None
    for place, owner in enumerate(meaning.providers or (variable,)):
        of_owner = space.meanings[owner]
        own = space.store.domains[variable]  # without providers, `2 << place` is a record and no choice of a provider
        left = own if owner == variable else _left(space, owner, (variable, 2 << place))
        left &= PRESENT & ~of_owner.wheel_bit
        if left <= 0 or (owner != variable and not own & 2 << place):
            continue
        assert of_owner.conda is not None
        bit = left & -left
        version = pep440_version(of_owner.conda.records[bit.bit_length() - 2].version)
        if best is None or (
            _is_newer(version, best.version) and of_owner.conda.owns(space.variables[variable].key) & bit
        ):
            best = _Best(Candidate(owner, bit), version, 2 << place)
    return best


def _is_newer(version: Version | None, than: Version | None) -> bool:
    return version is not None and than is not None and version > than


def _left(space: Space, target: VariableId, term: Term) -> int:
    """Return what one more term would leave of a variable, by the demands on it."""
    left = space.store.domains[target]
    for demand in space.onto[target]:
        source = space.demands[demand].source
        if term in source and space.store.satisfied(other for other in source if other != term):
            left &= space.allowed[demand]
    return left

"""Which candidate comes first across conda and PyPI, and what is decided first: the whole policy, in one place.

The order within one list (the records of a conda name, the files of a project) is that of `candidates/ranks.py`.
Between the ecosystems: `--prefer conda` takes a record where any is left, even an older one; `wheel` turns it around;
`newest` takes the higher version, and conda where they are equal. What was asked for by PEP 508 requirements alone is
taken by `newest` unless wheels are preferred: who asks PyPI's way means the newest there is. What is installed is kept
while it meets what is asked.

What is decided first: python where it was asked for, in the minor that costs least of what else was asked (of the
newest three: one for which a name is left without a record counts most, then one that holds a name at an older
version; of equals the newest); then everything else that was asked for, then python, then the identifier with the
fewest candidates left.
"""

from __future__ import annotations

from bridge.requirements.algebra import pep440_version
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import Candidate, VariableId
from bridge.resolve.masks import PRESENT
from bridge.resolve.store import Term

__all__ = ["COMPARED_MINORS", "best_version", "choose", "compares_versions", "decision_order", "newest_of_minors"]

COMPARED_MINORS = 3  # of python, where it was asked for and several would do


def decision_order(space: Space, variable: VariableId) -> tuple[object, ...]:
    """The preference of a variable; the smallest is decided first. O(1)."""
    python_first = (0, 2) if variable == space.python else (1, 3)
    group = python_first[0 if variable in space.requested else 1]
    count = space.store.domains[variable].bit_count()
    return (group, count, -space.store.activity[variable], space.variables[variable].name)


def newest_of_minors(space: Space, most: int) -> list[int]:
    """The best python left of each of the newest minors, at most so many."""
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
    """The version of the best record left; `None` where only wheels are, or nothing is known yet."""
    meaning = space.meanings[variable]
    left = space.store.domains[variable] & PRESENT & ~meaning.wheel_bit
    if meaning.conda is None or left <= 0:
        return None
    return meaning.conda.records[(left & -left).bit_length() - 2].version


def compares_versions(space: Space, variable: VariableId) -> bool:
    """Whether the versions of a record and of a wheel decide between them: both have to be known then."""
    prefer = space.catalog.options.prefer
    if prefer == "conda" and space.requested.get(variable) == {"pep508"}:
        prefer = "newest"
    domain = space.store.domains[variable]
    wheel = domain & space.meanings[variable].wheel_bit
    is_kept = domain & space.kept.get(space.variables[variable].name, 0)
    return prefer == "newest" and bool(wheel and domain ^ wheel) and not is_kept


def choose(space: Space, variable: VariableId) -> Candidate:
    """The best candidate left of a required, known variable: its own, or one that a bit of it stands for.

    Where `weighs_versions`, its wheels must be known.
    """
    domain = space.store.domains[variable]
    kept = domain & space.kept.get(space.variables[variable].name, 0)
    if kept:
        return Candidate(variable, kept & -kept)
    wheel = domain & space.meanings[variable].wheel_bit
    others = domain & ~wheel
    if not wheel or not others:
        return Candidate(variable, domain & -domain)
    if space.catalog.options.prefer == "wheel":
        return Candidate(variable, wheel)
    return _newest(space, variable) if compares_versions(space, variable) else Candidate(variable, others & -others)


def _newest(space: Space, variable: VariableId) -> Candidate:
    """Of the best record (of the first provider that has any) and the best wheel the newer; of equals the record.

    What is returned is the record or the file itself, so that another is weighed where this one cannot be had.
    """
    store, meaning = space.store, space.meanings[variable]
    assert meaning.wheels is not None
    file = _left(space, meaning.wheels, (variable, meaning.wheel_bit)) & PRESENT
    theirs = pep440_version(space.file(meaning.wheels, file & -file).version) if file > 0 else None
    chosen, own = Candidate(meaning.wheels, file & -file), meaning.wheel_bit
    for place, owner in enumerate(meaning.providers or (variable,)):
        of_owner = space.meanings[owner]
        left = _left(space, owner, (variable, 2 << place)) & PRESENT & ~of_owner.wheel_bit
        if left > 0 and (owner == variable or store.domains[variable] & 2 << place):
            assert of_owner.conda is not None
            ours = pep440_version(of_owner.conda.records[(left & -left).bit_length() - 2].version)
            if file <= 0 or ours is None or theirs is None or ours >= theirs:
                chosen, own = Candidate(owner, left & -left), 2 << place
            break
    is_taken = chosen.variable != variable and (chosen.bit <= 0 or store.domains[chosen.variable] == chosen.bit)
    return Candidate(variable, own) if is_taken else chosen


def _left(space: Space, target: VariableId, term: Term) -> int:
    """What would be left of a variable if one more term held, by the demands on it."""
    left = space.store.domains[target]
    for demand in space.onto[target]:
        source = space.demands[demand].source
        if term in source and space.store.satisfied(other for other in source if other != term):
            left &= space.allowed[demand]
    return left

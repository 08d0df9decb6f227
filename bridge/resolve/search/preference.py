"""The policy, in one place: which candidate is preferred across conda and PyPI, and what is decided first.

The order within one list (the records of a conda name, the files of a project) is in `candidates/ranks.py`. Between the
ecosystems, `--prefer conda` takes a record if any is left, even an older one; `wheel` does the opposite; `newest` takes
the higher version, and conda if they are equal. Projects that only PEP 508 requirements request are taken by `newest`
unless wheels are preferred: on PyPI a requirement means the newest version. Installed packages are kept while they meet
the requirements.

Decision order: a requested python first, in the minor with the lowest cost to the other requests (of the newest three:
a name without any record left counts most, then a name at an older version; the newest of equals); then all other
requests; then python; then the variable with the fewest candidates left.
"""

from __future__ import annotations

from bridge.requirements.algebra import pep440_version
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import Candidate, VariableId
from bridge.resolve.masks import PRESENT
from bridge.resolve.store import Term

__all__ = ["COMPARED_MINORS", "best_version", "choose", "compares_versions", "decision_order", "newest_of_minors"]

COMPARED_MINORS = 3  # of a requested python


def decision_order(space: Space, variable: VariableId) -> tuple[object, ...]:
    """Return the decision order of a variable; the smallest is decided first. O(1)."""
    python_first = (0, 2) if variable == space.python else (1, 3)
    group = python_first[0 if variable in space.requested else 1]
    count = space.store.domains[variable].bit_count()
    return (group, count, -space.store.activity[variable], space.variables[variable].name)


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
    prefer = space.catalog.options.prefer
    if prefer == "conda" and space.requested.get(variable) == {"pep508"}:
        prefer = "newest"
    domain = space.store.domains[variable]
    wheel = domain & space.meanings[variable].wheel_bit
    is_kept = domain & space.kept.get(space.variables[variable].name, 0)
    return prefer == "newest" and bool(wheel and domain ^ wheel) and not is_kept


def choose(space: Space, variable: VariableId) -> Candidate:
    """Return the best candidate left of a required, known variable: its own, or one that a bit of it stands for.

    If `compares_versions`, its wheels must be known.
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
    """Return the newer of the best record (of the first provider that has any) and the best wheel; the record if equal.

    The result is the record or the file itself, so that the next best is compared if it turns out to be unusable.
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
    """Return what one more term would leave of a variable, by the demands on it."""
    left = space.store.domains[target]
    for demand in space.onto[target]:
        source = space.demands[demand].source
        if term in source and space.store.satisfied(other for other in source if other != term):
            left &= space.allowed[demand]
    return left

"""Problems of the store, and the loop that decides, propagates, learns and jumps back over them, without resolvelib.

A problem is drawn by Hypothesis (`test_store.py`) or from a seed (`random_problem`), and judged by exhaustive search or
by a SAT solver (`tests.support.sat_oracle`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from bridge.resolve.masks import ABSENT, PRESENT
from bridge.resolve.store import Clause, Store

__all__ = ["Problem", "Search", "bits", "has_solution", "holds", "leaves", "random_problem"]

Terms = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """Domains and clauses; a clause comes to light after so many decisions, and may rest on an assumption."""

    fulls: tuple[int, ...]
    clauses: tuple[Terms, ...]
    delays: tuple[int, ...]
    assumptions: tuple[int, ...]
    late: frozenset[int] = frozenset()  # variables whose candidates are known only when they are looked at


def random_problem(chance: Random) -> Problem:
    """A problem near the edge between satisfiable and not, drawn in microseconds; the same for a seed."""
    count = chance.randint(2, 7)
    fulls = tuple(ABSENT | chance.randrange(1 << chance.randint(2, 5)) for _ in range(count))
    size = chance.randint(count, 5 * count)
    clauses = tuple(_random_terms(chance, fulls) for _ in range(size))
    delay, has_marks = chance.choice((0, 0, 4)), chance.random() < 0.25
    delays = tuple(chance.randint(0, delay) for _ in clauses)
    assumptions = tuple(chance.choice((0, 0, 1, 2)) if has_marks else 0 for _ in clauses)
    late = frozenset(v for v in range(count) if chance.random() < 0.3) if chance.random() < 0.3 else frozenset()
    return Problem(fulls, clauses, delays, assumptions, late)


def _random_terms(chance: Random, fulls: Sequence[int]) -> Terms:
    variables = chance.choices(range(len(fulls)), k=chance.choice((1, 2, 2, 2, 3, 3)))
    return tuple((v, chance.choice((ABSENT, PRESENT, *[chance.randint(1, 31)] * 4))) for v in variables)


def leaves(clause: Clause) -> list[Clause]:
    """The clauses that were given, on which a learned one rests."""
    found: dict[int, Clause] = {}
    seen: set[int] = set()
    waiting = [clause]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if one.parents:
            waiting.extend(one.parents)
        else:
            found[id(one)] = one
    return list(found.values())


def bits(mask: int) -> Iterator[int]:
    while mask:
        bit = mask & -mask
        mask ^= bit
        yield bit


def holds(assignment: Sequence[int], clauses: Iterable[Terms]) -> bool:
    return not any(all(assignment[variable] & mask for variable, mask in clause) for clause in clauses)


def has_solution(fulls: Sequence[int], clauses: Sequence[Terms]) -> bool:
    return any(holds(assignment, clauses) for assignment in itertools.product(*map(bits, fulls)))


class Search:
    """Decide, propagate, learn, jump back: what `bridge.resolve.search.joint` does, without facts."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.store = Store()
        self.lifted = 0
        self._unknown = set(problem.late)
        for variable, full in enumerate(problem.fulls):
            self.store.new_variable()
            if variable not in self._unknown:
                self.store.set_full(variable, full)
        self._hidden = list(range(len(problem.clauses)))
        self._decisions = 0

    def run(self) -> list[int] | None:
        """An assignment, or `None`: `store.refutation` says why there is none."""
        while True:
            self.reveal(self._decisions)
            if self.store.propagate() is not None:
                learned = self.store.learn()
                if learned is None:
                    refutation = self.store.refutation
                    assert refutation is not None
                    if not refutation.assumptions:
                        return None
                    self.lifted |= refutation.assumptions
                    self.store.lift(refutation.assumptions)
                    continue
                self.store.backjump(learned[1])
                self.store.add(learned[0])
                continue
            if self._know_next():
                continue
            undecided = [v for v, domain in enumerate(self.store.domains) if domain & (domain - 1)]
            if undecided:
                self._decisions += 1
                domain = self.store.domains[undecided[0]]
                self.store.decide(undecided[0], domain & -domain)
            elif self._hidden:
                self.reveal(max(self.problem.delays))
            else:
                return list(self.store.domains)

    def _know_next(self) -> bool:
        """The resolver reads a name when it becomes required; what nobody requires is read at the end here."""
        required = [v for v in sorted(self._unknown) if self.store.is_required(v)]
        known = len(self.store.domains) - len(self._unknown)
        wanted = required or (sorted(self._unknown) if self._decisions >= known else [])
        for variable in wanted:
            self._unknown.discard(variable)
            self.store.set_full(variable, self.problem.fulls[variable])
        return bool(wanted)

    def reveal(self, decisions: int) -> None:
        shown = [place for place in self._hidden if self.problem.delays[place] <= decisions]
        self._hidden = [place for place in self._hidden if place not in shown]
        for place in shown:
            assumptions = self.problem.assumptions[place]
            if not assumptions & self.lifted:
                self.store.add(Clause(self.problem.clauses[place], place, assumptions))

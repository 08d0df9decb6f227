"""Why there is no solution, in words: the facts at the leaves of the refutation, in the order in which they combine.

The chain of reasons *is* the explanation. Facts that say the same of many candidates are said once, with a range of versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bridge.algebra import Requirement
from bridge.errors import NoSolutionError
from bridge.resolve.space import Space
from bridge.resolve.store import Clause
from bridge.resolve.variables import Fact

__all__ = ["no_solution"]


def no_solution(space: Space, proof: Clause, requirements: Sequence[Requirement]) -> NoSolutionError:
    facts = list(_facts(proof))
    steps = [
        {
            "because": [
                f"{fact.kind} {fact.text} {fact.subject and fact.subject.name} {fact.target and fact.target.name}"
            ],
            "so": "",
        }
        for fact in facts
    ]
    return NoSolutionError("no-solution", "no solution", objects={"derivation": steps})


def _facts(proof: Clause) -> Iterable[Fact]:
    seen: set[int] = set()
    agenda = [proof]
    while agenda:
        clause = agenda.pop()
        if id(clause) in seen:
            continue
        seen.add(id(clause))
        if isinstance(clause.fact, Fact):
            yield clause.fact
        agenda.extend(reversed(clause.parents))

"""The store against a SAT solver, on problems that differ in every run and on saved ones.

A failure prints the seed (`BRIDGE_SEED=N` repeats it) and the problem, to be saved in `tests/store_problems.toml`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.fresh_examples import VARIABLE, fresh_seeds
from tests.support.sat_oracle import is_satisfiable
from tests.support.store_search import Problem, Search, holds, leaves, random_problem

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SECONDS = 4.0


def mistake_of(problem: Problem) -> str | None:
    """What is wrong with the store's answer; `None` where the SAT solver agrees."""
    search = Search(problem)
    found = search.run()
    firm = [
        clause for clause, mark in zip(problem.clauses, problem.assumptions, strict=True) if not mark & search.lifted
    ]
    if search.lifted and is_satisfiable(problem.fulls, problem.clauses):
        return "an assumption was lifted though there is a solution with it"
    if found is not None:
        in_domain = all(
            value & full and not value & (value - 1) for value, full in zip(found, problem.fulls, strict=True)
        )
        return None if in_domain and holds(found, firm) else f"{found} is no solution"
    if is_satisfiable(problem.fulls, firm):
        return "no solution was found, and there is one"
    proof = search.store.refutation
    assert proof is not None
    if is_satisfiable(problem.fulls, [leaf.terms for leaf in leaves(proof)]):
        return "the refutation rests on clauses that do not exclude each other"
    return None


def saved() -> list[Any]:
    with (Path(__file__).parent / "store_problems.toml").open("rb") as stream:
        tables = tomllib.load(stream)["problem"]
    return [pytest.param(_read(table), id=table["name"]) for table in tables]


def _read(table: dict[str, Any]) -> Problem:
    clauses = tuple(tuple((variable, mask) for variable, mask in terms) for terms in table["clauses"])
    return Problem(
        tuple(table["fulls"]), clauses, tuple(table["delays"]), tuple(table["marks"]), frozenset(table["late"])
    )


def _written(problem: Problem) -> str:
    lines = [f"{name} = {getattr(problem, name)}" for name in ("fulls", "clauses", "delays", "marks")]
    lines.append(f"late = {sorted(problem.late)}")
    return "\n".join(lines).replace("(", "[").replace(")", "]").replace(",]", "]")


def test_fresh_problems_are_answered_as_by_a_sat_solver() -> None:
    """MUST: verdict, solution and refutation hold, whatever the order in which clauses come to light."""
    counted = 0
    for seed in fresh_seeds(SECONDS):
        problem = random_problem(Random(seed))
        mistake = mistake_of(problem)
        assert mistake is None, f"{mistake} ({VARIABLE}={seed})\n{_written(problem)}"
        counted += 1
    print(f"{counted} problems")


@pytest.mark.parametrize("problem", saved())
def test_saved_problems_are_answered_as_by_a_sat_solver(problem: Problem) -> None:
    assert mistake_of(problem) is None

"""The resolver against a SAT solver, on universes that differ in every run, and on saved seeds.

A failure prints the seed: `BRIDGE_SEED=N` repeats it. A seed that once failed joins `SAVED`.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.support.fresh_examples import VARIABLE, fresh_seeds
from tests.support.random_worlds import random_request, random_world
from tests.support.resolver_oracle import asked_of, chosen_of, solve
from tests.support.resolver_worlds import World, describe, picks
from tests.support.sat_oracle import Universe

SECONDS = 4.0
SAVED = tuple(range(12))


def check(seed: int) -> bool:
    """Compare one universe; returns whether it has a solution."""
    chance = Random(seed)
    world, request = random_world(chance), random_request(chance)
    universe = Universe(world, asked_of(*request))
    resolution = solve(world, *request)
    if resolution is None:
        assert not universe.has_solution(), f"there is a solution: {_description(seed, world, request)}"
        return False
    assert universe.is_solution(chosen_of(world, resolution)), (
        f"{picks(resolution)} is no solution: {_description(seed, world, request)}"
    )
    return True


def _description(seed: int, world: World, request: tuple[list[str], list[str]]) -> str:
    return f"{VARIABLE}={seed}\n{describe(world)}\nasked {request}"


@pytest.mark.slow
def test_fresh_universes_are_answered_as_by_a_sat_solver() -> None:
    """MUST: a solution is found if and only if there is one, and what is found is one."""
    verdicts = [check(seed) for seed in fresh_seeds(SECONDS)]
    print(f"{len(verdicts)} universes, {sum(verdicts)} with a solution")


@pytest.mark.parametrize("seed", SAVED)
def test_saved_universes_are_answered_as_by_a_sat_solver(seed: int) -> None:
    check(seed)

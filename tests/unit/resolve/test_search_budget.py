"""A search that its budget ends says what it has learned, and how to go on."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from bridge.errors import NoSolutionError
from bridge.resolve import Options
from tests.support.resolver_worlds import World, picks, record


def pigeons(count: int, holes: int) -> World:
    """Each version of a pigeon takes another hole, and a hole has room for one: hard for every clause learner."""
    records = [record(f"hole{hole}", f"{pigeon}.0") for hole in range(holes) for pigeon in range(count)]
    records += [
        record(f"pigeon{pigeon}", f"{hole}.0", f"hole{hole} {pigeon}.0")
        for pigeon in range(count)
        for hole in range(holes)
    ]
    return World(records=tuple(records))


def test_a_search_without_a_verdict_stops_in_time_and_says_what_it_learned() -> None:
    world = replace(pigeons(11, 10), options=Options(patience=0.5))
    names = [f"pigeon{pigeon}" for pigeon in range(11)]
    started = time.monotonic()
    with pytest.raises(NoSolutionError) as caught:
        world.solve(names)
    error = caught.value
    assert time.monotonic() - started < 5
    assert (error.id, error.exit_code) == ("search-stopped", 6)
    assert "in 0.5 seconds" in error.message
    assert "conflicts, most of them about " in error.context[0]
    assert error.hint is not None
    assert "--patience 2" in error.hint
    assert "`pigeon" in error.hint


def test_what_a_stopped_search_calls_certain_is_true() -> None:
    """`old` needs a hole that no solution leaves free; that is learned before the hard part begins."""
    hard = pigeons(11, 10)
    needy = (record("tool", "2.0", "part 1.0", "other"), record("tool", "1.0"), record("part", "1.0", "other 1.0"))
    others = (record("other", "2.0", "part 2.0"), record("other", "1.0", "part 2.0"), record("part", "2.0"))
    world = World(records=(*hard.records, *needy, *others), options=Options(patience=0.5))
    with pytest.raises(NoSolutionError) as caught:
        world.solve(["tool", *(f"pigeon{pigeon}" for pigeon in range(11))])
    certain = [line.removeprefix("it is certain that ") for line in caught.value.context if "certain" in line]
    assert certain
    for line in certain:
        assert not line.startswith("tool 1.0")  # it can be used


def test_a_solution_is_found_within_the_budget() -> None:
    world = replace(pigeons(6, 6), options=Options(patience=30))
    found = picks(world.solve([f"pigeon{pigeon}" for pigeon in range(6)]))
    assert len({found[f"pigeon{pigeon}"] for pigeon in range(6)}) == 6

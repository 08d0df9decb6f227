"""A search that its budget ends says what it has learned, and how to go on."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.errors import NoSolutionError
from bridge.resolve import Options
from tests.support.builders import make_conda, make_repodata
from tests.support.command_line import Bridge
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


@pytest.mark.slow
def test_an_environment_takes_no_second_budget(tmp_path: Path) -> None:
    """`install` solves again without the packages that need not stay; both solves share `--patience`."""
    channel = tmp_path / "channel"
    make_conda(channel, "dep", "1.0")
    make_conda(channel, "tool", "1.0", depends=["dep"])
    make_repodata(channel)
    path = channel / "noarch" / "repodata.json"
    repodata = json.loads(path.read_text())
    for one in pigeons(11, 10).records:
        repodata["packages.conda"][f"{one.identity}.conda"] = {
            "name": one.name,
            "version": one.version,
            "build": one.build,
            "build_number": 0,
            "depends": list(one.requirements),
            "sha256": "0" * 64,
            "size": 1,
            "subdir": "noarch",
        }
    path.write_text(json.dumps(repodata))
    bridge = Bridge.of_folder(tmp_path)
    assert bridge("create", "-p", "env", "tool").status == 0
    pigeon_names = [f"pigeon{pigeon}" for pigeon in range(11)]
    started = time.monotonic()
    ran = bridge("install", "-p", "env", "--patience", "5", *pigeon_names)
    assert time.monotonic() - started < 9.5  # two budgets take more than 10
    assert ran.status == 6
    assert "no solution in 5 seconds" in ran.err

"""What the search decides next is what comes first among all that is undecided, found without looking at all of it."""

from __future__ import annotations

from collections.abc import Container
from random import Random

import pytest

from bridge.resolve.encode.variables import VariableId
from bridge.resolve.search.joint import Joint
from bridge.resolve.search.order import Order
from bridge.resolve.search.preference import rank
from tests.support.random_worlds import random_request, random_world
from tests.support.resolver_oracle import solve
from tests.support.resolver_worlds import World, picks, record


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[VariableId | None]:
    """Each variable that a search takes next, compared with the first of all that are required and not pinned."""
    taken: list[VariableId | None] = []
    running: list[Joint] = []
    original, begin = Order.first, Joint.__init__

    def noted(self: Joint, *words: object) -> None:
        begin(self, *words)  # type: ignore[arg-type]
        running.append(self)

    def first(self: Order, pinned: Container[VariableId]) -> VariableId | None:
        joint = running[-1]
        undecided = [variable for variable in joint._required if variable not in pinned]
        best = min(undecided, key=lambda variable: rank(joint._space, variable), default=None)
        found = original(self, pinned)
        assert found == best
        taken.append(found)
        return found

    monkeypatch.setattr(Joint, "__init__", noted)
    monkeypatch.setattr(Order, "first", first)
    return taken


def test_it_is_the_first_of_all_in_random_worlds(compared: list[VariableId | None]) -> None:
    for seed in range(60):
        chance = Random(seed)
        world = random_world(chance)
        solve(world, *random_request(chance))
    assert len(compared) > 40


def test_it_is_the_first_of_all_after_conflicts(compared: list[VariableId | None]) -> None:
    """Each version of `a` but the oldest needs what `b` excludes; python is decided between the builds."""
    records = [record("python", version) for version in ("3.11.1", "3.12.1")]
    for number in range(8):
        records.append(record("a", f"1.{number}", f"c =={number}", "python >=3.11"))
        records.append(record("c", str(number), "python >=3.12" if number else "python"))
        records.append(record("b", f"1.{number}", "c <1", f"d{number}"))
        records.append(record(f"d{number}", "1.0", "e"))
    records.append(record("e", "1.0"))
    resolution = solve(World(records=tuple(records)), ["a", "b"], [])
    assert resolution is not None
    assert picks(resolution)["a"] == "conda 1.0"
    assert len(compared) > 3

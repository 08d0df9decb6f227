"""The resolver on scenarios: our own, one for each class of semantics, and the frozen ones from real threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.errors import NoSolutionError
from tests.conftest import SHARED
from tests.support.resolver_oracle import Oracle, asked_of
from tests.support.resolver_scenarios import Scenario, missing_from, mistakes_of, read_scenario

OWN = sorted(Path(__file__).parent.glob("*.toml"))
FROZEN = sorted((SHARED / "data" / "scenarios").glob("*.toml"))
# What the oracle knows nothing of.
SPECIAL = {"prerelease", "yanked", "exclude-newer", "options", "url", "free-threaded"}


def run(path: Path) -> None:
    scenario = read_scenario(path)
    if scenario.expected["outcome"] == "solution":
        assert not mistakes_of(scenario.expected, scenario.world.solve(scenario.conda, scenario.pypi))
        return
    with pytest.raises(NoSolutionError) as caught:
        scenario.world.solve(scenario.conda, scenario.pypi)
    assert caught.value.id == "no-solution"
    assert not missing_from(scenario.expected.get("message_contains", ()), caught.value)


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_our_scenarios(path: Path) -> None:
    run(path)


@pytest.mark.shared
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("path", FROZEN or [Path("absent")], ids=lambda path: path.stem)
def test_frozen_scenarios(path: Path) -> None:
    run(path)


def own() -> Iterator[Scenario]:
    for path in OWN:
        scenario = read_scenario(path)
        assert scenario.name == path.stem
        if not SPECIAL.intersection(scenario.classes):
            yield scenario


@pytest.mark.parametrize("scenario", list(own()), ids=lambda scenario: scenario.name)
def test_what_our_scenarios_expect_is_so_by_exhaustive_search(scenario: Scenario) -> None:
    oracle = Oracle(scenario.world, is_lenient=False)
    found = oracle.has_solution(asked_of(scenario.conda, scenario.pypi))
    assert found == (scenario.expected["outcome"] == "solution")

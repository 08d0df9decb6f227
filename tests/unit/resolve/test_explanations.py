"""Each sentence of an explanation is a fact of the universe, and each conclusion survives exhaustive search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from bridge.errors import NoSolutionError
from bridge.requirements.algebra import conda_requirement
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from converters.names import NameMap
from tests.conftest import SHARED
from tests.support.explanations import false_conclusions, false_sentences
from tests.support.random_worlds import random_request, random_world
from tests.support.resolver_scenarios import read_scenario
from tests.support.resolver_worlds import World, record

OWN = sorted((Path(__file__).parents[2] / "scenarios").glob("*.toml"))
FROZEN = sorted((SHARED / "data" / "scenarios").glob("*.toml"))
RANDOM = 200  # unsatisfiable requests
REAL = 300  # requests, of which one in six is unsatisfiable


def refusal(world: World, conda: Sequence[str], pypi: Sequence[str]) -> NoSolutionError | None:
    try:
        world.solve(conda, pypi)
    except NoSolutionError as error:
        return error
    return None


def check(path: Path) -> None:
    scenario = read_scenario(path)
    error = refusal(scenario.world, scenario.conda, scenario.pypi)
    assert (error is None) == (scenario.expected["outcome"] == "solution")
    if error is not None:
        assert false_sentences(scenario.world, (scenario.conda, scenario.pypi), error) == []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_sentences_about_our_scenarios_are_facts(path: Path) -> None:
    check(path)


@pytest.mark.shared
@pytest.mark.usefixtures("shared")
def test_sentences_about_the_frozen_scenarios_are_facts() -> None:
    for path in FROZEN:
        check(path)


def test_sentences_and_conclusions_about_random_requests_hold() -> None:
    refuted, chance = 0, Random(13)
    while refuted < RANDOM:
        world, asked = random_world(chance), random_request(chance)
        error = refusal(world, *asked)
        if error is not None:
            refuted += 1
            said = [error.message, *error.context]
            assert false_sentences(world, asked, error) == [], said
            assert false_conclusions(world, asked, error) == [], said


@pytest.mark.slow
@pytest.mark.shared
def test_sentences_about_requests_of_real_packages_are_facts(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(shared / "tools"))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "benchmarks"))
    import check_solution as oracle  # type: ignore[import-not-found]
    from resolve_conda import draw, versions
    from resolve_mixed import Frozen

    port = Frozen(oracle.Universe(shared / "data", "linux-64"), None)
    known = versions(shared / "data" / "conda-forge")
    world = World(records=tuple(record for name in sorted(known) for record in port.records(name)))
    catalog, refuted = Catalog(port, None, world.target, NameMap.empty(), Options()), []
    for texts in draw(REAL, 20261122, known):
        try:
            resolve(SolveRequest(requirements=tuple(map(conda_requirement, texts))), catalog)
        except NoSolutionError as error:
            refuted.append((texts, error))
    assert len(refuted) > REAL / 10
    assert [false for texts, error in refuted for false in false_sentences(world, (texts, ()), error)] == []


def test_the_check_finds_what_is_no_fact() -> None:
    world = World(records=(record("x", "3.0", "y"), record("x", "2.0"), record("x", "1.0", "y")))
    for text in (
        "x 1.0 to 3.0 (conda) depends on `y`",  # 2.0 does not
        "every x (conda) depends on `y`",
        "x 3.0 (conda) depends on `z`",
        "no channel has a package named x for linux-64",
        "conda has x 1.0 and 4.0",
        "you ask for `y`",
        "the moon is made of cheese",
    ):
        derivation = [{"because": [text], "so": "there is no solution"}]
        error = NoSolutionError("no-solution", "m", objects={"derivation": derivation, "requests": ["x"]})
        assert false_sentences(world, (["x"], []), error) == [text]
        assert false_conclusions(world, (["x"], []), error) == ["there is no solution"]


def test_one_contradiction_is_one_step_about_the_versions_that_were_asked_for() -> None:
    """The old versions of scipy need other numpys; the new ones, which nobody asked for, are not mentioned."""
    scipy = [record("scipy", f"1.{minor}.0", f"numpy >=1.2{minor % 5},<2") for minor in range(7, 12)]
    scipy += [record("scipy", f"1.{minor}.0", "numpy >=1.26,<2.3") for minor in range(12, 15)]
    numpy = [record("numpy", version) for version in ("1.24", "1.26", "2.0", "2.3", "2.4")]
    error = refusal(World(records=(*scipy, *numpy)), ["numpy=2.4", "scipy<1.12"], [])
    assert error is not None
    derivation = error.objects["derivation"]
    assert isinstance(derivation, list)
    assert [sorted(step["because"][:2]) for step in derivation] == [
        ["you ask for `numpy=2.4`", "you ask for `scipy<1.12`"]
    ]
    assert len(derivation[0]["because"]) == 3
    assert derivation[0]["because"][2].startswith("scipy 1.7.0 to 1.11.0 (conda) depends on one of `numpy ")

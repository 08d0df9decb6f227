"""A range in an explanation has no gaps, and builds are named where a version has others too."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import NoSolutionError
from bridge.resolve.explain.ranges import Build, candidates, version_range
from tests.support.resolver_worlds import World, record

VERSIONS = [f"{number}.0" for number in range(12, 0, -1)]


@given(st.sets(st.sampled_from(VERSIONS), min_size=1))
def test_a_range_holds_exactly_the_versions_that_are_meant(chosen: set[str]) -> None:
    text = version_range("x", chosen, VERSIONS)
    counted = re.fullmatch(r"(\d+) of the 12 versions of x from (\S+) to (\S+)", text)
    if counted is not None:
        order = [version for version in reversed(VERSIONS) if version in chosen]
        assert (int(counted[1]), counted[2], counted[3]) == (len(chosen), order[0], order[-1])
        return
    said: set[str] = set()
    for part in re.split(r", | and ", text.removeprefix("x ")):
        first, _, last = part.partition(" to ")
        said |= {v for v in VERSIONS if float(first) <= float(v) <= float(last or first)}
    assert said == chosen


@pytest.mark.parametrize(
    ("best_first", "said"),
    [
        (("2.5", "2.4", "2.3", "2.2", "2.6rc1"), "x 2.2 to 2.6rc1"),
        (("2.5", "2.4", "2.3", "2.4.1.dev1"), "x 2.3 to 2.5"),
        (
            ("1.1.1w", "1.1.1a", "1.1.0h", "3.0.0a1", "not_a_version_of_pep_440"),
            "x not_a_version_of_pep_440 to 3.0.0a1",
        ),
        (("10.0", "9.0"), "x 9.0 and 10.0"),
    ],
)
def test_a_range_goes_from_the_oldest_to_the_newest_and_not_to_the_best(best_first: tuple[str, ...], said: str) -> None:
    assert version_range("x", best_first, best_first) == said


def test_builds_are_named_where_a_version_has_others() -> None:
    every = [Build(version, build) for version in ("2.0", "1.0") for build in ("b", "a")]
    assert candidates("x", every, every, "builds") == "every x"
    assert candidates("x", every[:2], every, "builds") == "x 2.0"
    assert candidates("x", every[1:2], every, "builds") == "x 2.0 a"
    assert candidates("x", every[1:], every, "builds") == "x 1.0 and x 2.0 a"
    assert candidates("x", [every[0], every[2]], every, "builds") == "some builds of x 1.0 and 2.0"


def test_an_explanation_names_the_builds_that_decide() -> None:
    world = World(
        records=(record("x", "2.0", build="g_0"), record("x", "1.0", build="h_0"), record("y", "1.0", "x 2.* h*"))
    )
    for asked, said in (
        (["x=2=h*"], "conda has x 2.0 g_0"),
        (["y"], "conda has x 2.0 g_0"),
        (["x=3"], "conda has x 1.0 and 2.0"),
    ):
        with pytest.raises(NoSolutionError) as caught:
            world.solve(asked)
        assert said in " ".join(caught.value.context)

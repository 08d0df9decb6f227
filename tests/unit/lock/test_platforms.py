"""Solves for several platforms agree on versions where they can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bridge.errors import NoSolutionError
from bridge.lock.platforms import Place, disagreements, solve_all
from bridge.model import Resolution
from bridge.requirements.algebra import Requirement
from bridge.resolve import SolveRequest, Standing, resolve
from converters.record import Record
from tests.support.resolver_worlds import World, picks, record, requests, target

LINUX, MAC, WINDOWS = (Place(environment="default", platform=name) for name in ("linux-64", "osx-arm64", "win-64"))


def on(platform: str, name: str, *versions: str, depends: Sequence[str] = ()) -> tuple[Record, ...]:
    return tuple(record(name, version, *depends, subdir=platform) for version in versions)


def solve(records: Sequence[Record], asked: Sequence[str], places: Sequence[Place]) -> dict[Place, Resolution]:
    def one(place: Place, agreed: Mapping[str, str], pins: Sequence[Requirement]) -> Resolution:
        world = World(records=tuple(records), target=target(place.platform))
        standing = Standing(agreed=agreed, pins=tuple(pins))
        request = SolveRequest(requirements=tuple(requests(asked)), standing=standing)
        return resolve(request, world.catalog())

    return solve_all(places, one)


def test_a_later_platform_takes_the_version_of_an_earlier_one() -> None:
    records = [*on("linux-64", "a", "1", "2"), *on("osx-arm64", "a", "1", "2", "3")]
    found = solve(records, ["a"], [LINUX, MAC])
    assert [picks(each)["a"] for each in found.values()] == ["conda 2", "conda 2"]


def test_an_earlier_platform_goes_back_to_a_version_that_both_have() -> None:
    records = [*on("linux-64", "a", "1", "2", "3"), *on("osx-arm64", "a", "1", "2"), *on("win-64", "a", "1", "2")]
    found = solve(records, ["a"], [LINUX, MAC, WINDOWS])
    assert disagreements(found) == {}
    assert [picks(each)["a"] for each in found.values()] == ["conda 2"] * 3


def test_an_older_version_that_all_have_is_found() -> None:
    records = [*on("linux-64", "a", "1", "2", "4"), *on("osx-arm64", "a", "1", "2", "3")]
    found = solve(records, ["a"], [LINUX, MAC])
    assert [picks(each)["a"] for each in found.values()] == ["conda 2", "conda 2"]


def test_versions_differ_where_no_common_one_exists() -> None:
    records = [*on("linux-64", "a", "1"), *on("osx-arm64", "a", "2"), *on("linux-64", "b", "1", "2")]
    records += on("osx-arm64", "b", "1")
    found = solve(records, ["a", "b"], [LINUX, MAC])
    assert disagreements(found) == {"a": ["1", "2"]}
    assert [picks(each)["b"] for each in found.values()] == ["conda 1", "conda 1"]


def test_a_name_that_another_holds_back_agrees_where_it_can() -> None:
    """`lib` is decided before `app`; the newer `app` on both platforms needs the older `lib`."""
    records = [*on("linux-64", "lib", "1", "2"), *on("osx-arm64", "lib", "1", "2"), *on("osx-arm64", "app", "2")]
    records += [*on("linux-64", "app", "1"), *on("linux-64", "app", "2", depends=["lib <2"])]
    found = solve(records, ["lib", "app"], [LINUX, MAC])
    assert disagreements(found) == {}


def test_a_version_between_those_found_is_tried_before_the_older_one() -> None:
    """On the second platform `b` 2, which the first one has, holds `a` back further than needed."""
    records = [*on("linux-64", "a", "1", "2", "3", "4"), *on("osx-arm64", "a", "1", "2", "3")]
    records += [
        *on("linux-64", "b", "1", "2"),
        *on("osx-arm64", "b", "2", depends=["a 1.*"]),
        *on("osx-arm64", "b", "1"),
    ]
    found = solve(records, ["b", "a"], [LINUX, MAC])
    assert [picks(each) for each in found.values()] == [{"a": "conda 3", "b": "conda 1"}] * 2


def test_names_that_differ_only_because_others_agree_are_made_to_agree() -> None:
    """With the common `app` 2, each platform has its own newest `lib`."""
    records = [*on("linux-64", "app", "3"), *on("linux-64", "lib", "1", "2"), *on("osx-arm64", "lib", "1", "2", "3")]
    for platform in ("linux-64", "osx-arm64"):
        records += [*on(platform, "app", "2", depends=["lib"]), *on(platform, "data", "2", depends=["app 2.*"])]
    records += on("linux-64", "data", "3", depends=["app 3.*"])
    found = solve(records, ["app", "data"], [LINUX, MAC])
    assert disagreements(found) == {}


def test_dependencies_agree_too() -> None:
    records = [*on("linux-64", "a", "1", depends=["b"]), *on("osx-arm64", "a", "1", depends=["b <2"])]
    records += [*on("linux-64", "b", "1", "2"), *on("osx-arm64", "b", "1", "2")]
    assert disagreements(solve(records, ["a"], [LINUX, MAC])) == {}


def test_a_platform_without_solution_is_explained_with_the_state_of_the_others() -> None:
    records = [*on("linux-64", "a", "1"), *on("osx-arm64", "b", "1")]
    with pytest.raises(NoSolutionError) as caught:
        solve(records, ["a"], [LINUX, MAC, WINDOWS])
    assert caught.value.message.startswith("osx-arm64: ")
    context = "\n".join(caught.value.context)
    assert "linux-64: a solution of 1 packages" in context
    assert "win-64: " in context

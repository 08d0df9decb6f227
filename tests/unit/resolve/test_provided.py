"""The projects that a record provides, which record stands for the whole of one, and how providers are compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.resolve import Options
from bridge.resolve.candidates.halves import wholes
from bridge.resolve.candidates.projects import Project
from bridge.resolve.candidates.provides import provided_by
from converters.names import NameMap
from converters.record import Record
from tests.support.resolver_worlds import LINUX, World, picks, record, wheel

PYTHON = record("python", "3.12.4")
DEP = record("dep", "1.0", "python")
NAMES = {"geo": ["geo"], "geo-base": ["geo"]}


def bases(*versions: str) -> tuple[Record, ...]:
    return tuple(record("geo-base", version, "python") for version in versions)


def whole_versions(*records: Record) -> set[str]:
    return {*wholes(World(records=(PYTHON, *records), names=NAMES).catalog(), "geo", "geo-base")}


def test_a_record_that_depends_on_a_range_of_versions_is_no_whole() -> None:
    pinning = record("geo", "1.1", "geo-base 1.1.*", "more", "python")
    ranging = record("geo", "1.1", "geo-base >=1.0,<2", "more", "python")
    assert whole_versions(*bases("1.0", "1.1"), pinning) == {"1.1"}
    assert whole_versions(*bases("1.0", "1.1"), ranging) == set()


def test_a_version_without_a_slim_record_hides_no_older_one() -> None:
    newer, older = (record("geo", version, f"geo-base {version}", "more", "python") for version in ("1.2", "1.1"))
    assert whole_versions(*bases("1.1"), newer, older) == {"1.1"}


def test_an_extra_belongs_to_the_record_that_provides_its_project_under_another_name() -> None:
    """`dask-core` is the only record of the project `dask`, so no variable stands for a choice between providers."""
    first = wheel("dask-1.0-py3-none-any.whl", "dep ; extra == 'array'")
    world = World(
        records=(PYTHON, DEP, record("dask-core", "1.0", "python")), wheels=(first,), names={"dask-core": ["dask"]}
    )
    packages = {each.record.name: each for each in world.solve([], ["dask[array]"]).packages}
    assert packages["dask-core"].extras == ("array",)
    assert packages["dep"].required_by == ("dask-core",)


def test_a_virtual_package_is_no_addition() -> None:
    assert whole_versions(*bases("1.1"), record("geo", "1.1", "geo-base 1.1", "__linux", "python")) == set()


def test_a_library_provides_the_project_of_its_own_name_and_no_other() -> None:
    names = NameMap({"lib": ["lib", "lib-python"]}, "the test's names")
    assert provided_by(record("lib", "1.0"), names).projects == ("lib",)


def test_only_the_package_of_a_project_makes_another_carry_a_copy() -> None:
    """`zeta` provides `alpha` beside another project: neither its row nor its name says that `alpha` is its own."""
    names = NameMap({"bundle": ["alpha", "beta"], "zeta": ["alpha", "gamma"]}, "the test's names")
    assert provided_by(record("bundle", "1.0", "python"), names).projects == ("alpha", "beta")
    eponymous = NameMap({"bundle": ["alpha", "beta"], "alpha": ["alpha", "gamma"]}, "the test's names")
    assert provided_by(record("bundle", "1.0", "python"), eponymous).projects == ("beta",)


def test_the_prereleases_of_a_project_are_the_files_whose_version_says_so() -> None:
    names = ("a-2.0rc1-py3-none-any.whl", "a-1.0-py3-none-any.whl", "a-0.9.dev1-py3-none-any.whl")
    project = Project("a", [wheel(name).file for name in names], LINUX, Options())
    bits = {file.version: 2 << place for place, file in enumerate(project.files)}
    assert project.prereleases == bits["2.0rc1"] | bits["0.9.dev1"]


LIB = (wheel("lib-2.1rc1-py3-none-any.whl"), wheel("lib-1.0-py3-none-any.whl"))
USERS = (wheel("user-2.0-py3-none-any.whl", "lib>=2"), wheel("user-1.0-py3-none-any.whl", "lib"))


def chosen(*wheels: object, request: str = "user", options: Options | None = None, **names: object) -> dict[str, str]:
    world = World(records=(PYTHON,), wheels=wheels, options=options or Options(), **names)  # type: ignore[arg-type]
    return picks(world.solve(["python"], [request]))


def test_a_prerelease_serves_where_no_final_release_could() -> None:
    assert chosen(*LIB, *USERS) == {"python": "conda 3.12.4", "user": "wheel 2.0", "lib": "wheel 2.1rc1"}


def test_a_prerelease_is_excluded_while_a_final_release_could_serve() -> None:
    final = wheel("lib-2.0-py3-none-any.whl", "absent")
    assert chosen(*LIB, final, *USERS)["user"] == "wheel 1.0"
    assert chosen(*LIB, request="lib")["lib"] == "wheel 1.0"


def test_a_prerelease_is_taken_if_there_is_no_solution_without_it() -> None:
    final = wheel("lib-2.0-py3-none-any.whl", "absent")
    assert chosen(*LIB, final, USERS[0])["lib"] == "wheel 2.1rc1"


@pytest.mark.parametrize("name", ["one", "two"])
def test_only_wheels_excludes_each_record_that_provides_the_project(name: str) -> None:
    others = [record(other, "0.5", "python") for other in ("one", "two") if other != name]
    world = World(
        records=(PYTHON, record(name, "2.0", "python"), *others),
        wheels=(wheel("tool-1.0-py3-none-any.whl"),),
        # Neither name stands for one project, so that the names themselves are not bound to the index.
        names={"one": ["tool", "first"], "two": ["tool", "second"]},
        options=Options(only={"tool": "wheel"}),
    )
    assert picks(world.solve(["python"], ["tool"])) == {"python": "conda 3.12.4", "tool": "wheel 1.0"}


TWO = {"tool": ["tool"], "tool-old": ["tool"]}


def test_a_record_between_two_wheels_is_taken_if_the_newest_wheel_is_unusable() -> None:
    world = World(
        records=(PYTHON, record("tool", "1.5", "python"), record("tool-old", "0.5", "python")),
        wheels=(wheel("tool-2.0-py3-none-any.whl", "absent"), wheel("tool-1.0-py3-none-any.whl")),
        names=TWO,
    )
    assert picks(world.solve(["python"], ["tool"]))["tool"] == "conda 1.5"


@pytest.mark.parametrize(("first", "second", "expected"), [
    (("3.0", "1.0"), ("3.0", "0.5"), {"tool": "conda 1.0"}),
    (("3.0", "0.5"), ("3.0", "1.0"), {"tool-old": "conda 1.0"}),
    (("3.0", "1.0"), ("2.0",), {"tool-old": "conda 2.0"}),
])  # fmt: skip
def test_providers_are_compared_by_what_the_request_leaves_of_them(
    first: tuple[str, ...], second: tuple[str, ...], expected: dict[str, str]
) -> None:
    world = World(
        records=(
            PYTHON,
            *(record("tool", version, "python") for version in first),
            *(record("tool-old", version, "python") for version in second),
        ),
        wheels=(wheel("tool-0.1-py3-none-any.whl"),),
        names=TWO,
    )
    assert picks(world.solve(["python"], ["tool<3"])) == {"python": "conda 3.12.4", **expected}


def test_a_record_whose_wheel_lacks_the_extra_is_excluded() -> None:
    world = World(
        records=(PYTHON, record("tool", "2.0", "python"), record("tool", "1.0", "python"), DEP),
        wheels=(wheel("tool-2.0-py3-none-any.whl"), wheel("tool-1.0-py3-none-any.whl", "dep; extra == 'x'")),
        options=Options(only={"tool": "conda"}),
    )
    assert picks(world.solve(["python"], ["tool[x]"]))["tool"] == "conda 1.0"


def test_an_extra_that_only_a_marker_names_is_an_extra_of_the_record() -> None:
    """As for a wheel: METADATA without Provides-Extra."""
    named = wheel("tool-1.0-py3-none-any.whl", "dep; extra == 'x'")
    world = World(
        records=(PYTHON, record("tool", "1.0", "python"), DEP),
        wheels=(replace(named, metadata=replace(named.metadata, provides_extra=())),),
    )
    assert picks(world.solve(["tool"], ["tool[x]"])) == {
        "python": "conda 3.12.4",
        "tool": "conda 1.0",
        "dep": "conda 1.0",
    }


def test_a_record_without_a_wheel_serves_for_an_extra_as_the_last_resort() -> None:
    world = World(records=(PYTHON, record("tool", "2.0", "python")))
    assert picks(world.solve(["python"], ["tool[x]"]))["tool"] == "conda 2.0"


def test_an_extra_belongs_to_the_record_that_provides_its_project() -> None:
    """The newer record of the name is no python package, and does not provide the project."""
    world = World(
        records=(PYTHON, record("py-tool", "2.0"), record("py-tool", "1.0", "python"), DEP),
        wheels=(wheel("tool-1.0-py3-none-any.whl", "dep; extra == 'x'"),),
        names={"py-tool": ["tool"]},
        options=Options(only={"tool": "conda"}),
    )
    resolution = world.solve(["python"], ["tool[x]"])
    found = {package.record.name: package for package in resolution.packages}
    assert found["py-tool"].record.version == "1.0"
    assert {*found["py-tool"].extras} == {"x"}


def test_an_extra_in_a_matchspec_belongs_to_the_record_that_offers_it() -> None:
    world = World(
        records=(
            PYTHON,
            record("py-tool", "2.0"),
            record("py-tool", "1.0", "python", extra_depends={"x": ["dep"]}),
            DEP,
        ),
        names={"py-tool": ["tool"]},
    )
    found = {package.record.name: package for package in world.solve(["py-tool[extras=[x]]"]).packages}
    assert found["py-tool"].record.version == "1.0"
    assert {*found["py-tool"].extras} == {"x"}


def test_a_provider_that_a_search_has_excluded_is_not_compared_again() -> None:
    world = World(
        records=(
            PYTHON,
            record("u", "1.0"),
            record("u", "2.0"),
            record("fat", "2.0", "python", "u >=2"),
            record("thin", "3.0", "python", "u <2"),
            record("thin", "2.0", "python", "u >=2"),
            record("mid", "3.0", "python", "u <2"),
            record("mid", "1.0", "python"),
        ),
        wheels=(
            wheel("proj-1.0-py3-none-any.whl", "u<2; extra=='x'"),
            wheel("proj-3.0-py3-none-any.whl", "u; extra=='x'"),
        ),
        names={"fat": ["proj"], "thin": ["proj"], "mid": ["proj"]},
    )
    found = picks(world.solve(["python"], ["proj[x]"]))
    assert len(found.keys() & {"fat", "thin", "mid"}) == 1

"""The candidates of a name: which files and records count, in which order, and what the search may take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.config.builds import Formats
from bridge.errors import NoSolutionError
from bridge.requirements.algebra import conda_requirement
from bridge.resolve import Options, Standing, resolve
from bridge.resolve.candidates.projects import Project
from bridge.resolve.candidates.pythons import PythonMasks
from bridge.resolve.candidates.ranks import file_rank
from converters.target import Python
from tests.support.resolver_worlds import INDEX, LINUX, World, picks, record, solve_request, wheel

PYTHON = record("python", "3.12.4")


def test_every_python_is_in_the_mask_of_all() -> None:
    for count in range(4):
        masks = PythonMasks([Python(version=f"3.{12 - minor}.1") for minor in range(count)], LINUX)
        assert masks.everything == sum(2 << place for place in range(count))


def test_a_wheel_comes_before_the_sdist_of_its_version_and_after_a_newer_one() -> None:
    names = ["a-2.0.tar.gz", "a-1.0-py3-none-manylinux_2_17_x86_64.whl", "a-1.0-py3-none-any.whl", "a-1.0.tar.gz"]
    files = [wheel(name).file for name in sorted(names)]
    ranked = sorted(files, key=file_rank(LINUX), reverse=True)
    assert [file.filename for file in ranked] == names


def test_a_file_that_the_index_lists_is_one_candidate_with_that_of_its_url() -> None:
    files = [wheel(f"a-{version}-py3-none-any.whl").file for version in ("2.0", "1.0")]
    project = Project("a", files, LINUX, Options())
    assert project.with_file(files[1]) == (project, 4)
    wider, bit = project.with_file(replace(files[1], url=f"{INDEX}/elsewhere/a-1.0-py3-none-any.whl"))
    assert (len(wider.files), bit) == (3, 8)


@pytest.mark.parametrize(("options", "expected"), [
    (Options(), "wheel 2.0"),
    (Options(no_build=True), "wheel 1.0"),
    (Options(builds=Formats(only_binary=frozenset(["a"]))), "wheel 1.0"),
    (Options(builds=Formats(no_binary=frozenset(["a"]))), "wheel 2.0"),
    (Options(builds=Formats(only_binary=frozenset(["b"]))), "wheel 2.0"),
])  # fmt: skip
def test_sdists_count_unless_builds_are_barred(options: Options, expected: str) -> None:
    world = World(records=(PYTHON,), wheels=(wheel("a-2.0.tar.gz"), wheel("a-1.0-py3-none-any.whl")), options=options)
    assert picks(world.solve(["python"], ["a"]))["a"] == expected


@pytest.mark.parametrize("order", [["lib", "user"], ["user", "lib"], ["lib", "chain"]])
def test_no_prerelease_is_taken_for_want_of_a_final_release_that_meets(order: list[str]) -> None:
    """`lib` 2.0 meets what `user` 2.0 needs but cannot be installed: the older `user` is taken, not the pre-release."""
    world = World(
        records=(PYTHON,),
        wheels=(
            wheel("lib-2.1rc1-py3-none-any.whl"),
            wheel("lib-2.0-py3-none-any.whl", "absent"),
            wheel("lib-1.0-py3-none-any.whl"),
            wheel("user-2.0-py3-none-any.whl", "lib>=2"),
            wheel("user-1.0-py3-none-any.whl", "lib"),
            wheel("chain-1.0-py3-none-any.whl", "user"),
        ),
    )
    chosen = picks(world.solve(["python"], order))
    assert (chosen["lib"], chosen["user"]) == ("wheel 1.0", "wheel 1.0")


def test_a_yanked_file_may_be_pinned_after_its_project_was_read() -> None:
    wheels = (
        wheel("motor-0.9-py3-none-any.whl"),
        wheel("motor-0.8.1-py3-none-any.whl", yanked="broken"),
        wheel("tool-1.0-py3-none-any.whl", "motor"),
        wheel("legacy-1.0-py3-none-any.whl", "middle"),
        wheel("middle-1.0-py3-none-any.whl", "lower"),
        wheel("lower-1.0-py3-none-any.whl", "motor==0.8.1"),
    )
    world = World(records=(PYTHON,), wheels=wheels)
    assert picks(world.solve(["python"], ["tool"]))["motor"] == "wheel 0.9"
    assert picks(world.solve(["python"], ["tool", "legacy"]))["motor"] == "wheel 0.8.1"


def test_an_extra_adds_only_what_the_chosen_record_lists_for_it() -> None:
    world = World(
        records=(
            record("a", "2.0", extra_depends={"x": ["b"]}),
            record("a", "1.0", extra_depends={"x": ["c"]}),
            record("b", "1.0"),
            record("c", "1.0"),
        )
    )
    assert picks(world.solve(["a[version='2.0',extras=[x]]"])).keys() == {"a", "b"}
    assert picks(world.solve(["a[version='1.0',extras=[x]]"])).keys() == {"a", "c"}


def test_a_pin_binds_and_the_explanation_names_it() -> None:
    world = World(records=(record("a", "2.0"), record("a", "1.0")))
    pinned = Standing(pins=(conda_requirement("a 1.0"),))
    assert picks(resolve(replace(solve_request(["a"]), standing=pinned), world.catalog())) == {"a": "conda 1.0"}
    with pytest.raises(NoSolutionError) as caught:
        resolve(replace(solve_request(["a 2.0"]), standing=pinned), world.catalog())
    assert "conda-meta/pinned" in (caught.value.hint or "")
    with pytest.raises(NoSolutionError) as caught:
        world.solve(["a 3.0"])
    assert "conda-meta/pinned" not in (caught.value.hint or "")


def test_installed_packages_are_kept_whichever_record_provides_the_project() -> None:
    """`a` is provided by two conda names; the older, installed one is kept for a requirement of the project."""
    world = World(
        records=(
            PYTHON,
            record("one", "2.0", "python"),
            record("two", "1.0", "python"),
            record("two", "2.0", "python"),
        ),
        names={"one": ["a"], "two": ["a"]},
    )
    request = replace(solve_request(["python"], ["a"]), standing=Standing(kept={"two": "two-1.0-0"}))
    chosen = picks(resolve(request, world.catalog()))
    assert chosen.get("two") == "conda 1.0"
    assert "one" not in chosen


def test_a_wheel_that_runs_nowhere_here_is_named_by_its_own_tags() -> None:
    world = World(
        records=(PYTHON,),
        wheels=(wheel("a-2.0-cp310-cp310-manylinux_2_17_x86_64.whl"), wheel("b-1.0-cp39-none-any.whl")),
    )
    with pytest.raises(NoSolutionError) as caught:
        world.solve(["python"], ["a"])
    said = " ".join(caught.value.context)
    assert "cp310-cp310-manylinux_2_17_x86_64" in said
    assert "cp39" not in said

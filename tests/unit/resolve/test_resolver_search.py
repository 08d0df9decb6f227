"""What the resolver's search rests on: public names of resolvelib, values without cycles, kinds of clauses."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import resolvelib

from bridge.errors import NoSolutionError
from bridge.resolve.encode import facts
from bridge.resolve.search.joint import Joint
from tests.support.resolver_worlds import World, picks, record, wheel

WORLD = World(
    records=(
        record("python", "3.12.4"),
        record("numpy", "2.1", "python >=3.12"),
        record("numpy", "1.26", "python >=3.12"),
        record("scipy", "1.14", "numpy >=2", "python >=3.12"),
        record("old", "1.0", "numpy <2"),
    ),
    wheels=(wheel("rich-13.9-py3-none-any.whl", "pygments>=2"), wheel("pygments-2.18-py3-none-any.whl")),
    names={"numpy": ["numpy"], "scipy": ["scipy"]},
)


@contextmanager
def uncollected() -> Iterator[None]:
    """Fail where an object of the solver that was made inside needs the garbage collector to be freed.

    Other threads of the process may leave cycles of their own meanwhile.
    """
    gc.collect()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        modules = [str(getattr(each, "__module__", "")) for each in gc.garbage]
        assert [module for module in modules if module.startswith(("bridge", "converters", "resolvelib"))] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.slow
def test_a_solve_leaves_nothing_for_the_garbage_collector() -> None:
    catalog = WORLD.catalog()
    WORLD.solve(["scipy"], ["rich"])  # what is cached for the process is made here
    with uncollected():
        found = WORLD.solve(["scipy"], ["rich"])
        assert picks(found)["scipy"] == "conda 1.14"
        del found
    del catalog


@pytest.mark.slow
def test_a_refutation_leaves_nothing_for_the_garbage_collector() -> None:
    def refuted() -> str:
        try:
            WORLD.solve(["scipy", "old"])
        except NoSolutionError as error:
            return error.message
        raise AssertionError("there is no solution")

    refuted()
    with uncollected():
        assert refuted() == "`scipy` and `old` cannot be met together"


def test_the_search_overrides_no_private_name_of_resolvelib() -> None:
    private = {name for name in dir(resolvelib.AbstractResolver) if name.startswith("_") and not name.endswith("__")}
    assert not private & vars(Joint).keys()
    assert Joint.__mro__[1] is resolvelib.AbstractResolver


def test_every_kind_of_clause_has_its_sentence_in_sat_terms() -> None:
    kinds = facts.Fact.__subclasses__()
    assert len(kinds) >= 20
    assert [kind.__name__ for kind in kinds if "In SAT terms: (" not in (kind.__doc__ or "")] == []


def test_the_build_of_one_request_costs_no_version_of_another() -> None:
    """The newest python is that of the builds that the newest versions of all requests leave."""
    pythons = [record("python", f"3.{minor}.1") for minor in (11, 12, 13)]
    tool = [record("tool", "1", f"python 3.{minor}.*", build=f"py3{minor}") for minor in (11, 12, 13)]
    base = [record("base", version, f"python 3.{minor}.*") for version, minor in (("2", 12), ("1", 13))]
    whole = [record("whole", version, f"base {version}.*") for version in ("2", "1")]
    older = [record(name, f"0.{number}", "base 1.*") for name in ("base", "whole") for number in range(5)]
    world = World(records=(*pythons, *tool, *base, *whole, *older))
    for asked in (["tool", "whole"], ["whole", "tool"], ["tool", "base"], ["base", "tool", "whole"]):
        chosen = picks(world.solve(asked))
        assert (chosen["tool"], chosen["base"], chosen["python"]) == ("conda 1", "conda 2", "conda 3.12.1"), asked
    assert picks(world.solve(["tool"]))["python"] == "conda 3.13.1"

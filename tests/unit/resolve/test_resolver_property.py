"""The resolver on random small universes, against an independent judge that tries everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, assume, example, given, note, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bridge.errors import NoSolutionError
from bridge.resolve import resolve
from converters.record import Record
from tests.support.resolver_oracle import Chosen, Need, Oracle, asked_of, chosen_of, solve
from tests.support.resolver_worlds import Wheel, World, describe, picks, record, solve_request, wheel

NAMES = ("a", "b", "c", "d", "e")
PROJECTS = (*NAMES, "x")
VERSIONS = ("1.0", "2.0", "3.0")
CONDA_CLAUSES = ("", "", " >=2", " <2", " ==1.0", " 2.*", " >=2,<3", " !=2.0", " =2=h*")
PYPI_CLAUSES = ("", "", ">=2", "<2", "==1.0", "==2.*", "~=2.0", "!=2.0")
MARKERS = ("", "", "", " ; python_version < '3.12'", " ; python_version >= '3.12'", " ; sys_platform == 'win32'")
TAGS = ("py3-none-any", "py3-none-any", "py3-none-any", "cp311-cp311-manylinux_2_17_x86_64", "cp311-abi3-linux_x86_64")
PYTHONS = tuple(record("python", version, build="h_0") for version in ("3.11.9", "3.12.4", "3.13.5", "3.14.1"))
PYTHON_CLAUSES = ("", "", " >=3.12", " >=3.11,<3.12.0a0", " >=3.12,<3.13.0a0", " >=3.13", " <3.14")


# The newest record excludes itself by a requirement on its own name that nothing meets.
SELF_EXCLUDING = World(
    records=(
        *PYTHONS[:1],
        record("a", "1.0", "python", build="h_0"),
        record("a", "2.0", "python", build="g_0"),
        record("a", "3.0", "python", "a =2=h*", build="h_0"),
    ),
    wheels=(wheel("a-1.0-py3-none-any.whl"),),
    names={"a": ["a"]},
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    names = NAMES[: draw(st.integers(2, 5))]
    table = draw(tables(names))
    records = list(PYTHONS[: draw(st.integers(1, len(PYTHONS)))])
    for name in names:
        versions = draw(st.lists(st.sampled_from(VERSIONS), max_size=3, unique=True))
        records += [draw(records_of(name, version, names, is_mapped=bool(table.get(name)))) for version in versions]
    wheels = []
    for project in PROJECTS:
        versions = draw(st.lists(st.sampled_from(VERSIONS), max_size=2, unique=True))
        wheels += [draw(wheels_of(project, version)) for version in versions]
    return World(records=tuple(records), wheels=tuple(wheels), names=table)


@st.composite
def tables(draw: st.DrawFn, names: Sequence[str]) -> dict[str, object]:
    """Rows of one name or two. A second project that another row has too would be doubted: it is left to that one."""
    table: dict[str, object] = {}
    for name in names:
        rows: tuple[object, ...] = (None, [], [name], [name], [draw(st.sampled_from(PROJECTS))])
        place = draw(st.integers(-1, len(rows) - 1))
        if place >= 0:
            table[name] = rows[place]
    if not any(row and "x" in row for row in table.values() if isinstance(row, list)) and draw(st.booleans()):
        table[names[0]] = [names[0], "x"]
    return table


@st.composite
def records_of(draw: st.DrawFn, name: str, version: str, names: Sequence[str], *, is_mapped: bool) -> Record:
    """What the name map calls a python package is one: C libraries that claim projects are doubted on purpose."""
    python = f"python{draw(st.sampled_from(PYTHON_CLAUSES))}"
    depends = [python] if is_mapped or draw(st.booleans()) else []
    depends += draw(st.lists(st.sampled_from(names).flatmap(_conda_text), max_size=2))
    constrains = draw(st.lists(st.sampled_from(names).flatmap(_conda_text), max_size=1))
    return record(name, version, *depends, build=draw(st.sampled_from(["h_0", "g_0"])), constrains=constrains)


@st.composite
def wheels_of(draw: st.DrawFn, project: str, version: str) -> Wheel:
    requires = draw(st.lists(st.sampled_from(PROJECTS).flatmap(_pypi_text), max_size=2))
    requires += [f"{other} ; extra == 'more'" for other in draw(st.lists(st.sampled_from(PROJECTS), max_size=1))]
    return wheel(
        f"{project}-{version}-{draw(st.sampled_from(TAGS))}.whl",
        *requires,
        requires_python=draw(st.sampled_from([None, None, ">=3.12", "<3.12"])),
        extras=["more"],
    )


def _conda_text(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from(CONDA_CLAUSES).map(lambda clause: f"{name}{clause}")


def _pypi_text(project: str) -> st.SearchStrategy[str]:
    parts = st.tuples(st.sampled_from(["", "", "", "[more]"]), st.sampled_from(PYPI_CLAUSES), st.sampled_from(MARKERS))
    return parts.map(lambda part: f"{project}{part[0]}{part[1]}{part[2]}")


@st.composite
def asked(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    conda = draw(st.lists(st.sampled_from(NAMES).flatmap(_conda_text), max_size=2))
    conda += [f"python{draw(st.sampled_from(PYTHON_CLAUSES))}"] * draw(st.integers(0, 1))
    pypi = draw(st.lists(st.sampled_from(PROJECTS).flatmap(_pypi_text), max_size=2))
    bound_conda = [f"conda:{text}" if draw(st.integers(0, 5)) == 0 else text for text in conda]
    bound_pypi = [f"pypi:{text}" if draw(st.integers(0, 5)) == 0 else text for text in pypi]
    return bound_conda, bound_pypi


def _strictest(world: World, needs: Sequence[Need]) -> Oracle:
    """Extras of which nothing is known are taken on trust only where nothing else helps."""
    strict = Oracle(world, is_lenient=False)
    return strict if strict.has_solution(needs) else Oracle(world)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), asked())
def test_the_verdict_is_that_of_exhaustive_search(world: World, request: tuple[list[str], list[str]]) -> None:
    """MUST: a solution is found if and only if one exists, and what is found is consistent."""
    oracle, needs = Oracle(world), asked_of(*request)
    resolution = solve(world, *request)
    note(f"{describe(world)}\nasked {request}\n{resolution and picks(resolution)}")
    if resolution is None:
        assert not oracle.has_solution(needs)
    else:
        assert oracle.is_consistent(chosen_of(world, resolution), needs)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.sampled_from(NAMES[:2]).flatmap(_conda_text))
def test_what_alone_is_asked_for_is_taken_in_its_best_version(world: World, text: str) -> None:
    """MUST: conda before wheels; of either the newest that can be had at all."""
    needs = asked_of([text], [])
    oracle = _strictest(world, needs)
    resolution = solve(world, [text], [])
    if resolution is None:
        return
    note(f"{describe(world)}\nasked {text}\n{picks(resolution)}")
    name = text.split(" ", maxsplit=1)[0]
    records = sorted(oracle.records.get(name, ()), key=lambda one: (one.version, one.build), reverse=True)
    possible = [one for one in records if oracle.has_solution(needs, Chosen().with_record(one))]
    if possible:
        assert picks(resolution)[name] == f"conda {possible[0].version}"
    else:
        project = oracle.standin(name) or ""
        wheels = sorted(oracle.wheels[project], key=lambda one: one.file.version, reverse=True)
        first = next(one for one in wheels if oracle.has_solution(needs, Chosen().with_wheel(one)))
        taken = chosen_of(world, resolution).wheels[project]
        assert taken.file.version == first.file.version


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.tuples(st.sampled_from(("a", "b", "x")), st.sampled_from(PYPI_CLAUSES)).map("".join))
@example(SELF_EXCLUDING, "a")
def test_what_only_pep_508_asks_for_is_taken_in_the_newest_version_of_both_worlds(world: World, text: str) -> None:
    """MUST: of what can be had at all, the newest; a record before a wheel of the same version."""
    needs = asked_of([], [text])
    oracle = _strictest(world, needs)
    resolution = solve(world, [], [text])
    note(f"{describe(world)}\nasked {text}\n{resolution and picks(resolution)}")
    if resolution is None:
        return
    project = canonicalize_name(Requirement(text).name)
    assume(len({one.name for one in world.records if project in oracle.provides(one)}) < 2)  # one before the other
    records = [one for group in oracle.records.values() for one in group if project in oracle.provides(one)]
    starts = [(one.version, 1, Chosen().with_record(one)) for one in records]
    starts += [(one.file.version, 0, Chosen().with_wheel(one)) for one in oracle.wheels.get(project, ())]
    meeting = [start for start in starts if oracle.is_met(needs[0], start[2])]
    possible = [start[:2] for start in meeting if oracle.has_solution(needs, start[2])]
    chosen = chosen_of(world, resolution)
    taken = [(one.version, 1) for one in chosen.conda.values() if project in oracle.provides(one)]
    taken += [(one.file.version, 0) for one in chosen.wheels.values() if one.file.project == project]
    assert max(taken) == max(possible)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), asked(), st.randoms(use_true_random=False))
def test_the_answer_depends_on_what_there_is_and_not_on_its_order(
    world: World, request: tuple[list[str], list[str]], random: Random
) -> None:
    """MUST: equal universes and requests give equal answers, whatever order they are served in, asked once or again."""
    first = solve(world, *request)
    shuffled = replace(
        world,
        records=tuple(random.sample(world.records, len(world.records))),
        wheels=tuple(random.sample(world.wheels, len(world.wheels))),
    )
    catalog = shuffled.catalog()
    for _ in range(2):
        try:
            again = resolve(solve_request(*request), catalog)
        except NoSolutionError:
            assert first is None
        else:
            assert first is not None
            assert again.packages == first.packages

"""Bounds that a later build of a version adds, and that earlier builds keep (decision 0035)."""

from __future__ import annotations

import pytest

from bridge.resolve import Standing, resolve
from bridge.resolve.candidates.rebuilds import corrections
from converters.record import Record
from tests.support.resolver_worlds import World, picks, record, solve_request, wheel

PYTHON = record("python", "3.12.4")
NUMPY = tuple(
    record("numpy", version, "python", build=f"{number}") for number, version in enumerate(("1.20", "2.2", "2.5"))
)
OLD = record("numba", "0.61", "numpy >=1.24", "python", build="0", build_number=0)
NEW = record("numba", "0.61", "numpy >=1.22,<2.3", "python", build="1", build_number=1)


def bounds(old: Record, *later: Record) -> list[str]:
    """The bounds that `old` keeps beside later builds."""
    others = (PYTHON, record("python", "3.11.9"), *NUMPY)
    catalog = World(records=(*others, old, *later)).catalog()
    conda = catalog.conda("numba")
    return [each.bound.text for each in corrections(conda, conda.records.index(old), catalog.conda)]


@pytest.mark.parametrize(("old", "new", "noarch", "expected"), [
    ("numpy >=1.24", "numpy >=1.24,<2.3", None, ["numpy <2.3"]),
    ("numpy >=1.24", "numpy >=2.2,<2.3", None, ["numpy <2.3"]),  # from below: what the build was made with
    ("numpy", "numpy >=2", None, []),
    ("numpy", "numpy >=2", "python", ["numpy >=2"]),
    ("numpy >=2.5,<2.6", "numpy >=2.2,<2.3", None, []),  # made for another numpy
    ("numpy >=1.24,<2.3", "numpy >=1.24,<3", None, ["numpy <3"]),  # wider: excludes nothing
    ("numpy", "numpy 2.2 1", None, []),  # names a build
    ("numpy", "scipy <2", None, []),  # a name that the earlier build does not have
    ("numpy", "python <3.12", None, []),
    ("libxml2", "libxml2 <2", None, []),  # no project
])  # fmt: skip
def test_the_bounds_that_count(old: str, new: str, noarch: str | None, expected: list[str]) -> None:
    fields = {"noarch": noarch} if noarch else {}
    assert bounds(
        record("numba", "1", old, "python", build="0", **fields),
        record("numba", "1", new, "python", build="1", build_number=1, **fields),
    ) == expected  # fmt: skip


def test_all_variants_of_the_last_build_for_a_common_python_count() -> None:
    old = record("numba", "1", "numpy", "python 3.12.*", build="0")
    bound = record("numba", "1", "numpy <2.3", "python 3.12.*", build="1", build_number=1)
    variant = record("numba", "1", "numpy", "python 3.12.*", build="1v", build_number=1)
    elsewhere = record("numba", "1", "numpy", "python 3.11.*", build="2", build_number=2)
    other = record("numba", "2", "numpy <2", "python 3.12.*", build="3", build_number=3)
    assert bounds(old, bound) == bounds(old, bound, elsewhere, other) == ["numpy <2.3"]
    assert bounds(old, bound, variant) == []


def test_the_newer_version_is_taken_instead_of_an_earlier_build_that_says_too_little() -> None:
    newest = record("numba", "0.66", "numpy >=1.22,<2.5", "python")
    chosen = picks(World(records=(PYTHON, *NUMPY, OLD, NEW, newest)).solve(["numpy", "numba"]))
    assert (chosen["numba"], chosen["numpy"]) == ("conda 0.66", "conda 2.2")


def test_a_wheel_is_bound_too() -> None:
    world = World(
        records=(PYTHON, NUMPY[1], OLD, NEW),
        wheels=(wheel("numpy-2.5-py3-none-any.whl"), wheel("numpy-2.2-py3-none-any.whl")),
        names={"numpy": ["numpy"]},
    )
    assert picks(world.solve(["numba"], ["numpy"]))["numpy"] == "conda 2.2"
    both = world.solve(["numba"], ["numpy>=2.5"])
    assert picks(both)["numpy"] == "wheel 2.5"
    assert "a later build of this version depends on `numpy >=1.22,<2.3`" in both.warnings[-1]


def test_without_another_solution_the_earlier_build_is_taken_and_the_warning_says_so() -> None:
    found = World(records=(PYTHON, *NUMPY, OLD, NEW)).solve(["numpy 2.5", "numba"])
    assert picks(found)["numba"] == "conda 0.61"
    said = "a later build of this version depends on `numpy >=1.22,<2.3`, which nothing in this solution meets"
    assert found.warnings == (f"numba 0.61 0: {said}",)


def test_an_earlier_build_is_taken_before_a_prerelease() -> None:
    records = (PYTHON, *NUMPY, OLD, NEW)
    wheels = (wheel("tool-2.0rc1-py3-none-any.whl"), wheel("tool-1.0-py3-none-any.whl", "numba", "numpy>=2.5"))
    found = World(records=records, wheels=wheels, names={"numpy": ["numpy"], "numba": ["numba"]}).solve([], ["tool"])
    assert picks(found)["tool"] == "wheel 1.0"


def test_what_is_installed_stays() -> None:
    world = World(records=(PYTHON, *NUMPY, OLD, NEW, record("more", "1")))
    kept = {each.name: each.identity for each in (PYTHON, NUMPY[2], OLD)}
    request = solve_request(["numpy", "numba", "more"])
    found = resolve(type(request)(requirements=request.requirements, standing=Standing(kept=kept)), world.catalog())
    assert picks(found)["numpy"] == "conda 2.5"
    assert not found.warnings

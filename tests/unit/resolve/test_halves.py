"""Projects that conda splits into a slim record and a whole one, and projects of several conda names."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bridge.config.cooldown import Cooldown
from bridge.errors import NetworkError, NoSolutionError
from bridge.model import IndexFile
from bridge.resolve import Catalog, Options, resolve
from converters.names import NameMap
from converters.record import Record
from tests.support.resolver_worlds import Ports, Wheel, World, picks, record, solve_request, wheel

PYTHON = record("python", "3.12.4")
LEAVES = tuple(record(name, "1.0", "python") for name in ("pyogrio", "pyproj", "shapely"))
BASE = record("geo-base", "1.1", "python", "shapely >=1", noarch="python", build="pyha_0")
WHOLE = record("geo", "1.1", "geo-base 1.1 pyha_0", "pyogrio >=1", "pyproj", "python", noarch="python")
FILE = wheel("geo-1.1-py3-none-any.whl", "shapely>=1", "pyogrio>=1", "pyproj")
NAMES = {"geo": ["geo"], "geo-base": ["geo"]}


def world(*more: Record, wheels: tuple[Wheel, ...] = (FILE,), names: dict[str, list[str]] | None = None) -> World:
    """The split project `geo`, a wheel that needs it, and more."""
    user = wheel("momepy-1.0-py3-none-any.whl", "geo>=1")
    return World(
        records=(PYTHON, *LEAVES, BASE, WHOLE, *more), wheels=(user, *wheels), names={**NAMES, **(names or {})}
    )


@pytest.mark.parametrize("request_", ["geo", "momepy", "geo==1.1", "geo>=1"])
@pytest.mark.parametrize("wheels", [(FILE,), ()], ids=["with METADATA", "without"])
def test_the_whole_record_serves_a_pypi_requirement(request_: str, wheels: tuple[Wheel, ...]) -> None:
    chosen = picks(world(wheels=wheels).solve([], [request_]))
    assert chosen["geo"] == "conda 1.1"
    assert {"geo-base", "pyogrio", "pyproj"} <= chosen.keys()


def test_the_whole_record_serves_although_another_record_needs_the_slim_one() -> None:
    chosen = picks(world(record("spatial", "1.0", "geo-base", "python")).solve(["spatial"], ["geo"]))
    assert {"geo", "pyogrio", "pyproj"} <= chosen.keys()


def test_a_slim_record_that_the_user_names_serves() -> None:
    chosen = picks(world().solve(["geo-base"], ["momepy"]))
    assert "geo" not in chosen
    assert "pyogrio" not in chosen


def test_a_slim_record_serves_beside_what_it_omits() -> None:
    chosen = picks(world(record("alone", "1.0", constrains=["geo <1"])).solve(["alone"], ["momepy"]))
    assert "geo" not in chosen
    assert (chosen["geo-base"], chosen["pyogrio"], chosen["pyproj"]) == ("conda 1.1", "conda 1.0", "conda 1.0")


def test_a_slim_record_does_not_serve_where_what_it_omits_is_excluded() -> None:
    excluding = record("alone", "1.0", constrains=["geo <1", "pyogrio <1"])
    with pytest.raises(NoSolutionError) as caught:
        world(excluding, wheels=()).solve(["alone"], ["momepy"])
    said = " ".join(caught.value.context)
    assert "geo-base 1.1 (conda) omits `pyogrio >=1`, which the project that it provides needs" in said


def test_a_slim_record_that_brings_what_metadata_requires_serves() -> None:
    gui = wheel("geo-1.1-py3-none-any.whl", "shapely>=1", "pyproj ; extra == 'gui'", "pyogrio ; python_version<'3'")
    chosen = picks(world(wheels=(gui,)).solve([], ["momepy"]))
    assert "geo" not in chosen
    assert "pyogrio" not in chosen


def test_what_neither_record_brings_was_left_out_on_purpose() -> None:
    file = wheel("geo-1.1-py3-none-any.whl", "shapely>=1", "geo-binary")
    assert "geo" not in picks(world(wheels=(file,)).solve([], ["momepy"]))


def test_what_a_slim_record_brings_through_another_is_not_omitted() -> None:
    inner = record("shapely", "2.0", "python", "pyproj", "pyogrio")
    assert "geo" not in picks(world(inner).solve([], ["momepy"]))


@pytest.mark.parametrize("tags", ["py3-none-any", "cp312-cp312-manylinux_2_17_x86_64"])
def test_libraries_count_where_the_wheel_contains_them(tags: str) -> None:
    library = record("libgeo", "1.1")
    base = record("col-core", "1.1", "python")
    whole = record("col", "1.1", "col-core 1.1.*", "libgeo 1.1.*", "python")
    names: dict[str, list[str]] = {"col": ["col"], "col-core": ["col"], "libgeo": []}
    chosen = picks(world(library, base, whole, wheels=(wheel(f"col-1.1-{tags}.whl"),), names=names).solve([], ["col"]))
    assert ("col" in chosen) == ("libgeo" in chosen) == (tags != "py3-none-any")


def test_an_alias_is_no_whole() -> None:
    alias = record("geo_alias", "2.0", "geos >=2.0,<2.0.1.0a0", "python")
    found = world(record("geos", "2.0", "python"), alias, names={"geos": ["geos"], "geo_alias": ["geos"]})
    assert "geo_alias" not in picks(found.solve([], ["geos"]))


def test_a_range_that_happens_to_fit_makes_no_half() -> None:
    user = record("kit", "2.0", "toml >=1", "shapely", "python")
    found = world(record("toml", "2.0", "python"), user, names={"toml": ["toml"], "kit": ["toml"]})
    assert "kit" not in picks(found.solve([], ["toml"]))


def test_the_records_of_the_newest_versions_order_the_names_of_a_project() -> None:
    polars = (
        record("polars", "1.43", "python"),
        record("polars", "1.33", "python", "polars-default 1.33"),
        record("polars-default", "1.33", "python"),
    )
    wheels = (wheel("polars-1.36-py3-none-any.whl"), wheel("plot-1.0-py3-none-any.whl", "polars>=1"))
    found = world(*polars, wheels=wheels, names={"polars": ["polars"], "polars-default": ["polars"]})
    for request in ("polars", "plot"):
        chosen = picks(found.solve([], [request]))
        assert chosen["polars"] == "conda 1.43"
        assert "polars-default" not in chosen
    assert picks(found.solve([], ["polars<1.34"]))["polars"] == "conda 1.33"


def test_a_name_with_a_newer_version_left_is_compared_with_the_wheel() -> None:
    old = (record("tool", "3.0", "python"), record("tool", "1.0", "python"), record("tool-old", "2.0", "python"))
    names = {"tool": ["tool"], "tool-old": ["tool"]}
    found = world(*old, wheels=(wheel("tool-1.5-py3-none-any.whl"),), names=names)
    assert picks(found.solve([], ["tool<3"]))["tool-old"] == "conda 2.0"


def test_a_record_of_several_projects_does_not_serve_by_its_own_version() -> None:
    names = {"six": ["six"], "bleach": ["bleach", "six"]}
    found = world(record("six", "1.17", "python"), record("bleach", "6.1", "python", "six"), names=names)
    assert "bleach" not in picks(found.solve([], ["six"]))


def test_a_name_that_only_the_cooldown_excludes_does_not_come_first() -> None:
    records = (
        PYTHON,
        record("now", "3.0", "python", timestamp=1_800_000_000_000),
        record("now", "1.0", "python", timestamp=1_600_000_000_000),
        record("then", "2.0", "python", timestamp=1_600_000_000_000),
    )
    names = {"now": ["tool"], "then": ["tool"]}
    options = Options(cooldown=Cooldown(default=1_700_000_000_000))
    catalog = World(records=records, names=names, options=options).catalog()
    assert catalog.providers("tool") == ("then", "now")


def test_a_requirement_of_the_metadata_that_cannot_be_read_proves_nothing() -> None:
    file = wheel("geo-1.1-py3-none-any.whl", "not a ( requirement", "shapely>=1", "pyogrio>=1", "pyproj")
    excluding = record("alone", "1.0", constrains=["geo <1", "pyogrio <1"])
    with pytest.raises(NoSolutionError):
        world(excluding, wheels=(file,)).solve(["alone"], ["momepy"])
    assert picks(world(wheels=(file,)).solve([], ["momepy"]))["geo"] == "conda 1.1"


def test_without_the_index_conda_s_records_say_what_the_project_needs() -> None:
    small = world()
    ports = small.ports()

    class Offline(Ports):
        def files(self, project: str) -> Sequence[IndexFile]:
            if project == "geo":
                raise NetworkError("offline", "the index does not answer")
            return ports.files(project)

    index = Offline(small.records, small.wheels, "linux-64")
    catalog = Catalog(ports, index, small.target, NameMap(small.names, "the test's names"), small.options)
    found = resolve(solve_request([], ["momepy"]), catalog)
    assert picks(found)["geo"] == "conda 1.1"
    assert "the index does not answer; conda's records decide what geo needs" in found.warnings

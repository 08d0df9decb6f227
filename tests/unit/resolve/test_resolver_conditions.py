"""MatchSpecs of repodata v3 in a record: `when` (CEP 43), `extras` and `extra_depends` (CEP 44)."""

from __future__ import annotations

import pytest

from bridge.errors import NoSolutionError, UnsafeInputError, UsageError
from bridge.requirements.algebra import conditions_of, parse_conda
from converters.record import conda_record
from tests.support.resolver_worlds import World, picks, record, wheel

PYTHONS = (record("python", "3.12.7"), record("python", "3.9.1"))
BACKPORT = record("backport", "1.0")


@pytest.mark.parametrize(
    ("text", "alternatives"),
    [
        ("python >=3.9", [["python"]]),
        ("python >=3.9 and __linux", [["python", "__linux"]]),
        ("a or b and c", [["a"], ["b", "c"]]),
        ("a and (b or c)", [["a", "b"], ["a", "c"]]),
        ("(a or b) and (c or d)", [["a", "c"], ["a", "d"], ["b", "c"], ["b", "d"]]),
        ("android and order", [["android", "order"]]),
    ],
)
def test_conditions_are_alternatives_of_matchspecs(text: str, alternatives: list[list[str]]) -> None:
    found = conditions_of(parse_conda(f'tool[when="{text}"]'))
    assert [[spec.name for spec in alternative] for alternative in found] == alternatives


def test_a_condition_of_too_many_alternatives_is_refused() -> None:
    text = " and ".join(f"(a{n} or b{n})" for n in range(12))
    with pytest.raises(UsageError):
        conditions_of(parse_conda(f'tool[when="{text}"]'))


@pytest.mark.parametrize(
    ("condition", "python", "is_taken"),
    [
        ("python <3.10", "3.9.*", True),
        ("python <3.10", "3.12.*", False),
        ("python >=3 and python <3.10", "3.12.*", False),
        ("__linux", "3.12.*", True),
        ("__win", "3.12.*", False),
        ("__win or python >=3.12", "3.12.*", True),
        ("__glibc >=2.40", "3.12.*", False),
        ("absent", "3.12.*", False),
        ("backport", "3.12.*", False),
    ],
)
def test_a_dependency_counts_when_its_condition_holds(condition: str, python: str, is_taken: bool) -> None:
    tool = record("tool", "1.0", "python", f'backport[when="{condition}"]')
    found = picks(World(records=(*PYTHONS, BACKPORT, tool)).solve(["tool", f"python {python}"]))
    assert ("backport" in found) is is_taken


def test_a_virtual_package_under_a_condition_bars_only_where_it_holds() -> None:
    tool = record("tool", "1.0", "python", '__cuda[when="python <3.10"]')
    world = World(records=(*PYTHONS, tool))
    assert picks(world.solve(["tool"]))["python"] == "conda 3.12.7"
    with pytest.raises(NoSolutionError):
        world.solve(["tool", "python 3.9.*"])


def test_a_condition_on_another_package() -> None:
    tool = record("tool", "1.0", 'glue[when="other >=2"]')
    world = World(records=(tool, record("glue", "1.0"), record("other", "2.0"), record("other", "1.0")))
    assert set(picks(world.solve(["tool"]))) == {"tool"}
    assert set(picks(world.solve(["tool", "other"]))) == {"tool", "other", "glue"}
    assert set(picks(world.solve(["tool", "other <2"]))) == {"tool", "other"}


SERVER = record("server", "2.0", "core", extra_depends={"tls": ["crypto >=1"], "all": ["crypto", "zip"]})
PARTS = (record("core", "1.0"), record("crypto", "1.0"), record("zip", "1.0"))


def test_extras_of_a_record_are_kept_as_it_says_them() -> None:
    assert SERVER.extra_requirements == (("tls", ("crypto >=1",)), ("all", ("crypto", "zip")))
    with pytest.raises(UnsafeInputError):
        conda_record({"name": "a", "version": "1", "build": "0", "extra_depends": ["x"]})
    with pytest.raises(UnsafeInputError):
        conda_record({"name": "a", "version": "1", "build": "0", "extra_depends": {"x": [1]}})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("server", {"server", "core"}),
        ("server[extras=[tls]]", {"server", "core", "crypto"}),
        ("server >=1[extras=[tls, all]]", {"server", "core", "crypto", "zip"}),
    ],
)
def test_an_extra_that_is_asked_for_brings_what_the_record_says(asked: str, found: set[str]) -> None:
    assert set(picks(World(records=(SERVER, *PARTS)).solve([asked]))) == found


def test_an_extra_in_a_dependency() -> None:
    tool = record("tool", "1.0", "server[extras=[tls]]")
    assert set(picks(World(records=(SERVER, *PARTS, tool)).solve(["tool"]))) == {"tool", "server", "core", "crypto"}


def test_a_record_that_offers_the_extra_comes_before_a_newer_one_that_does_not() -> None:
    newer = record("server", "3.0", "core")
    world = World(records=(SERVER, *PARTS, newer))
    assert picks(world.solve(["server[extras=[tls]]"]))["server"] == "conda 2.0"
    assert picks(world.solve(["server[extras=[tls]]", "server >=3"]))["server"] == "conda 3.0"


def test_an_extra_that_cannot_be_met_is_no_solution() -> None:
    broken = record("server", "2.0", extra_depends={"tls": ["crypto >=9"]})
    with pytest.raises(NoSolutionError):
        World(records=(broken, *PARTS)).solve(["server[extras=[tls]]"])


def test_a_pypi_extra_is_served_by_the_record_that_offers_it() -> None:
    """Else by METADATA of the wheel of the same version, which is not asked where the record speaks for itself."""
    http = record("http", "1.0", "python", extra_depends={"socks": ["crypto"]})
    world = World(records=(*PYTHONS, *PARTS, http), wheels=(wheel("app-1.0-py3-none-any.whl", "http[socks]"),))
    assert picks(world.solve(["python"], ["app"])) == {
        "app": "wheel 1.0", "crypto": "conda 1.0", "http": "conda 1.0", "python": "conda 3.12.7",
    }  # fmt: skip


def test_a_matchspec_extra_of_a_python_record_without_extra_depends_is_read_from_its_wheel() -> None:
    world = World(
        records=(*PYTHONS, *PARTS, record("http", "1.0", "python")),
        wheels=(wheel("http-1.0-py3-none-any.whl", 'small; extra == "socks"'), wheel("small-1.0-py3-none-any.whl")),
    )
    assert picks(world.solve(["python", "http[extras=[socks]]"]))["small"] == "wheel 1.0"

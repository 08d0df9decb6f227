"""Which rows of a name map and which package URLs count."""

from __future__ import annotations

import pytest

from converters.names import NameMap, projects_of_purls

INVALID = ["-starts-with-a-hyphen", "two words", "x" * 129, "0123456789abcdef" * 3]


@pytest.mark.parametrize("value", ["numpy", ["numpy", "two words"], [3], *([name] for name in INVALID)])
def test_an_invalid_row_is_skipped_and_listed(value: object) -> None:
    names = NameMap({"right": ["right"], "wrong": value}, "a test")
    assert names.rejected == ("wrong",)


@pytest.mark.parametrize("name", INVALID)
def test_a_package_url_of_an_invalid_name_gives_no_project(name: str) -> None:
    assert projects_of_purls([f"pkg:pypi/{name}@1", "pkg:pypi/Right_One@1?a=b"]) == ("right-one",)


def test_a_name_of_the_greatest_length_is_a_project() -> None:
    assert projects_of_purls([f"pkg:pypi/{'x' * 128}"]) == ("x" * 128,)


def test_a_part_holds_the_rows_of_the_names_and_of_the_projects() -> None:
    names = NameMap({"a": ["x"], "b": ["y"], "c": ["z"]}, "a test", defaults={"d": ["y"], "e": ["z"]})
    assert names.part(["a"], ["y"]) == ({"a": ("x",), "b": ("y",)}, {"d": ("y",)})


def test_an_unconfirmed_row_is_no_evidence() -> None:
    names = NameMap({"ghost": {"unconfirmed": ["ghost"]}, "torch": {"unconfirmed": ["torch"]}}, "a test")
    assert names.unconfirmed("ghost") == ("ghost",)
    assert (names.row("ghost"), names.providers("ghost"), names.is_known("ghost")) == (None, (), False)
    assert names.provides("ghost", is_python=False).evidence == "unknown"
    table, defaults = names.part(["ghost"], [])
    assert NameMap(table, "again", defaults=defaults).unconfirmed("ghost") == ("ghost",)
    known = names.extended({"ghost": ()})
    assert (known.row("ghost"), known.unconfirmed("ghost"), known.unconfirmed("torch")) == ((), None, ("torch",))
    assert NameMap({"x": {"other": ["x"]}, "y": {"unconfirmed": [3]}}, "a test").rejected == ("x", "y")

"""`search` and `outdated`: both ecosystems side by side, and who holds what back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.builders import install_record, make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge


def validate(document: object, name: str) -> None:
    path = Path(__file__).parents[2] / "bridge/schemas" / f"{name}.json"
    jsonschema.validate(document, json.loads(path.read_text("utf-8")))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`both` is in a channel and an index, `only-wheel` in the index, the others conda's."""
    folder = tmp_path_factory.mktemp("searching")
    channel, wheels = folder / "channel", folder / "wheels"
    for version, build in (("1.0", "0"), ("2.0", "0"), ("2.0", "1")):
        make_conda(channel, "both", version, build=build, build_number=int(build), depends=["python"])
    make_conda(channel, "both", "3.0", depends=["python", "__cuda >=99"])
    for version in ("1.0", "2", "4.0"):
        make_wheel(wheels, "both", version)
    make_wheel(wheels, "only-wheel", "1.0")
    make_wheel(wheels, "only-wheel", "1.1", requires_python=">=3.99")
    make_wheel(wheels, "only-wheel", "1.2", tag="cp312-cp312-win_amd64")
    make_wheel(wheels, "only-wheel", "2.0a1")
    for version in ("1.0", "1.5", "2.0"):
        make_conda(channel, "leaf", version)
        make_conda(channel, "free", version)
    for python in ("3.11", "3.12"):
        make_conda(channel, "multi", "2.0", build=f"py{python}", depends=[f"python {python}.*"])
    make_conda(channel, "top", "1.0", depends=["leaf <2"])
    make_conda(channel, "no-python", "1.0")
    make_wheel(wheels, "no-python", "2.0")
    make_repodata(channel)
    return folder


@pytest.fixture
def bridge(tmp_path: Path, places: Path) -> Bridge:
    return Bridge.of_folder(tmp_path, packages=places)


def test_both_ecosystems_stand_side_by_side(bridge: Bridge) -> None:
    lines = [line.split() for line in bridge("search", "both").out.splitlines()]
    assert lines[0] == ["version", "conda", "index"]
    assert [(line[0], line[-1]) for line in lines[1:]] == [
        ("4.0", "wheels"), ("3.0", ">=99"), ("2.0", "conda"), ("1.0", "wheels"),
    ]  # fmt: skip
    assert lines[3] == ["2.0", "1", "(+1)", "channel", "1", "wheel", "wheels", "<-", "conda"]


def test_a_limit_shows_the_newest_versions_and_what_is_taken(bridge: Bridge) -> None:
    ran = bridge("search", "both", "--limit", "1")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["version", "4.0", "2.0"]
    assert "2 older versions" in ran.err
    document = bridge("search", "both", "-l", "1", "--json").document
    validate(document, "search")
    assert ([each["version"] for each in document["wheel"]], document["conda"]) == (["4.0"], [])
    ran = bridge("search", "*e*", "--limit", "1")
    assert (ran.out, "1 more name" in ran.err) == ("free\n", True), ran.err


def test_the_document_has_every_offer(bridge: Bridge) -> None:
    document = bridge("search", "both", "--json").document
    validate(document, "search")
    assert [(each["version"], each["build"], each["unusable"]) for each in document["conda"]] == [
        ("3.0", "0", "needs __cuda >=99"), ("2.0", "1", None), ("2.0", "0", None), ("1.0", "0", None),
    ]  # fmt: skip
    assert [each["version"] for each in document["wheel"]] == ["4.0", "2", "1.0"]
    assert document["taken"] == {"source": "conda", "version": "2.0", "filename": "both-2.0-1.conda"}


@pytest.mark.parametrize(
    ("words", "taken"),
    [
        (("both", "--prefer", "wheel"), ("wheel", "4.0")),
        (("both", "--prefer", "newest"), ("wheel", "4.0")),
        (("both", "--only", "both=wheel"), ("wheel", "4.0")),
        (("pypi:both",), ("wheel", "4.0")),
        (("conda:both",), ("conda", "2.0")),
        (("both<2",), ("conda", "1.0")),
        (("both ~=1.0 ; python_version > '3'",), ("conda", "1.0")),
        (("both=2.0=0",), ("conda", "2.0")),
        (("no-python", "--prefer", "newest"), ("conda", "1.0")),
        (("only-wheel",), ("wheel", "1.1")),
        (("only-wheel", "--pre"), ("wheel", "2.0a1")),
    ],
    ids=" ".join,
)
def test_what_would_be_taken_first(words: tuple[str, ...], taken: tuple[str, str], bridge: Bridge) -> None:
    found = bridge("search", *words, "--json").document["taken"]
    assert (found["source"], found["version"]) == taken


@pytest.mark.slow
def test_what_would_be_taken_is_what_a_solve_takes(bridge: Bridge) -> None:
    for words in (
        ("both",),
        ("both", "--prefer", "newest"),
        ("conda:both",),
        ("both<2",),
        ("no-python", "--prefer", "wheel"),
    ):
        found = bridge("search", *words, "--json").document["taken"]
        solved = bridge("resolve", *words, "python", "-c", "host", "-c", bridge.environ["BRIDGE_CHANNEL"], "--json")
        (package,) = (each for each in solved.document["packages"] if each["name"] in {"both", "no-python"})
        assert (found["source"], found["version"]) == (package["source"], package["version"]), words


def test_patterns_and_what_is_nowhere(bridge: Bridge) -> None:
    document = bridge("search", "*e*", "--json").document
    validate(document, "search")
    assert document == {"query": "*e*", "names": ["free", "leaf"]}
    for words in (("bothe",), ("zz*",), ("both>=9",)):
        ran = bridge("search", *words)
        assert (ran.status, "unknown-package" in ran.err) == (6, True), ran.err
    assert "did you mean both?" in bridge("search", "bothe").err
    assert bridge("search", "a b c d").status == 2
    ran = bridge("search", "both @ https://host.example/both-1.0-py3-none-any.whl")
    assert (ran.status, "names one file" in ran.err) == (2, True)


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """An environment in which everything is old, and only `leaf` was requested in this version."""
    prefix = tmp_path / "env"
    install_record(prefix, "top", "1.0", depends=["leaf <2"], requested_specs=["top"])
    install_record(prefix, "leaf", "1.0", requested_specs=["leaf=1.0"])
    install_record(prefix, "free", "1.0", requested_specs=["free"])
    return prefix


def held(document: Any) -> Iterator[tuple[object, ...]]:  # noqa: ANN401 - JSON
    for each in document["packages"]:
        yield each["name"], each["installed"], each["update"], each["newest"], each["held_by"]


def test_outdated_names_who_holds_back(env: Path, bridge: Bridge) -> None:
    assert bridge("pin", "-p", env, "free <2").status == 0
    document = bridge("outdated", "-p", env, "--json").document
    validate(document, "outdated")
    assert list(held(document)) == [
        ("free", "1.0", "1.5", "2.0", ["the pin free <2"]),
        ("leaf", "1.0", None, "2.0", ["your request leaf=1.0", "top 1.0 needs leaf <2"]),
    ]
    document = bridge("outdated", "-p", env, "leaf", "--json").document
    assert [name for name, *_ in held(document)] == ["leaf"]
    ran = bridge("outdated", "-p", env, "free", "--quiet")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["package", "free"]
    ran = bridge("outdated", "-p", env, "nonsense")
    assert (ran.status, "nonsense is not installed" in ran.err) == (2, True), ran.err
    lines = bridge("outdated", "-p", env).out.splitlines()
    assert lines[0].split() == ["package", "installed", "update", "newest", "from", "held", "back", "by"]
    assert len(lines) == 3


def test_the_python_holds_nothing_back_that_has_a_build_for_it(env: Path, bridge: Bridge) -> None:
    install_record(env, "python", "3.11.5", requested_specs=["python"], depends=[])
    install_record(env, "multi", "1.0", requested_specs=["multi"])
    assert bridge("pin", "-p", env, "multi <2").status == 0
    assert next(held(bridge("outdated", "-p", env, "multi", "--json").document))[-1] == ["the pin multi <2"]


def test_what_an_update_takes_and_nothing_outdated(env: Path, bridge: Bridge) -> None:
    install_record(env, "leaf", "1.0", requested_specs=["leaf"])
    before = sorted(path.name for path in (env / "conda-meta").iterdir())
    document = bridge("outdated", "-p", env, "--json").document
    assert list(held(document)) == [
        ("free", "1.0", "2.0", "2.0", []),
        ("leaf", "1.0", "1.5", "2.0", ["top 1.0 needs leaf <2"]),
    ]
    assert sorted(path.name for path in (env / "conda-meta").iterdir()) == before
    assert bridge("update", "-p", env).status == 0
    document = bridge("outdated", "-p", env, "--json").document
    assert list(held(document)) == [("leaf", "1.5", None, "2.0", ["top 1.0 needs leaf <2"])]
    assert bridge("remove", "-p", env, "top").status == 0
    assert bridge("update", "-p", env).status == 0
    ran = bridge("outdated", "-p", env)
    assert (ran.status, ran.out, "every package is at its newest" in ran.err) == (0, "", True)

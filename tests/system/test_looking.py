"""`list REGEX`, `tree`, `why` up to what was requested, `pin` and `completion`, on one environment."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.support.builders import install_record, make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """`top` was requested and needs `middle`, which needs `leaf` and, in a circle, `top`; `alone` needs nothing."""
    prefix = tmp_path / "env"
    install_record(prefix, "top", "1.0", depends=["middle >=1"], requested_specs=["top >=1"])
    install_record(prefix, "middle", "1.5", depends=["leaf", "top"])
    install_record(prefix, "leaf", "2.0", depends=[])
    install_record(prefix, "alone", "3.0", requested_specs=["alone"])
    return prefix


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path)


def validate(document: object, name: str) -> None:
    path = Path(__file__).parents[2] / "bridge/schemas" / f"{name}.json"
    jsonschema.validate(document, json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize(("pattern", "names"), [("^(TOP|le)", ["leaf", "top"]), ("zzz", []), ("o", ["alone", "top"])])
def test_list_takes_a_regular_expression(pattern: str, names: list[str], env: Path, bridge: Bridge) -> None:
    document = bridge("list", "-p", env, pattern, "--json").document
    validate(document, "list")
    assert [row["name"] for row in document["packages"]] == names


def test_a_regular_expression_that_is_none(env: Path, bridge: Bridge) -> None:
    ran = bridge("list", "-p", env, "(")
    assert (ran.status, "regular-expression" in ran.err) == (2, True)


def test_the_tree_starts_at_what_was_requested(env: Path, bridge: Bridge) -> None:
    assert bridge("tree", "-p", env).out.splitlines() == [
        "alone 3.0 (conda)",
        "top 1.0 (conda)",
        "└── middle 1.5 (conda) [requires: middle >=1]",
        "    ├── leaf 2.0 (conda) [requires: leaf]",
        "    └── top 1.0 (conda) [requires: top] (*)",
        "(*) shown in full above",
    ]
    assert bridge("tree", "-p", env, "top", "--depth", "0").out == "top 1.0 (conda)\n"


def test_the_tree_upwards_ends_at_what_was_requested(env: Path, bridge: Bridge) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    assert bridge("tree", "-p", env, "--invert", "leaf", environ=ascii_only).out.splitlines() == [
        "leaf 2.0 (conda)",
        "`-- middle 1.5 (conda) [requires: leaf]",
        "    `-- top 1.0 (conda) [requires: middle >=1]",
        "        `-- middle 1.5 (conda) [requires: top] (*)",
        "(*) shown in full above",
    ]
    document = bridge("tree", "-p", env, "-i", "--json").document
    validate(document, "tree")
    assert document["roots"] == ["conda:alone-3.0-0", "conda:leaf-2.0-0"]


def test_packages_that_only_require_each_other_are_in_the_tree(tmp_path: Path, bridge: Bridge) -> None:
    for name, other in (("a", "b"), ("b", "a")):
        install_record(tmp_path / "env", name, "1", depends=[other])
    lines = bridge("tree", "-p", tmp_path / "env").out.splitlines()
    assert lines[:3] == ["a 1 (conda)", "└── b 1 (conda) [requires: b]", "    └── a 1 (conda) [requires: a] (*)"]


def test_why_goes_up_to_what_was_requested(env: Path, bridge: Bridge) -> None:
    lines = bridge("why", "-p", env, "leaf").out.splitlines()
    assert "  requested: conda:top-1.0-0 needs middle >=1 -> conda:middle-1.5-0 needs leaf" in lines
    ran = bridge("why", "-p", env, "leav")
    assert (ran.status, "did you mean leaf?" in ran.err) == (2, True)


def test_why_says_why_not_the_other_ecosystem(tmp_path: Path) -> None:
    make_python(tmp_path / "channel", "3.12")
    make_conda(tmp_path / "channel", "both", "1.0", noarch="python", depends=["python"])
    make_repodata(tmp_path / "channel")
    for name, version in (("both", "2.0"), ("single", "1.0")):
        make_wheel(tmp_path / "wheels", name, version)
    bridge, prefix, channels = Bridge.of_folder(tmp_path), tmp_path / "env", ("-c", tmp_path / "channel")
    created = bridge("create", "-p", prefix, *channels, "both", "single", "--no-compile", "-v")
    assert created.status == 0, created.err
    single = "no channel had a package of single for linux-64"
    assert f"single: {single}" in created.err
    document = bridge("why", "-p", prefix, "single", "--json").document
    validate(document, "why")
    (reason,) = document["packages"]
    assert (reason["choice"], reason["because"]) == (single, f"a wheel was chosen: {single}")
    assert "so it replaces the wheel too; conda packages came before wheels" in bridge("why", "-p", prefix, "both").out
    lock = tmp_path / "one.lock"
    assert bridge("lock", *channels, "single", "-o", lock).status == 0
    document = bridge("resolve", "-r", lock, "--json").document
    assert {each["choice"] for each in document["packages"]} == {None}, "a lock says nothing of what channels have"


def test_pins_are_written_read_replaced_and_removed(env: Path, bridge: Bridge) -> None:
    pinned = env / "conda-meta/pinned"
    pinned.write_text("# by hand\nleaf 1.*\nleaf <2\n")
    document = bridge("pin", "-p", env, "--json").document
    validate(document, "pin")
    assert [(each["spec"], each["installed"], each["met"]) for each in document["pins"]] == [
        ("leaf 1.*", "2.0", False), ("leaf <2", "2.0", False),
    ]  # fmt: skip
    ran = bridge("pin", "-p", env, "leaf", "absent 1.2.*", "top >=1,<2")
    assert ran.status == 0, ran.err
    assert pinned.read_text() == "# by hand\nleaf ==2.0\nabsent 1.2.*\ntop >=1,<2\n"
    assert bridge("pin", "-p", env, "--remove", "top", "--remove", "ABSENT").status == 0
    assert pinned.read_text() == "# by hand\nleaf ==2.0\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("nowhere",), 2, "not-installed"),
        (("a b c d",), 2, "invalid-matchspec"),
        (("--remove", "top"), 2, "not-pinned"),
        (("top", "--remove", "none"), 2, "not-pinned"),
    ],
)
def test_a_pin_that_cannot_be_is_refused_and_nothing_written(
    words: tuple[str, ...], status: int, said: str, env: Path, bridge: Bridge
) -> None:
    ran = bridge("pin", "-p", env, *words)
    assert (ran.status, said in ran.err) == (status, True)
    assert not (env / "conda-meta/pinned").exists()


def test_a_frozen_environment_is_not_pinned(env: Path, bridge: Bridge) -> None:
    (env / "conda-meta/frozen").write_text('{"message": "mine"}')
    assert bridge("pin", "-p", env, "top").status == 4
    assert bridge("pin", "-p", env, "top", "--override-frozen").status == 0
    assert bridge("pin", "-p", env).status == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script(shell: str, bridge: Bridge) -> None:
    ran = bridge("completion", shell)
    assert (ran.status, f"{shell}_complete" in ran.out, "bridge" in ran.out) == (0, True, True)
    document = bridge("completion", shell, "--json").document
    validate(document, "completion")
    assert document["script"] == ran.out


def completed(bridge: Bridge, words: str, **environ: str) -> list[str]:
    count = len(words.split(" ")) - 1
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(count), "_BRIDGE_COMPLETE": "bash_complete"}
    return [line.partition(",")[2] for line in bridge(environ=asked | environ).out.split()]


def test_installed_packages_and_environments_are_completed(env: Path, bridge: Bridge, tmp_path: Path) -> None:
    install_record(tmp_path / "home/.conda/envs/science", "only", "1")
    home = str(tmp_path / "home")
    assert completed(bridge, f"bridge why -p {env} ") == ["alone", "leaf", "middle", "top"]
    assert completed(bridge, "bridge remove m", CONDA_PREFIX=str(env)) == ["middle"]
    assert completed(bridge, "bridge list -n s", HOME=home) == ["science"]
    assert completed(bridge, "bridge why -n science ", HOME=home) == ["only"]
    assert completed(bridge, "bridge why x", CONDA_PREFIX="/nowhere") == []
    assert "tree" in completed(bridge, "bridge tr")

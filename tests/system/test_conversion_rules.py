"""A user's rules for the dependencies of converted packages, from options and from the project's table."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.builders import make_wheel
from tests.support.command_line import Bridge
from tests.support.servers import IndexServer
from tests.system.test_end_to_end import succeeded

TABLE = """
[tool.bridge.convert]
dependency-rename = [["band", "band-cpu"], ["acme-(.*)", 'corp-\\1']]
add-dependency = ["libx>=6"]
pin-dependency = "reed =2"

[tool.bridge.convert.package.App]
drop-dependency = ["BAD", "winonly"]
"""
APP = [
    "band>=2", "acme-tool", "reed<3", "winonly; sys_platform == 'win32'",
    "bad @ https://example.org/bad-1.0-py3-none-any.whl", "acme-box; extra == 'more'",
]  # fmt: skip


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    make_wheel(tmp_path / "w", "app", "1.0", requires=APP, extras=["more"])
    make_wheel(tmp_path / "w", "tool", "1.0", requires=["reed"])
    return Bridge.of_folder(tmp_path)


def depends(folder: Path) -> dict[str, list[str]]:
    document = json.loads((folder / "noarch/repodata.json").read_bytes())
    records = [*document["packages.conda"].values(), *document.get("v3", {}).get("whl", {}).values()]
    plain = {
        each["name"]: [re.sub(r'\[version="(.*)"\]', r" \1", spec) for spec in each["depends"]] for each in records
    }
    return {name: specs[1:] for name, specs in plain.items()}


WORDS = (
    "--dependency-rename", "Band", "band-cpu", "--dependency-rename", "acme-(.*)", "corp-$1", "--add-dependency",
    "libx>=6", "--drop-dependency", "BAD", "--drop-dependency", "winonly", "--pin-dependency", "reed =2",
    "--pin-dependency", "absent >=1",
)  # fmt: skip


@pytest.mark.parametrize("form", ["options", "table", "records", "processes"])
def test_rules_change_every_package(bridge: Bridge, tmp_path: Path, form: str) -> None:
    words = WORDS if form != "table" else ()
    (tmp_path / "pyproject.toml").write_text(TABLE if form == "table" else "")
    more = {"records": ["--wheels-as-records"], "processes": ["--index", "-j", "2"]}.get(form, ["--index"])
    wheels = ["w/app-1.0-py3-none-any.whl", "w/tool-1.0-py3-none-any.whl"]
    ran = succeeded(bridge("convert", *wheels, "-o", "out", "--json", *more, *words))
    assert depends(tmp_path / "out") == {
        "app": ["band-cpu >=2", "corp-tool", "reed <3dev0", "libx >=6", "reed 2.*"],
        "tool": ["reed", "libx >=6", "reed 2.*"],
    }, "one package, although winonly is for Windows"
    assert ran.document["unconfirmed_names"] == ["reed"]
    if form == "records":
        return
    for _ in range(2):
        assert json.loads((tmp_path / "out/names.json").read_bytes()) == {
            "app": ["app"],
            "band-cpu": ["band"],
            "corp-box": {"unconfirmed": []},
            "corp-tool": {"unconfirmed": []},
            "libx": {"unconfirmed": []},
            "reed": {"unconfirmed": ["reed"]},
            "tool": ["tool"],
        }, "an index may have something else under the names that rules made"
        succeeded(bridge("index", "out"))


def test_packages_of_other_rules_are_not_reused(bridge: Bridge, tmp_path: Path) -> None:
    words = ["convert", "w/tool-1.0-py3-none-any.whl", "-o", "out", "--json"]
    for more, reused in (((), 0), ((), 1), (("--add-dependency", "libx"), 0), (("--add-dependency", "libx"), 1)):
        assert succeeded(bridge(*words, *more)).document["summary"]["reused"] == reused


def test_a_mirror_follows_the_rules(tmp_path: Path) -> None:
    with IndexServer() as server:
        server.publish(make_wheel(tmp_path / "w", "tool", "1.0", requires=["reed", "winonly"]))
        bridge = Bridge(tmp_path / "cache", server.simple, tmp_path)
        (tmp_path / "list.txt").write_text("tool")
        (tmp_path / "pyproject.toml").write_text(TABLE)
        words = ["mirror", "-r", "list.txt", "-o", "out", "--drop-dependency", "winonly", "-c", "host"]
        succeeded(bridge(*words))
    assert depends(tmp_path / "out") == {"tool": ["reed", "libx >=6", "reed 2.*"]}
    assert json.loads((tmp_path / "out/names.json").read_bytes())["libx"] == {"unconfirmed": []}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--dependency-rename", "a(", "b"], "neither a project nor a regular expression"),
        (["--dependency-rename", "a", "b c"], "`b c` is not the name of a conda package"),
        (["--dependency-rename", "a-(.*)", "b-$2"], "refers to group 2, and `a-(.*)` has 1"),
        (["--add-dependency", "a >=1,"], "--add-dependency: not a MatchSpec"),
        (["--add-dependency", "chan::a"], "all that every solver reads"),
        (["--add-dependency", "a[extras=[x]]"], "all that every solver reads"),
        (["--drop-dependency", "a>=1"], "`a>=1` is not the name of a project"),
        (["--pin-dependency", "a"], "`a` names no version"),
    ],
)
def test_a_wrong_rule_is_one_error(bridge: Bridge, tmp_path: Path, words: list[str], told: str) -> None:
    ran = bridge("convert", "w/tool-1.0-py3-none-any.whl", "-o", "out", *words)
    assert (ran.status, (tmp_path / "out").exists()) == (2, False)
    assert ran.err.startswith("error[dependency-rule]: --")
    assert told in ran.err


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("rename = 1", "tool.bridge.convert.rename: there is no such key; known are dependency-rename,"),
        ("dependency-rename = [['a']]", "tool.bridge.convert.dependency-rename: a table"),
        ("add-dependency = [1]", "tool.bridge.convert.add-dependency: a list of texts"),
        ("package = 1", "tool.bridge.convert.package: a table"),
        ("package.a = 1", "tool.bridge.convert.package.a: a table"),
        ("package.a.dependency-rename = {}", "tool.bridge.convert.package.a.dependency-rename: there is no such key"),
        ("package.a.pin-dependency = ['b']", "tool.bridge.convert.package.a.pin-dependency: `b` names no version"),
    ],
)
def test_a_wrong_table_is_one_error(bridge: Bridge, tmp_path: Path, table: str, told: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f"[tool.bridge.convert]\n{table}\n")
    ran = bridge("convert", "w/tool-1.0-py3-none-any.whl", "-o", "out")
    assert ran.status == 2
    assert told in ran.err


@pytest.mark.parametrize("form", ["packages", "again", "records"])
def test_a_rule_of_an_option_that_changes_nothing_is_told(bridge: Bridge, tmp_path: Path, form: str) -> None:
    good = [*WORDS[:-2], "--dependency-rename", "absent-(.*)", "corp-$1", "--dependency-rename", "app", "apps"]
    wrong = ["--dependency-rename", "bnad", "bnad-cpu", "--drop-dependency", "Bda", "--pin-dependency", "ered =2"]
    (tmp_path / "pyproject.toml").write_text('[tool.bridge.convert]\ndrop-dependency = ["other"]\n')
    more = ["--wheels-as-records"] if form == "records" else []
    words = ["convert", "w/app-1.0-py3-none-any.whl", "w/tool-1.0-py3-none-any.whl", "-o", "out", *more, "--json"]
    for _ in range(2 if form == "again" else 1):
        ran = succeeded(bridge(*words, *good, *wrong))
    assert [text for text in ran.document["warnings"] if text.startswith("--")] == [
        "--drop-dependency bda: no wheel requires it",
        "--pin-dependency `ered 2.*`: no package depends on it",
        "--dependency-rename bnad bnad-cpu: no wheel is or requires such a project",
    ]

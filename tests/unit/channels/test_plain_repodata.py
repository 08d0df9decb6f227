"""A small repodata.json says what rattler reads in it, or is left to rattler."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.channels._rattler import WholeRepodata
from bridge.channels.repodata.plain import read_plain
from converters.record import conda_record

Document = dict[str, Any]


def record(name: str, version: str = "1.0", **fields: object) -> Document:
    needed = {"name": name, "version": version, "build": "0", "build_number": 0, "depends": [], "subdir": "noarch"}
    return {**needed, **fields}


def document() -> Document:
    newer = record("two", noarch="python", constrains=["one <2"], purls=["pkg:pypi/two"], timestamp=1600000000)
    return {
        "info": {"subdir": "noarch"},
        "packages": {"two-1.0-0.tar.bz2": record("two"), "old-1.2.3-0.tar.bz2": record("old", "1.2.3", md5="0" * 32)},
        "packages.conda": {
            "two-1.0-0.conda": newer,
            "one-1-0.conda": record("one", "1", sha256="0" * 64, size=3, license="MIT", depends=["two >=1", "old"]),
        },
        "removed": [],
        "repodata_version": 1,
    }


def written(folder: Path, value: object) -> Path:
    path = folder / "repodata.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


def test_it_says_what_rattler_reads(tmp_path: Path) -> None:
    (tmp_path / "noarch").mkdir()
    path, channel = written(tmp_path / "noarch", document()), tmp_path.as_uri()
    theirs, ours = WholeRepodata(path, channel, "noarch"), read_plain(path, f"{channel}/noarch")
    assert ours is not None
    assert sorted(ours) == sorted(theirs.names()) == ["old", "one", "two"]
    for name in (*ours, "absent"):
        mine, others = ours.get(name, []), theirs.records(name)
        assert list(map(conda_record, mine)) == [replace(conda_record(each), origin="") for each in others]


Change = Callable[[Document], object]
OTHERS: dict[str, Change] = {
    "another section": lambda each: each.update({"v3": {}}),
    "a base URL": lambda each: each["info"].update(base_url="elsewhere"),
    "removed files": lambda each: each["removed"].append("one-1-0.conda"),
    "another file name": lambda each: each["packages"].update({"x.tar.bz2": record("one", "1")}),
    "an unknown field": lambda each: each["packages"].update({"x-1.0-0.tar.bz2": record("x", odd=1)}),
    "a version of letters": lambda each: each["packages"].update({"x-1a-0.tar.bz2": record("x", "1a")}),
    "a name in capitals": lambda each: each["packages"].update({"X-1.0-0.tar.bz2": record("X")}),
    "a hash that is none": lambda each: each["packages"].update({"x-1.0-0.tar.bz2": record("x", sha256="0")}),
    "a number that is none": lambda each: each["packages"].update({"x-1.0-0.tar.bz2": record("x", size="3")}),
    "a list that is none": lambda each: each["packages"].update({"x-1.0-0.tar.bz2": record("x", depends="y")}),
    "no build": lambda each: each["packages"].update({"x-1.0-0.tar.bz2": {"name": "x", "version": "1.0"}}),
    "no record": lambda each: each["packages"].update({"x-1.0-0.tar.bz2": []}),
    "no sections": lambda each: each.update(packages=[]),
    "much": lambda each: each["info"].update(text="x" * 300_000),
}


@pytest.mark.parametrize("name", OTHERS)
def test_all_else_is_left_to_rattler(name: str, tmp_path: Path) -> None:
    changed = document()
    OTHERS[name](changed)
    assert read_plain(written(tmp_path, changed), "file:///channel/noarch") is None


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 5000])
def test_what_is_no_document_is_left_to_rattler(text: str, tmp_path: Path) -> None:
    assert read_plain(written(tmp_path, text), "file:///channel/noarch") is None

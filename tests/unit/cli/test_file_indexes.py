"""The indexes that requirement files name, beside those of the command line and the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.commands.request import Request
from bridge.config import load
from bridge.requirements.files.reading import read
from bridge.requirements.files.values import FileRequirements


def indexes(options: Mapping[str, object], *files: FileRequirements, **environ: str) -> tuple[str, ...]:
    settings = load(options, {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "c", **environ})
    return Request(requirements=(), files=files).applied(settings).index_urls


def of(**fields: Any) -> FileRequirements:  # noqa: ANN401 - the fields of FileRequirements
    return FileRequirements(**fields)


CASES: dict[str, tuple[dict[str, object], tuple[FileRequirements, ...], tuple[str, ...]]] = {
    "a file's index replaces the configured one": ({}, (of(index_url="f"),), ("f",)),
    "a file's extra index comes before the configured one": ({}, (of(extra_index_urls=("g",)),), ("g", "c")),
    "in a file, the index comes before the extra ones": (
        {},
        (of(index_url="f", extra_index_urls=("g", "h")),),
        ("f", "g", "h"),
    ),
    "the command line's index comes before a file's": (
        {"index_url": "i"},
        (of(index_url="f", extra_index_urls=("g",)),),
        ("i", "f", "g"),
    ),
    "the command line's extra index comes before a file's": (
        {"extra_index_url": ("j",)},
        (of(index_url="f"),),
        ("j", "f"),
    ),
    "without an index of a file, the configured one stays last": (
        {"extra_index_url": ("j",)},
        (of(extra_index_urls=("g",)),),
        ("j", "g", "c"),
    ),
    "files add up": ({}, (of(extra_index_urls=("g",)), of(index_url="f", extra_index_urls=("h",))), ("g", "f", "h")),
    "a file without any index": ({}, (of(no_index=True), of(extra_index_urls=("g",))), ()),
    "a file without any index, the command line with one": ({"index_url": "i"}, (of(no_index=True),), ("i",)),
    "the command line without any index": ({"no_index": True}, (of(index_url="f", extra_index_urls=("g",)),), ()),
    "an index that a file names again": ({"extra_index_url": ("c",)}, (of(index_url="f"),), ("c", "f")),
}


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_the_indexes_of_files(case: str) -> None:
    options, files, expected = CASES[case]
    assert indexes(options, *files) == expected


def test_the_order_within_a_requirements_file_is_that_of_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("--extra-index-url g\n-i f\n--extra-index-url h\nx\n")
    assert indexes({}, read(path)) == indexes({"index_url": "f", "extra_index_url": ("g", "h")}) == ("f", "g", "h")


def test_indexes_of_single_projects() -> None:
    file = of(project_indexes={"x": "https://u:secret@h.example/f", "y": "https://h.example/g"})
    settings = load({"index": ("x=https://h.example/own",)}, {"PIP_CONFIG_FILE": "/dev/null"})
    applied = Request(requirements=(), files=(file,)).applied(settings)
    assert applied.project_indexes == {"x": "https://h.example/own", "y": "https://h.example/g"}


def test_the_cooldown_of_single_packages_in_a_file() -> None:
    settings = load({"exclude_newer": ("b=never",)}, {})
    file = of(exclude_newer=5, exclude_newer_of={"a": 3, "b": 4})
    cooldown = Request(requirements=(), files=(file,)).applied(settings).cooldown
    assert (cooldown.default, dict(cooldown.exceptions)) == (5, {"a": 3, "b": None})

"""What is asked again and again in a solve is worked out once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from packaging.tags import Tag

from bridge.requirements import matchspec
from bridge.resolve.candidates import needs, ranks
from converters import markers
from tests.support.work import count_calls


@pytest.mark.parametrize("task", [
    partial(matchspec._accepts_by_regex, "^py3[0-9]+_.*$", "py312_test_of_memory"),
    partial(ranks._tag_kind, Tag("cp399", "cp399", "linux_x86_64")),
    partial(needs.read, "test-of-memory >=1.2,<3"),
    partial(markers._parse, "python_version >= '3.99' and extra == 'test-of-memory'"),
    partial(markers._evaluate, "python_version >= '3.98'", ("linux-64", "3.12.7"), "test-of-memory"),
], ids=lambda task: task.func.__name__)  # fmt: skip
def test_the_second_time_costs_nothing(task: Callable[[], object]) -> None:
    task()
    at_most = 2 if task.func is ranks._tag_kind else 1  # type: ignore[attr-defined] # it hashes a tag
    assert count_calls(task) <= at_most

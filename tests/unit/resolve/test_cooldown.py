"""The cooldown in a solve: what has a time, what has none, and exceptions."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bridge.config.cooldown import Cooldown
from bridge.resolve import Options
from bridge.resolve.preflight import undated_warning
from tests.support.resolver_worlds import CHANNEL, World, picks, record, wheel

OLD, NOW, NEW = 1_600_000_000_000, 1_700_000_000_000, 1_800_000_000_000  # milliseconds


def world(cooldown: Cooldown) -> World:
    return World(
        records=(
            record("dated", "1.0", timestamp=OLD),
            record("dated", "2.0", timestamp=NEW),
            record("undated", "1.0", timestamp=OLD),
            record("undated", "2.0", timestamp=None),
            record("pytorch", "1.0", "python", timestamp=OLD),
            record("pytorch", "2.0", "python", timestamp=NEW),
            record("python", "3.11.0", timestamp=OLD),
        ),
        wheels=(
            wheel("rich-1.0-py3-none-any.whl", upload_time=OLD),
            wheel("rich-2.0-py3-none-any.whl", upload_time=NEW),
        ),
        names={"pytorch": ["torch"]},
        options=Options(cooldown=cooldown),
    )


@pytest.mark.parametrize(
    ("exceptions", "expected"),
    [
        ({}, {"dated": "1.0", "undated": "2.0", "pytorch": "1.0", "rich": "1.0"}),
        ({"dated": None}, {"dated": "2.0", "pytorch": "1.0", "rich": "1.0"}),
        ({"torch": None}, {"dated": "1.0", "pytorch": "2.0"}),
        ({"rich": NEW}, {"dated": "1.0", "rich": "2.0"}),
        ({CHANNEL: None}, {"dated": "2.0", "pytorch": "2.0", "rich": "1.0"}),
        ({CHANNEL: None, "dated": NOW}, {"dated": "1.0", "pytorch": "2.0"}),
    ],
)
def test_exceptions_by_name_and_origin(exceptions: Mapping[str, int | None], expected: Mapping[str, str]) -> None:
    made = world(Cooldown(default=NOW, exceptions=exceptions))
    found = {name: text.split()[1] for name, text in picks(made.solve(["dated", "undated"], ["torch", "rich"])).items()}
    assert found.items() >= expected.items()


def test_records_without_a_time_are_told() -> None:
    cooldown = Cooldown(default=NOW)
    solved = world(cooldown).solve(["dated", "undated"], [])
    warning = undated_warning(solved, cooldown)
    assert warning is not None
    assert "undated" in warning
    assert undated_warning(solved, cooldown, [package.record for package in solved.packages]) is None
    assert undated_warning(solved, Cooldown(default=NOW, exceptions={"undated": None})) is None
    assert undated_warning(solved, Cooldown()) is None

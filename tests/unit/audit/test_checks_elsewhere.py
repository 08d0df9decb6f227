"""Whether another distribution adds checks is told from lists of entry points alone."""

from __future__ import annotations

import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path

import pytest

from bridge.audit.elsewhere import GROUP, may_add_checks

POINTS = f"[{GROUP}]\nown = own.checks:check\n"


@pytest.mark.parametrize(
    "name",
    ["own-1.0.dist-info/entry_points.txt", "own.egg-info/entry_points.txt", "own-1.egg/EGG-INFO/entry_points.txt"],
)
def test_a_distribution_that_names_the_group_may_add_checks(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text("[console_scripts]\nown = own:main\n")
    assert not may_add_checks([str(tmp_path)])
    path.write_text(POINTS)
    assert may_add_checks([str(tmp_path / "absent"), str(tmp_path)])


def test_a_zip_file_may_add_checks(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
        archive.writestr("own-1.0.dist-info/entry_points.txt", POINTS)
    assert may_add_checks([str(tmp_path / "own.zip")])


def test_what_importlib_finds_here_is_found() -> None:
    expected = any(point.group == GROUP for each in distributions() for point in each.entry_points)
    here = [place for place in sys.path if not place.endswith(".zip")]  # the interpreter's own, which need not exist
    assert may_add_checks(here) >= expected

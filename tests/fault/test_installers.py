"""Random steps of several installers in one environment (`tests/fault/installers.py`), a few of them in each run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fault.installers import Walk


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_and_nothing_is_untrue(tmp_path: Path, seed: int) -> None:
    walk = Walk(tmp_path, seed)
    assert walk.run(12) == []
    assert walk.done > 0

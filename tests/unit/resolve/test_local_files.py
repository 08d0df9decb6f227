"""Local archives are checked before a solve."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import BridgeError
from bridge.requirements.algebra import parse_pypi
from bridge.resolve.local_files import check_local_files


@pytest.mark.parametrize("name", ["demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz", "demo-1.0.zip"])
def test_a_damaged_archive_is_refused_and_a_missing_one_left_to_the_index(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    requirements = [parse_pypi("rich"), parse_pypi(f"demo @ {path.as_uri()}")]
    check_local_files(requirements)
    path.write_bytes(b"no archive")
    with pytest.raises(BridgeError):
        check_local_files(requirements)

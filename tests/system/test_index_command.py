"""`bridge index` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.builders import make_conda
from tests.support.command_line import Bridge
from tests.system.test_end_to_end import check_schema, succeeded


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path)


def test_a_directory_of_packages_becomes_a_channel(bridge: Bridge, tmp_path: Path) -> None:
    make_conda(tmp_path / "mine", "demo", "1.0")
    missing = bridge("create", "-p", "env", "-c", "mine", "demo")
    assert "bridge index" in missing.err
    told = succeeded(bridge("index", "mine"))
    assert "1 package in " in told.err
    assert told.out == ""
    succeeded(bridge("create", "-p", "env", "-c", "mine", "demo"))
    assert (tmp_path / "env/share/demo/demo.txt").is_file()
    assert not (tmp_path / "mine/names.json").exists()


def test_a_bad_package_is_told_with_its_status(bridge: Bridge, tmp_path: Path) -> None:
    make_conda(tmp_path / "mine", "demo", "1.0")
    (tmp_path / "mine/noarch/bad-1-0.conda").write_bytes(b"nothing")
    ran = bridge("index", "mine", "--json")
    check_schema("index", ran.document)
    assert ran.status == 3
    assert ran.document["subdirs"] == {"noarch": 1}
    assert [failure["path"] for failure in ran.document["failures"]] == [str(tmp_path / "mine/noarch/bad-1-0.conda")]
    assert "bad-1-0.conda" in ran.err
    assert "demo-1.0-0.conda" in json.loads((tmp_path / "mine/noarch/repodata.json").read_bytes())["packages.conda"]


def test_old_versions_are_deleted_only_if_that_was_asked_for(bridge: Bridge, tmp_path: Path) -> None:
    for version in ("1.0", "2.0", "10.0"):
        make_conda(tmp_path / "mine", "demo", version)
    dry = succeeded(bridge("index", "mine", "--keep", "2", "--prune", "--dry-run", "--json"))
    check_schema("index", dry.document)
    assert dry.document["deleted"] == [str(tmp_path / "mine/noarch/demo-1.0-0.conda")]
    assert not (tmp_path / "mine/noarch/repodata.json").exists()
    again = succeeded(bridge("index", "mine", "--keep", "2", "--prune"))
    assert "deleted: " in again.err
    assert {path.name for path in (tmp_path / "mine/noarch").glob("*.conda")} == {
        "demo-2.0-0.conda",
        "demo-10.0-0.conda",
    }


@pytest.mark.parametrize(
    ("words", "part"), [(["nowhere"], "no directory"), (["mine/noarch"], "subdir"), (["mine", "--keep", "0"], "keep")]
)
def test_what_is_no_channel_is_a_usage_error(bridge: Bridge, tmp_path: Path, words: list[str], part: str) -> None:
    make_conda(tmp_path / "mine", "demo", "1.0")
    ran = bridge("index", *words)
    assert ran.status == 2
    assert part in ran.err
    assert not (tmp_path / "nowhere").exists()

"""`bridge index`: incremental, with bad packages left out, old versions dropped, and equal to other indexers."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from bridge.convert.channel_index import check_channel, write_index, write_names
from bridge.convert.wheel import convert_wheel
from bridge.errors import UsageError
from converters.names import NameMap
from tests.support.builders import make_conda, make_wheel, tree_digest


def channel(folder: Path) -> Path:
    make_conda(folder, "demo", "1.0", depends=["other >=1,<2"])
    make_conda(folder, "other", "1.5")
    make_conda(folder, "native", "1.0", subdir="linux-64", noarch=None, depends=["python >=3"])
    wheel = make_wheel(
        folder.parent / "wheels", "upper", "1.5", requires=["lower>=1", "further; extra == 'more'"], extras=["more"]
    )
    convert_wheel(wheel, folder, names=NameMap.empty(), level=1)
    wheel = make_wheel(folder.parent / "wheels", "old", "1.0")
    convert_wheel(wheel, folder, names=NameMap.empty(), format="tar.bz2")
    return folder


def listed(folder: Path, subdir: str = "noarch") -> dict[str, Any]:
    document = json.loads((folder / subdir / "repodata.json").read_bytes())
    return {**document["packages"], **document["packages.conda"]}


def test_an_index_of_nothing_new_reads_and_writes_nothing(tmp_path: Path) -> None:
    folder = channel(tmp_path / "channel")
    first = write_index(folder)
    assert (first.read, len(first.packages), dict(first.failures)) == (5, 5, {})
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if ".index" not in path.parts}
    assert write_index(folder).read == 0
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if ".index" not in path.parts}


def test_an_incremental_index_is_the_index_of_all(tmp_path: Path) -> None:
    folder = channel(tmp_path / "channel")
    write_index(folder)
    make_conda(folder, "demo", "2.0")
    (folder / "noarch/other-1.5-0.conda").unlink()
    native = next((folder / "linux-64").glob("native-*.conda"))
    native.unlink()
    make_conda(folder, "native", "1.0", subdir="linux-64", noarch=None, depends=["python >=3.12"])
    assert write_index(folder).read == 2
    shutil.copytree(folder, tmp_path / "fresh", ignore=shutil.ignore_patterns(".index", "repodata*", "shards"))
    write_index(tmp_path / "fresh")
    shutil.rmtree(folder / ".index")
    shutil.rmtree(tmp_path / "fresh/.index")
    assert tree_digest(folder) == tree_digest(tmp_path / "fresh")
    assert listed(folder, "linux-64")["native-1.0-0.conda"]["depends"] == ["python >=3.12"]


@pytest.mark.parametrize("harm", [b"", b"no msgpack", b"\x81\xa7version\x01"])
def test_a_damaged_memory_is_no_memory(tmp_path: Path, harm: bytes) -> None:
    folder = channel(tmp_path / "channel")
    write_index(folder)
    before = (folder / "noarch/repodata.json").read_bytes()
    (folder / ".index/noarch.msgpack").write_bytes(harm)
    assert write_index(folder).read == 4
    assert (folder / "noarch/repodata.json").read_bytes() == before


def test_files_that_another_tool_changed_are_written_again(tmp_path: Path) -> None:
    folder = channel(tmp_path / "channel")
    write_index(folder)
    before = tree_digest(folder / "noarch")
    for path in (folder / "noarch").glob("repodata*"):
        path.write_bytes(b"{}")
    for path in (folder / "noarch/shards").iterdir():
        path.unlink()
    write_index(folder)
    assert tree_digest(folder / "noarch") == before


def test_one_bad_package_never_takes_the_index_from_the_others(tmp_path: Path) -> None:
    folder = channel(tmp_path / "channel")
    (folder / "noarch/broken-1-0.conda").write_bytes(b"not a package")
    os.symlink("nowhere", folder / "noarch/gone-1-0.conda")
    make_conda(folder, "odd", "1.0", index={"depends": "python"})
    make_conda(folder, "unordered", "1..0")
    index = write_index(folder)
    assert {path.name: error.exit_code for path, error in index.failures.items()} == {
        "broken-1-0.conda": 3,
        "gone-1-0.conda": 7,
        "odd-1.0-0.conda": 3,
        "unordered-1..0-0.conda": 3,
    }
    assert all(path.name in error.message for path, error in index.failures.items())
    assert {name.split("-")[0] for name in listed(folder)} == {"demo", "other", "old", "upper"}
    assert set(write_index(folder).failures) == set(index.failures), "told again, as long as it is there"


def test_the_newest_versions_are_kept_and_what_they_need(tmp_path: Path) -> None:
    folder = channel(tmp_path / "channel")
    for version in ("1.6", "2.0", "10.0"):
        make_conda(folder, "other", version)
    make_conda(folder, "other", "10.0", build="1")
    dry = write_index(folder, keep=1, prunes=True, is_dry_run=True)
    assert sorted(path.name for path in dry.deleted) == [f"other-{version}-0.conda" for version in ("1.5", "2.0")]
    assert not (folder / "noarch/repodata.json").exists()
    assert sum(name.startswith("other-") for name in listed(write_index(folder, keep=1).channel)) == 3
    assert (folder / "noarch/other-1.5-0.conda").is_file(), "nothing is deleted without --prune"
    write_index(folder, keep=1, prunes=True)
    assert {path.name for path in (folder / "noarch").glob("other-*")} == {
        "other-1.6-0.conda", "other-10.0-0.conda", "other-10.0-1.conda",
    }  # fmt: skip
    assert write_index(folder).failures == {}


def test_temporary_files_of_killed_runs_are_pruned(tmp_path: Path) -> None:
    folder = channel(tmp_path / "channel")
    old, young = folder / "noarch/.00ff.bridge-tmp", folder / "noarch/.11ff.bridge-tmp"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    assert write_index(folder, prunes=True).deleted == (old,)
    assert (old.exists(), young.exists()) == (False, True)


def test_stray_packages_are_told(tmp_path: Path) -> None:
    folder = channel(tmp_path / "channel")
    shutil.copy(folder / "noarch/demo-1.0-0.conda", folder / "demo-1.0-0.conda")
    shutil.copytree(folder / "noarch", folder / "linux-65")
    shutil.copy(folder / "linux-64/native-1.0-0.conda", folder / "noarch/native-1.0-0.conda")
    stray, other, wrong = write_index(folder).warnings
    assert "demo-1.0-0.conda" in stray
    assert "linux-65" in other
    assert "native-1.0-0.conda" in wrong
    with pytest.raises(UsageError, match="subdir"):
        check_channel(folder / "noarch")


def test_the_name_map_has_what_converted_packages_provide_and_require(tmp_path: Path) -> None:
    folder = channel(tmp_path / "channel")
    for _ in range(2):
        write_names(write_index(folder), NameMap({"lower": ["lower"]}, "test"))
        assert json.loads((folder / "names.json").read_bytes()) == {
            "further": {"unconfirmed": ["further"]}, "lower": ["lower"], "old": ["old"], "upper": ["upper"],
        }  # fmt: skip


def test_rattler_indexes_the_same_fields(tmp_path: Path) -> None:
    from rattler.index import index_fs

    folder = channel(tmp_path / "channel")
    shutil.copytree(folder, tmp_path / "theirs")
    write_index(folder)
    asyncio.run(index_fs(tmp_path / "theirs"))
    for subdir in ("noarch", "linux-64"):
        ours, theirs = listed(folder, subdir), listed(tmp_path / "theirs", subdir)
        assert ours.keys() == theirs.keys()
        for file, record in theirs.items():
            shared = {key: value for key, value in record.items() if key in ours[file]}
            assert {key: ours[file][key] for key in shared} == shared
            assert record.keys() - shared.keys() <= {"indexed_timestamp", "run_exports"}

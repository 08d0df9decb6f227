"""What a change does to the paths that are there: nothing is lost, nothing stays behind, nothing is touched in vain."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge import fs
from bridge.errors import OwnershipError
from bridge.install.staging import StagedPlan
from bridge.transaction import commit
from converters.target import Python
from tests.support.builders import install_record, make_conda, make_wheel, tree_digest
from tests.support.environments import SITE, Environment
from tests.support.pip import pip_of

INFO = f"{SITE}/x-1.0.dist-info"


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "env")


def tree(environment: Environment) -> dict[str, tuple[str, str]]:
    """All but bridge's own folder and the history, which only grow."""
    own = ("conda-meta/.bridge", "conda-meta/history")
    return {path: seen for path, seen in tree_digest(environment.root).items() if not path.startswith(own)}


def changed(staged: StagedPlan) -> dict[str, str]:
    """Path → what becomes of it, without the records, which always change."""
    return {
        change.path: "new" if change.before is None else "gone" if change.after is None else "replaced"
        for change in staged.changes
        if not change.is_record and change.before != change.after
    }


def wheel(folder: Path, version: str, files: Mapping[str, bytes], name: str = "x", **parts: Any) -> Path:  # noqa: ANN401
    return make_wheel(folder, name, version, files=files, **parts)


def conda(folder: Path, version: str, files: Mapping[str, bytes], name: str = "x") -> Path:
    return make_conda(folder / "channel", name, version, files=files)


# --- nothing stays behind, nothing is touched in vain -----------------------------------------------------------------


def test_installing_and_removing_leaves_the_tree_as_it_was(environment: Environment, tmp_path: Path) -> None:
    before = tree(environment)
    files = {"x/__init__.py": b"", "x/deep/er/m.py": b"", "x-1.0.data/data/share/x/doc": b""}
    environment.apply(
        [wheel(tmp_path, "1.0", files, console_scripts={"x": "x:main"}), conda(tmp_path, "1", {"etc/y": b""}, "y")]
    )
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    subprocess.run([environment.root / "bin/python", "-c", "import x.deep.er.m"], check=True, env=variables)
    assert (environment.root / SITE / "x/__pycache__").is_dir()
    environment.apply([], remove=["x", "y"])
    assert tree(environment) == before


def test_an_upgrade_changes_what_differs_and_nothing_else(environment: Environment, tmp_path: Path) -> None:
    environment.apply([conda(tmp_path, "1", {"share/same": b"same", "share/old": b"", "share/other": b"1"})])
    inode = (environment.root / "share/same").stat().st_ino
    staged = environment.apply([conda(tmp_path, "2", {"share/same": b"same", "share/new": b"", "share/other": b"2"})])
    assert changed(staged) == {"share/new": "new", "share/old": "gone", "share/other": "replaced"}
    assert (environment.root / "share/same").stat().st_ino == inode
    gone = [change.path for change in staged.changes if change.is_record and change.after is None]
    assert gone == ["conda-meta/x-1-0.json"]
    assert all(change.owner == "conda:x-1-0" for change in staged.changes if change.after is None)


def test_another_mode_is_a_change(environment: Environment, tmp_path: Path) -> None:
    environment.apply([wheel(tmp_path, "1.0", {"x/run": b"run"})])
    staged = environment.apply([wheel(tmp_path, "2.0", {"x/run": b"run"}, executable=["x/run"])])
    assert changed(staged)[f"{SITE}/x/run"] == "replaced"
    assert os.access(environment.root / SITE / "x/run", os.X_OK)


def test_reinstalling_what_is_whole_changes_the_records_only(environment: Environment, tmp_path: Path) -> None:
    archive = wheel(tmp_path, "1.0", {"x.py": b""}, console_scripts={"x": "x:main"})
    environment.apply([archive])
    assert changed(environment.apply([archive])) == {}


def test_reinstalling_repairs(environment: Environment, tmp_path: Path) -> None:
    archive = conda(tmp_path, "1", {"share/gone": b"1", "share/broken": b"2", "share/whole": b"3"})
    environment.apply([archive])
    (environment.root / "share/gone").unlink()
    environment.write("share/broken", b"!")
    staged = environment.apply([archive])
    saved = "share/broken.bridge-saved-1"
    assert changed(staged) == {"share/gone": "new", "share/broken": "replaced", saved: "new"}


def test_stale_bytecode_goes_with_its_module(environment: Environment, tmp_path: Path) -> None:
    """Of what is replaced or removed, for whatever python; never that of a module that stays."""
    environment.apply(
        [
            wheel(tmp_path, "1.0", {"x/__init__.py": b"", "x/m.py": b"1", "x/gone.py": b""}),
            wheel(tmp_path, "1.0", {"x/other.py": b""}, "other"),
        ]
    )
    caches = ["__init__.cpython-311", "m.cpython-311", "m.cpython-312.opt-1", "gone.cpython-311", "other.cpython-311"]
    for name in caches:
        environment.write(f"{SITE}/x/__pycache__/{name}.pyc", b"cache")
    environment.write(f"{SITE}/x/__pycache__/m.py", b"not a cache")
    environment.apply([wheel(tmp_path, "2.0", {"x/__init__.py": b"", "x/m.py": b"2"})])
    left = {path.name for path in (environment.root / SITE / "x/__pycache__").iterdir()}
    assert left == {"__init__.cpython-311.pyc", "other.cpython-311.pyc", "m.py"}


def test_a_path_goes_with_its_last_owner(environment: Environment, tmp_path: Path) -> None:
    shared = {"share/x": b"same"}
    environment.apply([conda(tmp_path, "1", shared, "a"), conda(tmp_path, "1", shared, "b")])
    environment.apply([], remove=["a"])
    assert (environment.root / "share/x").read_bytes() == b"same"
    environment.apply([conda(tmp_path, "1", shared, "c")])
    environment.apply([], remove=["b"])
    assert (environment.root / "share/x").is_file()
    environment.apply([], remove=["c"])
    assert not (environment.root / "share").exists()


def test_from_a_wheel_to_a_conda_package_and_back(environment: Environment, tmp_path: Path) -> None:
    """Whatever the order, the files of the new one are there in the end, and none of the old one."""
    files = {"x/__init__.py": b"VERSION = 1\n", "x/only_wheel.py": b""}
    packed = {"site-packages/x/__init__.py": b"VERSION = 1\n", "site-packages/x/only_conda.py": b""}
    package = make_conda(tmp_path / "channel", "x", "1.0", noarch="python", files=packed, depends=["python"])
    archive = wheel(tmp_path, "1.0", files)
    environment.apply([archive])
    environment.apply([package])
    assert {path.name for path in (environment.root / SITE / "x").iterdir()} == {"__init__.py", "only_conda.py"}
    assert not (environment.root / INFO).exists()
    environment.apply([archive])
    assert {path.name for path in (environment.root / SITE / "x").iterdir()} == {"__init__.py", "only_wheel.py"}


def test_a_file_becomes_a_directory_and_a_directory_a_file(environment: Environment, tmp_path: Path) -> None:
    environment.apply([conda(tmp_path, "1", {"share/a": b"file", "share/b/c": b"below", "share/b/d": b"below"})])
    environment.apply([conda(tmp_path, "2", {"share/a/c": b"below", "share/b": b"file"})])
    assert (environment.root / "share/a/c").is_file()
    assert (environment.root / "share/b").is_file()


def test_another_python_minor_moves_what_lies_in_its_site_packages(environment: Environment, tmp_path: Path) -> None:
    """Every noarch package and every wheel is a Reinstall then, and nothing stays in the old folder."""
    version = f"{sys.version_info.major}.{sys.version_info.minor + 1}.0"
    files = {f"bin/python{version[:-2]}": b"#!/bin/sh\n", f"lib/python{version[:-2]}/os.py": b""}
    python = make_conda(tmp_path / "channel", "python", version, noarch=None, subdir="linux-64", files=files)
    packed = {"site-packages/thing.py": b"", "share/thing": b""}
    thing = make_conda(
        tmp_path / "channel", "thing", "1", noarch="python", files=packed, entry_points=["thing = thing:x"]
    )
    archives = [wheel(tmp_path, "1.0", {"x/__init__.py": b""}, console_scripts={"x": "x:main"}), thing]
    environment.apply(archives)
    environment.write(f"{SITE}/x/__pycache__/__init__.cpython-311.pyc", b"cache")
    environment.apply([python, *archives], python=Python(version=version))
    new = f"lib/python{version[:-2]}/site-packages"
    assert not (environment.root / SITE).exists()
    assert (environment.root / new / "x/__init__.py").is_file()
    assert (environment.root / new / "thing.py").is_file()
    for command in ("x", "thing"):
        assert f"bin/python{version[:-2]}\n" in (environment.root / "bin" / command).read_text()
    assert environment.state.site_packages == new


def test_what_is_gone_already_is_no_error(environment: Environment, tmp_path: Path) -> None:
    environment.apply([conda(tmp_path, "1", {"share/x/a": b"", "share/x/b": b""})])
    (environment.root / "share/x/a").unlink()
    assert changed(environment.apply([], remove=["x"])) == {"share/x/b": "gone"}
    assert not (environment.root / "share").exists()


# --- nothing is lost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_upgrade", [True, False])
def test_what_a_person_changed_is_kept(environment: Environment, tmp_path: Path, is_upgrade: bool) -> None:
    environment.apply([conda(tmp_path, "1", {"etc/x.conf": b"default", "etc/y.conf": b"default"})])
    environment.write("etc/x.conf", b"mine")
    (environment.root / "etc/x.conf").chmod(0o600)
    if is_upgrade:
        staged = environment.apply([conda(tmp_path, "2", {"etc/x.conf": b"newer", "etc/y.conf": b"newer"})])
        assert (environment.root / "etc/x.conf").read_bytes() == b"newer"
    else:
        staged = environment.apply([], remove=["x"])
        assert not (environment.root / "etc/x.conf").exists()
    (kept,) = staged.kept_aside
    assert (kept.path, kept.saved) == ("etc/x.conf", "etc/x.conf.bridge-saved-1")
    assert (environment.root / kept.saved).read_bytes() == b"mine"
    assert (environment.root / kept.saved).stat().st_mode & 0o777 == 0o600
    assert not (environment.root / "etc/y.conf.bridge-saved-1").exists()


def test_what_was_kept_before_stays(environment: Environment, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        environment.apply([conda(tmp_path, str(number), {"etc/x.conf": f"default {number}".encode()})])
        environment.write("etc/x.conf", f"mine {number}".encode())
    environment.apply([], remove=["x"])
    kept = {path.name: path.read_text() for path in (environment.root / "etc").iterdir()}
    assert kept == {f"x.conf.bridge-saved-{number}": f"mine {number}" for number in (1, 2, 3)}


def test_a_symlink_in_the_place_of_a_file_is_kept_as_a_symlink(environment: Environment, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    environment.apply([conda(tmp_path, "1", {"etc/x.conf": b"default"})])
    (environment.root / "etc/x.conf").unlink()
    (environment.root / "etc/x.conf").symlink_to(outside)
    environment.apply([conda(tmp_path, "2", {"etc/x.conf": b"newer"})])
    assert (environment.root / "etc/x.conf.bridge-saved-1").readlink() == outside
    assert outside.read_text() == "mine"


def test_what_is_kept_out_of_a_directory_that_becomes_a_file(environment: Environment, tmp_path: Path) -> None:
    environment.apply([conda(tmp_path, "1", {"share/x/conf": b"default"})])
    environment.write("share/x/conf", b"mine")
    staged = environment.apply([conda(tmp_path, "2", {"share/x": b"file"})])
    assert [kept.saved for kept in staged.kept_aside] == ["share/x.bridge-saved-1"]
    assert (environment.root / "share/x.bridge-saved-1").read_bytes() == b"mine"


def test_the_records_of_installers_are_nobody_s_changes(environment: Environment, tmp_path: Path) -> None:
    """A copy in a dist-info would leave a distribution without metadata behind, which breaks pip."""
    environment.apply([wheel(tmp_path, "1.0", {"x.py": b""})])
    environment.write(f"{INFO}/INSTALLER", b"somebody\n")
    environment.write(f"{INFO}/REQUESTED", b"")
    environment.write(f"{SITE}/__pycache__/x.cpython-311.pyc", b"cache")
    staged = environment.apply([], remove=["x"])
    assert staged.kept_aside == ()
    assert not (environment.root / INFO).exists()
    assert not (environment.root / SITE / "__pycache__").exists()


def test_a_path_of_nobody_is_set_aside(environment: Environment, tmp_path: Path) -> None:
    environment.write("share/x", b"mine")
    (environment.root / "share/y").symlink_to("nowhere")
    archive = conda(tmp_path, "1", {"share/x": b"theirs", "share/y": b"theirs"})
    with pytest.raises(OwnershipError):
        environment.apply([archive])
    staged = environment.apply([archive], set_aside=True)
    assert {kept.path: kept.saved for kept in staged.kept_aside} == {
        "share/x": "share/x.bridge-saved-1",
        "share/y": "share/y.bridge-saved-1",
    }
    assert (environment.root / "share/x.bridge-saved-1").read_bytes() == b"mine"
    assert (environment.root / "share/x").read_bytes() == b"theirs"


def test_a_path_of_nobody_is_adopted(environment: Environment, tmp_path: Path) -> None:
    environment.write("share/x", b"same")
    (environment.root / "share/x").chmod(0o644)
    inode = (environment.root / "share/x").stat().st_ino
    staged = environment.apply([conda(tmp_path, "1", {"share/x": b"same"})], adopt=True)
    assert changed(staged) == {}
    assert (environment.root / "share/x").stat().st_ino == inode
    environment.apply([], remove=["x"])
    assert not (environment.root / "share/x").exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="no pip to install with")
def test_what_pip_installed_is_adopted_whole(environment: Environment, tmp_path: Path) -> None:
    archive = wheel(tmp_path, "1.0", {"x.py": b"def main(): print('x')\n"}, console_scripts={"x": "x:main"})
    pip = pip_of(environment.root / "bin/python")
    options = ["--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *options, str(archive)], check=True)
    with pytest.raises(OwnershipError) as caught:
        environment.apply([archive])
    assert "pip:x-1.0" in caught.value.message
    staged = environment.apply([archive], adopt=True)
    assert staged.kept_aside == ()
    assert {path.name for path in (environment.root / INFO).iterdir()} == {
        "METADATA", "WHEEL", "RECORD", "INSTALLER", "entry_points.txt",
    }  # fmt: skip
    assert environment.run("x") == "x"
    environment.apply([], remove=["x"])
    assert not (environment.root / SITE / "x.py").exists()
    assert not (environment.root / INFO).exists()
    assert not (environment.root / SITE / "__pycache__").exists()


# --- against the disk -------------------------------------------------------------------------------------------------


def test_a_file_changed_between_staging_and_swapping_stops_it(environment: Environment, tmp_path: Path) -> None:
    environment.apply([conda(tmp_path, "1", {"etc/x.conf": b"default"})])
    _, staged = environment.stage([conda(tmp_path, "2", {"etc/x.conf": b"newer"})])
    environment.write("etc/x.conf", b"mine, just now")
    before = tree(environment)
    with commit.change(environment.root, durability="none") as opened:
        for change in staged.changes:
            if change.after is not None and change.after.kind == "file":
                with (environment.work / "new" / change.path).open("rb") as stream:
                    fs.write_file(opened.staging, change.path, stream, mode=change.after.mode or 0o644)
        with pytest.raises(OwnershipError, match=r"etc/x\.conf"):
            opened.commit(staged.changes)
    assert tree(environment) == before


def test_an_entry_behind_a_linked_directory_is_not_removed_through_it(environment: Environment, tmp_path: Path) -> None:
    """W46: nothing outside is touched, and nothing is changed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"mine")
    install_record(environment.root, "x", "1", files={"share/linked/file": b"mine"}, write=False)
    (environment.root / "share").mkdir()
    (environment.root / "share/linked").symlink_to(outside)
    with pytest.raises(OwnershipError) as caught:
        environment.apply([], remove=["x"])
    assert caught.value.exit_code == 4
    assert (outside / "file").read_bytes() == b"mine"


PATHS = st.lists(st.sampled_from(["a", "b", "m.py"]), min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS.map("share/".__add__), st.binary(max_size=2), min_size=1, max_size=5)


def is_a_tree(files: Mapping[str, bytes]) -> bool:
    return not any(path.startswith(f"{other}/") for path in files for other in files)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    old=FILES.filter(is_a_tree),
    new=FILES.filter(is_a_tree),
    edits=st.dictionaries(st.integers(0, 4), st.binary(max_size=2)),
)
def test_no_edit_is_lost_and_no_file_is_left(
    tmp_path_factory: pytest.TempPathFactory, old: dict[str, bytes], new: dict[str, bytes], edits: dict[int, bytes]
) -> None:
    """After any upgrade, the tree MUST hold the new files, what a person changed, and nothing else."""
    folder = tmp_path_factory.mktemp("upgrade")
    root = folder / "env"
    (root / "conda-meta").mkdir(parents=True)
    environment = Environment.__new__(Environment)
    environment.root, environment.work = root, folder
    environment.apply([conda(folder, "1", old)])
    mine = {path: edits[number] for number, path in enumerate(sorted(old)) if number in edits}
    for path, data in mine.items():
        environment.write(path, data)
    staged = environment.apply([conda(folder, "2", new)])
    lying = {path: (root / path).read_bytes() for path, seen in tree(environment).items() if seen[0].startswith("file")}
    lying = {path: data for path, data in lying.items() if not path.startswith("conda-meta/")}
    kept = {each.path: lying.pop(each.saved) for each in staged.kept_aside}
    assert lying == new
    assert kept == {path: data for path, data in mine.items() if data not in {old[path], new.get(path)}}

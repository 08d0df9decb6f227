"""`bridge history` and `bridge rollback`: each change can be had back, file by file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.prefix.revisions import SNAPSHOTS, snapshot_path
from tests.fault.commands import make_packages
from tests.support.builders import install_record
from tests.support.command_line import Bridge
from tests.support.prefix_trees import tree

FIRST = ("install", "pypi:demo==1.0", "lib=1.0")
SECOND = ("install", "pypi:demo==2.0", "lib=2.0")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    make_packages(folder)
    return folder


@pytest.fixture(scope="module")
def made(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bridge, Path, dict[int, dict[str, bytes]]]:
    """An environment of three revisions, and its files after each."""
    folder = tmp_path_factory.mktemp("made")
    bridge, env = Bridge.of_folder(folder, packages), folder / "env"
    trees = {}
    for number, words in enumerate((("create", "python=3.11"), FIRST, SECOND)):
        ran = bridge(words[0], "-p", env, *words[1:])
        assert ran.status == 0, ran.err
        trees[number] = tree(env)
    return bridge, env, trees


@pytest.fixture
def env(made: tuple[Bridge, Path, dict[int, dict[str, bytes]]]) -> Iterator[Path]:
    """The environment, which tests change; its path is in its files."""
    path = made[1]
    kept = path.with_name("kept")
    shutil.copytree(path, kept, symlinks=True)
    yield path
    shutil.rmtree(path)
    kept.rename(path)


@pytest.fixture(scope="module")
def bridge(made: tuple[Bridge, Path, dict[int, dict[str, bytes]]]) -> Bridge:
    return made[0]


@pytest.fixture(scope="module")
def trees(made: tuple[Bridge, Path, dict[int, dict[str, bytes]]]) -> dict[int, dict[str, bytes]]:
    return made[2]


def test_the_history_lists_each_change(bridge: Bridge, env: Path) -> None:
    found = bridge("history", "-p", env, "--json").document["revisions"]
    assert [each["revision"] for each in found] == [0, 1, 2]
    assert all(each["restorable"] and each["date"] for each in found)
    assert "pypi:demo==2.0" in found[2]["command"]
    assert [text.rpartition("::")[2] for text in found[2]["removed"]] == ["demo-1.0-py3_none_any_0", "lib-1.0-0"]
    shown = bridge("history", "-p", env).out
    assert "+demo-2.0-py3_none_any_0" in shown


@pytest.mark.parametrize("number", [0, 1])
def test_a_rollback_restores_the_very_files(
    bridge: Bridge, env: Path, trees: dict[int, dict[str, bytes]], number: int
) -> None:
    ran = bridge("rollback", "-p", env, number)
    assert ran.status == 0, ran.err
    assert tree(env) == trees[number]
    assert bridge("audit", "-p", env, "--json").document["findings"] == []
    again = bridge("history", "-p", env, "--json").document["revisions"]
    assert len(again) == 4
    assert "rollback" in again[3]["command"]
    assert bridge("rollback", "-p", env, "--last").status == 0
    assert tree(env) == trees[2]


def test_nothing_to_do_adds_no_revision(bridge: Bridge, env: Path) -> None:
    assert bridge("rollback", "-p", env, 2).status == 0
    assert len(bridge("history", "-p", env, "--json").document["revisions"]) == 3


def test_a_dry_run_changes_nothing(bridge: Bridge, env: Path, trees: dict[int, dict[str, bytes]]) -> None:
    planned = bridge("rollback", "-p", env, "--dry-run", "--json").document
    assert {each["operation"] for each in planned["operations"]} == {"change"}
    assert tree(env) == trees[2]


def test_requests_are_restored_too(bridge: Bridge, env: Path) -> None:
    """A request that came later is gone after the rollback, although its package stays."""
    assert bridge("install", "-p", env, "pypi:demo>=1").status == 0
    assert bridge("rollback", "-p", env, 1).status == 0
    (record,) = (env / "conda-meta").glob("demo-*.json")
    assert json.loads(record.read_bytes())["requested_specs"] == ["pypi:demo==1.0"]


def test_a_change_of_conda_is_listed_and_undone(bridge: Bridge, env: Path, trees: dict[int, dict[str, bytes]]) -> None:
    install_record(env, "extra", "3.0", files={"share/extra.txt": b"x"})
    history = env / "conda-meta/history"
    added = "==> 2026-11-30 10:00:00 <==\n# cmd: conda install extra\n+ch/noarch::extra-3.0-0\n"
    history.write_text(history.read_text() + added)
    found = bridge("history", "-p", env, "--json").document["revisions"][3]
    assert (found["command"], found["restorable"]) == ("conda install extra", False)
    refused = bridge("rollback", "-p", env, 3)
    assert (refused.status, "no snapshot of revision 3" in refused.err) == (2, True)
    ran = bridge("rollback", "-p", env, "--last")
    assert ran.status == 0, ran.err
    assert tree(env) == trees[2]


def test_a_change_that_no_history_has_gets_a_revision(bridge: Bridge, env: Path) -> None:
    """Pixi and py-rattler write no history; the state before bridge's next change can be had back all the same."""
    install_record(env, "extra", "3.0", files={"share/extra.txt": b"x"})
    assert bridge("remove", "-p", env, "lib").status == 0
    found = bridge("history", "-p", env, "--json").document["revisions"]
    assert [text.rpartition("::")[2] for text in found[3]["added"]] == ["extra-3.0-0"]
    assert found[3]["restorable"]
    assert bridge("rollback", "-p", env, 3).status == 0
    names = [each["name"] for each in bridge("list", "-p", env, "--json").document["packages"]]
    assert names == ["demo", "extra", "lib", "python"]


def test_what_can_no_longer_be_had_is_named_before_anything_is_written(
    packages: Path, bridge: Bridge, env: Path, trees: dict[int, dict[str, bytes]], tmp_path: Path
) -> None:
    gone = [packages / "wheels/demo-1.0-py3-none-any.whl", packages / "channel/linux-64/lib-1.0-0.conda"]
    for path in gone:
        path.rename(tmp_path / path.name)
    try:
        ran = bridge("rollback", "-p", env, 1, "--json")
        assert (ran.status, ran.document["error"]["id"]) == (10, "not-available")
        assert "demo 1.0, lib 1.0" in ran.document["error"]["message"]
        assert tree(env) == trees[2]
        assert bridge("rollback", "-p", env, 1, "--from", tmp_path).status == 0
        assert tree(env) == trees[1]
    finally:
        for path in gone:
            (tmp_path / path.name).rename(path)


@pytest.mark.parametrize("words", [("7",), ("-1",), ("x",), ("1", "--last")], ids=" ".join)
def test_a_revision_that_is_not_there_is_refused(bridge: Bridge, env: Path, words: tuple[str, ...]) -> None:
    assert bridge("rollback", "-p", env, *words).status == 2


def test_the_first_revision_has_none_before_it(bridge: Bridge, tmp_path: Path) -> None:
    assert bridge("create", "-p", tmp_path / "env", "lib").status == 0
    ran = bridge("rollback", "-p", tmp_path / "env", "--json")
    assert (ran.status, ran.document["error"]["id"]) == (2, "no-revision")
    assert "no change to undo" in ran.document["error"]["message"]


@pytest.mark.parametrize("data", [b"", b"no gzip", b"\x1f\x8b\x08"], ids=["empty", "text", "truncated"])
def test_a_damaged_snapshot_is_refused(bridge: Bridge, env: Path, data: bytes) -> None:
    (env / snapshot_path(1)).write_bytes(data)
    ran = bridge("rollback", "-p", env, 1, "--json")
    assert (ran.status, ran.document["error"]["id"]) == (3, "snapshot-damaged")


def test_the_oldest_snapshots_are_removed(bridge: Bridge, env: Path) -> None:
    history, sections = env / "conda-meta/history", []
    for number in range(3, 60):
        sections.append(f"==> 2026-11-30 10:00:{number:02} <==\n# cmd: conda update\n")
        shutil.copy(env / snapshot_path(2), env / snapshot_path(number))
    history.write_text(history.read_text() + "".join(sections))
    assert bridge("remove", "-p", env, "lib").status == 0
    kept = sorted(path.name for path in (env / SNAPSHOTS).iterdir())
    assert (len(kept), kept[-1]) == (50, "000060.json.gz")


def test_a_snapshot_has_no_secret(bridge: Bridge, env: Path) -> None:
    assert bridge("install", "-p", env, "demo @ file://user:secret@/nowhere").status != 0
    for path in (env / SNAPSHOTS).iterdir():
        assert b"secret" not in path.read_bytes()
    assert json.loads(bridge("history", "-p", env, "--json").out)["prefix"] == str(env)


def test_a_repair_is_undone_by_the_files_that_it_replaced(bridge: Bridge, env: Path) -> None:
    """A repair is no revision; the change before it is not undone in its place."""
    (changed,) = env.rglob("demo/__init__.py")
    missing = next(path for path in sorted(env.glob("share/**/*")) if path.is_file())
    changed.write_bytes(b"mine = 1\n")
    changed.chmod(0o600)
    missing.unlink()
    damaged = {path: data for path, data in tree(env).items() if ".bridge/" not in path and not path.endswith(".pyc")}
    assert bridge("audit", "-p", env, "--fix").status == 0
    assert missing.exists()
    dry = bridge("rollback", "-p", env, "--dry-run")
    assert "the last change was a repair" in dry.err
    assert missing.exists()
    ran = bridge("rollback", "-p", env, "--json")
    assert (ran.status, ran.document["operations"]) == (0, [])
    after = {path: data for path, data in tree(env).items() if ".bridge/" not in path and not path.endswith(".pyc")}
    assert after == damaged
    assert changed.stat().st_mode & 0o777 == 0o600
    assert bridge("rollback", "-p", env).status == 0
    listed = bridge("list", "-p", env, "--json").document["packages"]
    assert {each["name"]: each["version"] for each in listed}["demo"] == "1.0"


def test_what_changed_since_a_repair_is_left(bridge: Bridge, env: Path) -> None:
    (changed,) = env.rglob("demo/__init__.py")
    changed.write_bytes(b"mine = 1\n")
    assert bridge("audit", "-p", env, "--fix").status == 0
    changed.write_bytes(b"newer = 1\n")
    ran = bridge("rollback", "-p", env)
    assert ran.status == 0
    assert "it changed since or its former version is gone" in ran.err
    assert changed.read_bytes() == b"newer = 1\n"
    assert bridge("audit", "-p", env, "--fix").status == 0
    assert bridge("install", "-p", env, "lib=1.0").status == 0
    assert bridge("rollback", "-p", env).status == 0
    listed = bridge("list", "-p", env, "--json").document["packages"]
    assert {each["name"]: each["version"] for each in listed} == {"demo": "2.0", "lib": "2.0", "python": "3.11.1"}

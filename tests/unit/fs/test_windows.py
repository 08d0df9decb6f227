"""Changes of a prefix with Windows' rules: the same transaction, over `WindowsCalls` and a simulated machine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge import fs
from bridge.errors import BridgeError
from bridge.faults import arm
from bridge.fs.system.kernel import extended
from bridge.fs.system.windows import is_reserved
from bridge.model import PathChange
from bridge.transaction.commit import change
from bridge.transaction.creation import create
from bridge.transaction.deletion import delete
from bridge.transaction.recovery import recover
from bridge.transaction.sharing import share
from tests.support.windows import Machine, windows

BEFORE = {"python.exe": b"old", "Lib/a.py": b"a1", "Lib/gone/b.py": b"b1", "conda-meta/history": b"h1"}
AFTER = {"python.exe": b"new", "Lib/a.py": b"a2", "Lib/fresh/c.py": b"c1", "conda-meta/history": b"h2"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return windows(monkeypatch)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    root = tmp_path / "env"
    for path, data in BEFORE.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def content(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        name: path.read_bytes()
        for path in files
        if not (name := path.relative_to(root).as_posix()).startswith("conda-meta/.bridge")
    }


def apply(root: Path, wanted: Mapping[str, bytes] = AFTER) -> None:
    with change(root, lock_timeout=0) as running:
        changes = []
        for path in sorted({*BEFORE, *AFTER}):
            after = fs.write_file(running.staging, path, [wanted[path]], mode=0o755) if path in wanted else None
            before = fs.fingerprint(root, path)
            changes.append(PathChange(path=path, before=before, after=after, is_record=path.startswith("conda-meta/")))
        running.commit(changes)


def test_both_wings_load_without_what_only_posix_has() -> None:
    code = """
import os, signal, sys
sys.modules.update(fcntl=None, resource=None)
os.supports_dir_fd = set()
for name in ("O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC", "O_NONBLOCK", "geteuid", "fchmod"):
    delattr(os, name)
del signal.SIGHUP
import bridge.cache.prune, bridge.transaction.creation, bridge.transaction.deletion, bridge.transaction.sharing
from bridge.fs.system import effective_user, open_file_limit, os
print(type(os).__name__, effective_user(), open_file_limit())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("WindowsCalls 0 8192", "")


def test_a_change_is_made_without_links_and_modes(machine: Machine, prefix: Path) -> None:
    apply(prefix)
    assert content(prefix) == AFTER
    assert not (prefix / "Lib/gone").exists()
    assert machine.slept == 0


def test_a_program_that_runs_is_replaced_and_kept_until_it_ends(machine: Machine, prefix: Path) -> None:
    machine.running.add(prefix / "python.exe")
    apply(prefix)
    assert content(prefix) == AFTER
    kept = list((prefix / "conda-meta/.bridge/txn").rglob(".bridge_hidden*"))
    assert [path.read_bytes() for path in kept] == [b"old"]
    machine.running.clear()
    recover(prefix)
    apply(prefix, BEFORE)
    assert content(prefix) == BEFORE
    assert not list((prefix / "conda-meta/.bridge/txn").rglob("*"))


@pytest.mark.parametrize("path", ["Lib/a.py", "Lib/gone/b.py", "conda-meta/history"])
def test_a_file_that_another_process_has_open(machine: Machine, prefix: Path, path: str) -> None:
    machine.opened.add(prefix / path)
    with pytest.raises(BridgeError) as caught:
        apply(prefix)
    assert caught.value.id == "busy"
    assert content(prefix) == BEFORE
    machine.closes_after = machine.slept + 0.5
    apply(prefix)
    assert content(prefix) == AFTER


def test_a_file_that_is_read_only_is_replaced_and_removed(machine: Machine, prefix: Path) -> None:
    machine.read_only |= {prefix / "Lib/a.py", prefix / "Lib/gone/b.py"}
    apply(prefix)
    assert content(prefix) == AFTER
    assert not list((prefix / "conda-meta/.bridge/txn").rglob("*"))


@pytest.mark.parametrize("point", ["swap.rename_one:2", "swap.remove_one", "record.history", "commit.pre_sync"])
def test_a_fault_is_undone(machine: Machine, prefix: Path, point: str) -> None:
    arm(f"{point}=eio")
    with pytest.raises(BridgeError):
        apply(prefix)
    assert content(prefix) == BEFORE
    assert machine.opened == set()


def test_a_prefix_is_created_and_deleted(machine: Machine, tmp_path: Path) -> None:
    root = tmp_path / "new"
    root.mkdir()  # An empty directory may be there; Windows replaces none.
    with create(root) as running:
        fs.write_file(running.root, "conda-meta/history", [b"h"])
        running.publish()
    assert content(root) == {"conda-meta/history": b"h"}
    with share(root, 0.0):
        pass
    delete(root, timeout=0)
    assert list(tmp_path.iterdir()) == []
    assert machine.slept == 0


def test_a_path_may_be_longer_than_260_characters(machine: Machine, tmp_path: Path) -> None:
    root = tmp_path / "env"
    root.mkdir()
    deep = "/".join(["x" * 60] * 6) + "/module.py"
    fs.write_file(root, deep, [b"1"])
    assert (root / deep).read_bytes() == b"1"
    assert machine.absolute(str(root / deep)).startswith("\\\\?\\")


@pytest.mark.parametrize(
    "name", ["aux.py", "nul", "COM1.txt", "con .x", "a:b", "what?", "name.", "name ", "a|b", "x\ty"]
)
def test_names_that_windows_cannot_have_are_refused(machine: Machine, tmp_path: Path, name: str) -> None:
    assert is_reserved(name)
    for path in (name, f"Lib/{name}/x.py"):
        with pytest.raises(BridgeError):
            fs.write_file(tmp_path, path, [b""])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert machine.slept == 0


@pytest.mark.parametrize("name", ["auxiliary.py", "console", "com10", "null.py", "x.con", ".pth", "lpt", "naïve.py"])
def test_names_that_only_look_like_these_are_not(name: str) -> None:
    assert not is_reserved(name)


def test_names_differ_by_more_than_case(machine: Machine, prefix: Path) -> None:
    with pytest.raises(BridgeError) as caught:
        fs.write_file(prefix, "lib/A.PY", [b""])
    assert caught.value.id == "path-exists"
    with fs.WritableTree(prefix) as tree:
        tree.rename("Lib/a.py", tree, "Lib/A.py")
    assert sorted(path.name for path in (prefix / "Lib").iterdir()) == ["A.py", "gone"]
    assert machine.slept == 0


def test_a_link_on_the_way_is_not_followed(machine: Machine, prefix: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (prefix / "Scripts").symlink_to(tmp_path / "outside")
    with pytest.raises(BridgeError) as caught:
        fs.write_file(prefix, "scripts/x.exe", [b""])
    assert caught.value.id == "path-symlink"
    assert list((tmp_path / "outside").iterdir()) == []
    assert fs.remove_tree(prefix)
    assert (tmp_path / "outside").is_dir()
    assert machine.slept == 0


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (r"C:\envs\lab", r"\\?\C:\envs\lab"),
        ("C:/envs/../lab/.", r"\\?\C:\lab"),
        (r"\\server\share\lab", r"\\?\UNC\server\share\lab"),
        (r"\\?\C:\envs", r"\\?\C:\envs"),
    ],
)
def test_extended_paths(path: str, wanted: str) -> None:
    assert extended(path) == wanted

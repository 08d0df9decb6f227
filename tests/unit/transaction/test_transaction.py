"""A transaction does all of its changes or none, refuses what it does not know, and settles what was interrupted."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import faults, fs
from bridge.errors import (
    FaultError,
    IntegrityError,
    InterruptedPrefixError,
    OwnershipError,
    PrefixLockedError,
    UnsafeInputError,
    UsageError,
)
from bridge.fs import durability as syncing
from bridge.model import Fingerprint, PathChange
from bridge.paths import OWN
from bridge.transaction.commit import change
from bridge.transaction.creation import create
from bridge.transaction.recovery import recover
from bridge.transaction.waiting import pending
from tests.fault.workloads import (
    MEMORY,
    NEW,
    OLD,
    WORKLOADS,
    Node,
    Nodes,
    Workload,
    build,
    changes,
    observe,
    own,
    run,
    write,
)
from tests.support.builders import tree_digest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    faults.arm(None)


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    build(tmp_path / "env", OLD)
    return tmp_path / "env"


def commit(prefix: Path, *todo: PathChange, stage: Nodes | None = None, durability: fs.Durability = "none") -> None:
    with change(prefix, durability=durability) as transaction:
        for path, node in (stage or {}).items():
            write(transaction.staging, path, node)
        transaction.commit(todo)


def in_children(count: int, work: Callable[[], object]) -> list[int]:
    """Run it in so many forked processes at once; how each ended: a negative signal, 0, or 1 for an exception."""
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            except BaseException:  # noqa: BLE001 - the parent asserts on the status
                os._exit(1)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def in_child(work: Callable[[], object]) -> int:
    return in_children(1, work)[0]


def killed(prefix: Path, failpoint: str, workload: Workload = WORKLOADS["upgrade"]) -> None:
    """Leave the prefix as a process leaves it that is killed at the failpoint."""

    def work() -> None:
        faults.arm(f"{failpoint}=kill")
        run(prefix, workload, "none")

    assert in_child(work) == -signal.SIGKILL


@pytest.mark.parametrize("durability", ["full", "batched", "none"])
@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_a_committed_change_is_there_whole(tmp_path: Path, name: str, durability: fs.Durability) -> None:
    workload = WORKLOADS[name]
    if workload.before is not None:
        build(tmp_path / "env", workload.before)
    build(tmp_path / "expected", workload.after)
    run(tmp_path / "env", workload, durability)
    assert observe(tmp_path / "env") == observe(tmp_path / "expected")
    assert own(tmp_path / "env") == [OWN, f"{OWN}/lock"]
    assert pending(tmp_path / "env") is None
    assert recover(tmp_path / "env").state == "nothing"


def test_what_is_not_changed_keeps_its_inode_and_its_times(prefix: Path) -> None:
    before = observe(prefix, identity=True)
    run(prefix, WORKLOADS["upgrade"])
    after = observe(prefix, identity=True)
    assert after["etc/user.conf"] == before["etc/user.conf"]
    assert after["bin/demo"][-2] != before["bin/demo"][-2]


def test_another_name_of_a_replaced_inode_keeps_its_bytes(prefix: Path, tmp_path: Path) -> None:
    """A package cache hard-links into environments: an inode is never written to, only its name is taken over."""
    cached = tmp_path / "cached"
    os.link(prefix / "bin/demo", cached)
    run(prefix, WORKLOADS["upgrade"])
    assert cached.read_bytes() == OLD["bin/demo"]
    assert cached.stat().st_nlink == 1


def test_a_hard_link_to_the_inode_that_is_there_already_may_be_staged(prefix: Path) -> None:
    old = fs.fingerprint(prefix, "bin/demo")
    with change(prefix) as transaction:
        (transaction.staging / "bin").mkdir()
        os.link(prefix / "bin/demo", transaction.staging / "bin/demo")
        transaction.commit([PathChange(path="bin/demo", before=old, after=old)])
    assert fs.fingerprint(prefix, "bin/demo") == old
    assert (prefix / "bin/demo").stat().st_nlink == 1


FILE = Fingerprint(kind="file")
FOLDER = Fingerprint(kind="directory")
NEW_FILE = {"new": b"new"}


@pytest.mark.parametrize(
    ("todo", "stage", "identifier"),
    [
        # What is to be replaced or removed is not what was expected.
        ({"bin/demo": (Fingerprint(kind="file", sha256="0" * 64), None)}, {}, "changed-meanwhile"),
        ({"bin/demo": (Fingerprint(kind="file", sha256="0" * 64, size=1), None)}, {}, "changed-meanwhile"),
        ({"bin/demo": (Fingerprint(kind="symlink", link="x"), None)}, {}, "changed-meanwhile"),
        ({"bin/demo": (FOLDER, FILE)}, {"bin/demo": b""}, "changed-meanwhile"),
        ({"lib/libdemo.so": (Fingerprint(kind="symlink", link="other"), None)}, {}, "changed-meanwhile"),
        ({"lib/libdemo.so": (FILE, None)}, {}, "changed-meanwhile"),
        ({"bin/gone": (FILE, None)}, {}, "changed-meanwhile"),
        ({"bin/gone": (FILE, FILE)}, {"bin/gone": b""}, "changed-meanwhile"),
        ({"share/gone": (FOLDER, FILE)}, {"share/gone": b""}, "changed-meanwhile"),
        # What nobody owns is in the way.
        ({"etc/user.conf": (None, FILE)}, {"etc/user.conf": b"of the user\n"}, "unowned-path"),
        ({"lib/libdemo.so": (None, FILE)}, {"lib/libdemo.so": b""}, "unowned-path"),
        ({"lib/real": (FOLDER, FILE)}, {"lib/real": b""}, "unowned-path"),
        ({"lib/real": (None, FILE), "lib/real/a.txt": (FILE, None)}, {"lib/real": b""}, "unowned-path"),
        # Nothing is reached through a symlink, or through a file.
        ({"lib/alias/a.txt": (FILE, None)}, {}, "path-symlink"),
        ({"lib/alias/new": (None, FILE)}, {"lib/alias/new": b""}, "path-symlink"),
        ({"bin/demo/new": (None, FILE)}, {"bin/demo/new": b""}, "path-not-directory"),
        ({"lib/alias": (Fingerprint(kind="symlink"), None), "lib/alias/a.txt": (FILE, None)}, {}, "changed-meanwhile"),
        # What is staged is not what was planned.
        ({"new": (None, FILE)}, {}, "staged-mismatch"),
        ({"new": (None, Fingerprint(kind="symlink", link="x"))}, NEW_FILE, "staged-mismatch"),
        ({"new": (None, Fingerprint(kind="file", size=2))}, NEW_FILE, "staged-mismatch"),
        ({"new": (None, Fingerprint(kind="file", mode=0o755))}, NEW_FILE, "staged-mismatch"),
        ({"new": (None, Fingerprint(kind="symlink", link="x"))}, {"new": "y"}, "staged-mismatch"),
        ({"../new": (None, FILE)}, {}, "path-escape"),
        ({"/new": (None, FILE)}, {}, "path-escape"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_changed(
    prefix: Path, todo: Mapping[str, tuple[Fingerprint, Fingerprint]], stage: Nodes, identifier: str
) -> None:
    classes = {"staged-mismatch": IntegrityError, "path-escape": UnsafeInputError}
    before = observe(prefix, identity=True)
    # A harmless change that comes first is not made either.
    first = PathChange(path="a/first", before=None, after=FILE)
    with pytest.raises(classes.get(identifier, OwnershipError)) as caught:
        commit(
            prefix,
            first,
            *(PathChange(path=path, before=old, after=new) for path, (old, new) in todo.items()),
            stage={"a/first": b"", **stage},
        )
    assert caught.value.id == identifier
    assert observe(prefix, identity=True) == before
    assert own(prefix) == []


@pytest.mark.parametrize(
    "todo",
    [
        [PathChange(path="x", before=None, after=FILE), PathChange(path="x", before=None, after=FILE)],
        [PathChange(path="x", before=None, after=FILE), PathChange(path="x/y/z", before=None, after=FILE)],
        [PathChange(path=f"{OWN}/lock", before=None, after=FILE)],
        [PathChange(path=f"{OWN}/txn/x", before=None, after=FILE)],
        [PathChange(path=OWN, before=FOLDER, after=None)],
        [PathChange(path="conda-meta", before=FOLDER, after=FILE)],
    ],
)
def test_changes_that_contradict_each_other_are_an_error_of_the_caller(prefix: Path, todo: list[PathChange]) -> None:
    before = observe(prefix, identity=True)
    with pytest.raises(ValueError, match=r"twice|below|reserved"):
        commit(prefix, *todo)
    assert observe(prefix, identity=True) == before
    assert own(prefix) == []


def test_a_foreign_edit_in_the_meantime_is_kept(prefix: Path) -> None:
    """X24: pip writes while we stage."""
    with change(prefix) as transaction:
        todo = changes(OLD, NEW)
        for one in todo:
            if one.after is not None:
                write(transaction.staging, one.path, NEW.get(one.path))
        (prefix / "bin/demo").write_bytes(b"#!/bin/sh\necho edited\n")
        before = observe(prefix, identity=True)
        with pytest.raises(OwnershipError) as caught:
            transaction.commit(todo)
    assert (caught.value.id, caught.value.exit_code) == ("changed-meanwhile", 4)
    assert caught.value.objects == {"path": "bin/demo"}
    assert observe(prefix, identity=True) == before


def test_only_the_kind_is_compared_where_no_hash_is_known(prefix: Path) -> None:
    commit(prefix, PathChange(path="bin/demo", before=FILE, after=FILE), stage={"bin/demo": b"new"})
    assert (prefix / "bin/demo").read_bytes() == b"new"


def test_directories_are_shared_and_go_when_they_are_empty(prefix: Path) -> None:
    (prefix / "lib/real/deep/foreign").write_bytes(b"")
    commit(
        prefix,
        PathChange(path="share/empty", before=None, after=FOLDER),  # it is there: that will do
        PathChange(path="etc", before=FOLDER, after=FOLDER),  # it stays although nothing is left in it
        PathChange(path="etc/user.conf", before=FILE, after=None),
        PathChange(path="bin/demo", before=FILE, after=None),
        PathChange(path="lib/real/deep/b.txt", before=FILE, after=None),
        PathChange(path="share/none", before=FOLDER, after=None),  # it is gone already: that will do
        PathChange(path="opt/private", before=None, after=Fingerprint(kind="directory", mode=0o700)),
        *(PathChange(path=path, before=FILE, after=None) for path in OLD if path.startswith("conda-meta/")),
    )
    assert [path.name for path in (prefix / "etc").iterdir()] == []
    assert not (prefix / "bin").exists()
    assert [path.name for path in (prefix / "lib/real/deep").iterdir()] == ["foreign"]
    assert (prefix / "share/empty").is_dir()
    assert (prefix / "opt/private").stat().st_mode & 0o7777 == 0o700
    assert [path.name for path in (prefix / "conda-meta").iterdir()] == [".bridge"]


def test_records_come_last(prefix: Path) -> None:
    """Whoever reads the records of a prefix that was not recovered is told of nothing that is not there."""
    killed(prefix, "record.dist_info")
    seen = observe(prefix)
    placed = [path for path in {*OLD, *NEW} if (path in seen) == (path in NEW) and "conda-meta" not in path]
    assert {path for path in NEW if ".dist-info" not in path and "conda-meta" not in path} <= set(placed)
    assert recover(prefix).state == "restored"


SITE = "lib/python3.12/site-packages"


def inode(path: Path) -> int:
    return path.lstat().st_ino


def test_a_new_directory_comes_whole(prefix: Path) -> None:
    """One rename brings all that was staged in it; where something lies already, and where a mode is asked for, each
    file comes by itself; and a directory is left out where it holds what is not planned.
    """
    files = {f"{SITE}/{name}": b"x" for name in ("new/a.py", "new/sub/b.py", "demo/c.py", "modes/d/e.py", "odd/f.py")}
    staged: dict[str, int] = {}
    with change(prefix) as transaction:
        todo = [
            PathChange(path=path, before=None, after=write(transaction.staging, path, node))
            for path, node in files.items()
        ]
        fs.make_directory(transaction.staging, f"{SITE}/modes/d", mode=0o750)
        todo.append(PathChange(path=f"{SITE}/modes/d", before=None, after=Fingerprint(kind="directory", mode=0o750)))
        write(transaction.staging, f"{SITE}/odd/unplanned.py", b"")
        for folder in ("new", "new/sub", "demo", "modes", "modes/d", "odd"):
            staged[folder] = inode(transaction.staging / SITE / folder)
        transaction.commit(todo)
    assert {folder for folder in staged if inode(prefix / SITE / folder) == staged[folder]} == {"new", "new/sub"}
    assert all((prefix / path).read_bytes() == b"x" for path in files)
    assert (prefix / SITE / "modes/d").stat().st_mode & 0o777 == 0o750
    assert not (prefix / SITE / "odd/unplanned.py").exists()


@pytest.mark.parametrize("names", [("new/a.py",), ("new/a.py", "new/sub/b.py")])
def test_where_no_directory_can_be_moved_its_files_are(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    rename = os.rename

    def refuse_directories(source: str, target: str, **folders: int) -> None:
        if source == "new":
            raise OSError(errno.EXDEV, "no directory is moved")
        rename(source, target, **folders)

    monkeypatch.setattr(os, "rename", refuse_directories)
    files = {f"{SITE}/{name}": b"x" for name in names}
    with change(prefix) as transaction:
        todo = [
            PathChange(path=path, before=None, after=write(transaction.staging, path, node))
            for path, node in files.items()
        ]
        transaction.commit(todo)
    assert all((prefix / path).read_bytes() == b"x" for path in files)


def test_an_emptied_directory_that_cannot_be_moved_is_removed(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a lower layer of an overlay; any other error undoes the change."""
    path, code = f"{SITE}/alone/a.py", errno.EXDEV
    with change(prefix) as transaction:
        after = write(transaction.staging, path, b"x")
        transaction.commit([PathChange(path=path, before=None, after=after)])
    before, rename = observe(prefix), os.rename

    def refuse_directories(source: str, target: str, **folders: int) -> None:
        if source == "alone" and target.isdigit():
            raise OSError(code, "no directory is moved")
        rename(source, target, **folders)

    monkeypatch.setattr(os, "rename", refuse_directories)
    for code in (errno.EACCES, errno.EPERM, errno.EXDEV):
        with suppress(FaultError), change(prefix) as transaction:
            new = write(transaction.staging, f"{SITE}/alone", b"y")
            todo = [PathChange(path=path, before=after, after=None)]
            transaction.commit([*todo, PathChange(path=f"{SITE}/alone", before=None, after=new)])
        assert (observe(prefix) == before) is (code != errno.EXDEV)
    assert (prefix / SITE / "alone").read_bytes() == b"y"


def test_a_new_directory_is_of_the_group_that_its_place_hands_on(prefix: Path) -> None:
    """A directory with the set-group-id bit gives its group to what is made in it, and not to what is moved there."""
    os.chmod(prefix / SITE, 0o2755)
    commit_new = {f"{SITE}/new/a.py": b"x", f"{SITE}/new/sub/b.py": b"x"}
    with change(prefix) as transaction:
        todo = [
            PathChange(path=path, before=None, after=write(transaction.staging, path, node))
            for path, node in commit_new.items()
        ]
        transaction.commit(todo)
    for folder in ("new", "new/sub"):
        assert (prefix / SITE / folder).stat().st_mode & 0o2000


@pytest.mark.parametrize("count", range(1, 8))
def test_whatever_came_whole_is_undone(prefix: Path, count: int) -> None:
    before = observe(prefix)
    files = {f"{SITE}/{name}": b"x" for name in ("a/1.py", "a/s/2.py", "b/3.py", "top.py")}
    files |= {f"{SITE}/a-1.dist-info/{name}": b"x" for name in ("INSTALLER", "METADATA", "RECORD")}

    def work() -> None:
        faults.arm(f"swap.rename_one:{count}=kill" if count < 6 else f"record.dist_info:{count - 5}=kill")
        with change(prefix) as transaction:
            todo = [
                PathChange(
                    path=path,
                    before=None,
                    after=write(transaction.staging, path, node),
                    is_record=path.endswith(("METADATA", "RECORD")),
                )
                for path, node in files.items()
            ]
            transaction.commit(todo)

    assert in_child(work) == -signal.SIGKILL
    seen = observe(prefix)
    if f"{SITE}/a-1.dist-info/RECORD" in seen:
        assert files.keys() <= seen.keys()  # records come last
    foreign = prefix / SITE / "a/s/foreign.pyc"
    if foreign.parent.is_dir():
        foreign.write_bytes(b"theirs")
    assert recover(prefix).state == "restored"
    left = observe(prefix).keys() - before.keys()
    assert left <= {f"{SITE}/a", f"{SITE}/a/s", f"{SITE}/a/s/foreign.pyc"}
    assert not foreign.parent.is_dir() or foreign.read_bytes() == b"theirs"
    if foreign.exists():
        shutil.rmtree(prefix / SITE / "a")
    assert observe(prefix) == before


def test_nothing_is_left_of_a_transaction_that_does_not_commit(tmp_path: Path) -> None:
    for name, nodes in {"with": OLD, "bare": {"etc/user.conf": b""}}.items():
        build(tmp_path / name, nodes)
        before = tree_digest(tmp_path / name), observe(tmp_path / name, identity=True)
        with change(tmp_path / name) as transaction:
            write(transaction.staging, "bin/new", b"")
        with change(tmp_path / name) as transaction:
            transaction.commit([])
        with change(tmp_path / name) as transaction:
            transaction.commit([PathChange(path="nothing", before=None, after=None)])
        assert (tree_digest(tmp_path / name), observe(tmp_path / name, identity=True)) == before


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ValueError("x"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError(28, "No space left on device", "lib/x"), FaultError),
        (OSError("the connection broke"), OSError),
        (OwnershipError("owned-path", "x"), OwnershipError),
    ],
)
@pytest.mark.parametrize("kind", ["change", "create"])
def test_an_error_in_the_block_leaves_nothing(
    prefix: Path, tmp_path: Path, error: BaseException, raised: type[BaseException], kind: str
) -> None:
    before = tree_digest(tmp_path)

    def work() -> None:
        if kind == "change":
            with change(prefix) as transaction:
                write(transaction.staging, "bin/new", b"")
                raise error
        with create(tmp_path / "parent/other") as creation:
            write(creation.root, "bin/new", b"")
            raise error

    with pytest.raises(raised) as caught:
        work()
    assert caught.type is raised
    assert tree_digest(tmp_path) == before


def test_a_failed_early_sync_undoes_the_change(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system reports a failed write to the first sync only."""
    before, results = observe(prefix), iter([-1])

    def syncfs(descriptor: int) -> int:
        ctypes.set_errno(errno.EIO)
        return next(results, 0)

    monkeypatch.setattr(syncing, "_syncfs", lambda: syncfs)
    with change(prefix) as transaction:
        write(transaction.staging, "new", b"new")
        transaction.sync_early()
        with pytest.raises(FaultError):
            transaction.commit([PathChange(path="new", before=None, after=Fingerprint(kind="file"))])
    assert transaction.outcome in {"nothing", "restored"}
    assert observe(prefix) == before


def test_a_transaction_commits_once(prefix: Path) -> None:
    with change(prefix) as transaction:
        transaction.commit(())
        with pytest.raises(ValueError, match="is over"):
            transaction.commit(())
    with pytest.raises(ValueError, match="is over"):
        transaction.commit(())


def test_a_run_is_reproducible(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_NOW", "1500000000")
    monkeypatch.setenv("BRIDGE_TXN_ID", "fixed-id")
    killed(prefix, "commit.written")
    folder = prefix / OWN / "txn/fixed-id"
    assert pending(prefix) == "fixed-id"
    document = json.loads((folder / "plan.json").read_text())
    assert (document["id"], document["time"], document["plan"]) == ("fixed-id", 1500000000.0, {"specs": ["demo"]})
    states = [
        json.loads(line.partition(" ")[2])["state"] for line in (folder / "journal").read_text().split("\n") if line
    ]
    assert states == ["PLANNED", "STAGED", "SWAPPING", "COMMITTED"]
    monkeypatch.delenv("BRIDGE_TXN_ID")
    with change(prefix) as transaction:
        assert transaction.id.startswith("20170714T024000Z-")
    for name, value in {"BRIDGE_TXN_ID": "../escape", "BRIDGE_NOW": "yesterday"}.items():
        monkeypatch.setenv(name, value)
        with pytest.raises(UsageError), change(prefix):
            pass
        monkeypatch.delenv(name)


# Recovery


@pytest.mark.parametrize("failpoint", ["swap.rename_one", "record.conda_meta", "commit.pre_sync", "commit.synced"])
def test_the_next_change_recovers_first(prefix: Path, failpoint: str) -> None:
    killed(prefix, failpoint)
    with change(prefix) as transaction:
        expected = NEW if failpoint == "commit.synced" else OLD
        build(prefix.parent / "expected", expected)
        assert observe(prefix) == observe(prefix.parent / "expected")
        transaction.commit(())
    assert pending(prefix) is None


@pytest.mark.parametrize("failpoint", ["stage.file_write", "swap.rename_one", "commit.synced", "clean.one"])
def test_recovery_says_what_it_did_and_is_idempotent(prefix: Path, failpoint: str) -> None:
    before = observe(prefix, identity=True)
    killed(prefix, failpoint)
    identifier = pending(prefix)
    assert identifier
    first = recover(prefix)
    assert first.state == ("finished" if failpoint in {"commit.synced", "clean.one"} else "restored")
    assert first.transaction == identifier
    assert (observe(prefix, identity=True) == before) == (first.state == "restored")
    settled = observe(prefix, identity=True)
    assert recover(prefix).state == "nothing"
    assert observe(prefix, identity=True) == settled
    assert pending(prefix) is None


def edit(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(b"edited by a person")


@pytest.mark.parametrize(
    ("path", "work"),
    [
        ("bin/demo", edit),  # replaced
        ("bin/demo", lambda path: path.write_bytes(b"in place")),
        ("bin/demo2", edit),  # added
        ("lib/alias/c.txt", edit),  # added where a symlink was
        ("lib/alias/foreign", edit),  # what a symlink is to come back to is no longer ours alone
        ("lib/real", edit),  # a symlink where a directory was
        ("lib/libdemo.so.1", edit),  # removed
    ],
)
def test_a_foreign_edit_after_the_crash_is_not_undone(prefix: Path, path: str, work: Callable[[Path], object]) -> None:
    """X18: what lies there is neither as before nor as planned: exit 9, nothing deleted. Moved aside: recovered."""
    before = observe(prefix)
    killed(prefix, "commit.pre_sync")
    work(prefix / path)
    edited, kept = observe(prefix, identity=True), tree_digest(prefix / OWN)
    with pytest.raises(InterruptedPrefixError) as caught:
        recover(prefix)
    assert (caught.value.id, caught.value.exit_code) == ("recovery-conflict", 9)
    assert any(text.endswith(f": {path}") for text in caught.value.context)
    assert caught.value.hint
    assert f"bridge recover -p {prefix}" in caught.value.hint
    assert observe(prefix, identity=True) == edited
    assert tree_digest(prefix / OWN) == kept
    with pytest.raises(InterruptedPrefixError), change(prefix):
        pass
    (prefix / path).unlink()
    assert recover(prefix).state == "restored"
    assert observe(prefix) == before


def test_foreign_files_beside_ours_are_left_alone(prefix: Path) -> None:
    """A byte-code file that python wrote into a directory of ours keeps the directory, and nothing else."""
    before = observe(prefix)
    killed(prefix, "commit.pre_sync")
    foreign = "lib/python3.12/site-packages/demo/sub/foreign.pyc"
    (prefix / foreign).write_bytes(b"")
    assert recover(prefix).state == "restored"
    seen = observe(prefix)
    assert {path for path in seen if path not in before} == {foreign, foreign.rpartition("/")[0]}
    assert {path: seen[path] for path in before} == before


def test_a_copy_of_an_interrupted_prefix_recovers_by_hash(prefix: Path, tmp_path: Path) -> None:
    """Inodes tell nothing in a copy (a backup that was restored, an image): there the bytes decide."""
    before = observe(prefix)
    killed(prefix, "commit.pre_sync")
    shutil.copytree(prefix, tmp_path / "copy", symlinks=True)
    assert recover(tmp_path / "copy").state == "restored"
    assert observe(tmp_path / "copy") == before


def test_a_plan_that_was_torn_before_it_counted_is_waste(tmp_path: Path) -> None:
    """Power may go before the plan is on the disk: nothing was swapped then. After that, nobody can tell: exit 9."""
    for failpoint, is_settled in {"swap.backup_one": True, "commit.pre_sync": False}.items():
        prefix = tmp_path / failpoint
        build(prefix, OLD)
        before = observe(prefix, identity=True)
        killed(prefix, failpoint)
        (plan,) = prefix.glob(f"{OWN}/txn/*/plan.json")
        plan.write_bytes(b"")
        journal = plan.with_name("journal")
        journal.write_bytes(journal.read_bytes().partition(b"}\n")[0] + b"}\n")
        assert b"PLANNED" in journal.read_bytes()
        assert b"STAGED" not in journal.read_bytes()
        if is_settled:
            assert recover(prefix).state == "restored"
            assert observe(prefix, identity=True) == before
        else:
            after = tree_digest(prefix)
            with pytest.raises(InterruptedPrefixError):
                recover(prefix)
            assert tree_digest(prefix) == after


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@pytest.mark.parametrize("failpoint", ["plan.written", "journal.staged", "swap.rename_one:5", "commit.synced"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_journal_is_seen_and_the_disk_decides(tmp_path: Path, failpoint: str, damage: str) -> None:
    """X18: a torn or altered line does not count; what the disk and the plan say does, and it is never a mixture."""
    build(tmp_path / "start", OLD)
    build(tmp_path / "end", NEW)
    before, after = observe(tmp_path / "start"), observe(tmp_path / "end")
    killed(tmp_path / "start", failpoint)
    interrupted = tmp_path / "start"
    (journal,) = interrupted.glob(f"{OWN}/txn/*/journal")
    data = journal.read_bytes()
    step = max(1, len(data) // 16)
    damaged: dict[str, list[bytes | None]] = {
        "flip": [flipped(data, position) for position in range(0, len(data), step)],
        # Torn within a line, and lost from a line on, which leaves no trace.
        "cut": [data[:end] for end in range(len(data)) if end % step == 0 or data[end - 1 : end] == b"\n"],
        "gone": [None],
    }
    for number, text in enumerate(damaged[damage]):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(interrupted, copy, symlinks=True)
        target = copy / journal.relative_to(interrupted)
        target.unlink()
        if text is not None:
            target.write_bytes(text)
        state = recover(copy).state
        assert observe(copy) == (after if state == "finished" else before)
        assert state == "restored" or failpoint == "commit.synced"
        assert own(copy) == ([OWN, f"{OWN}/lock"] if state == "finished" else [])
        shutil.rmtree(copy)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "old", "new"])
def test_without_its_plan_a_swap_is_left_as_it_is(tmp_path: Path, damage: str) -> None:
    """Exit 9 and nothing deleted: where the plan is damaged, nobody knows what is whose."""
    build(tmp_path / "env", OLD)
    killed(tmp_path / "env", "swap.rename_one:5")
    (plan,) = (tmp_path / "env").glob(f"{OWN}/txn/*/plan.json")
    data = plan.read_bytes()
    damaged = {
        "flip": [flipped(data, position) for position in range(0, len(data), len(data) // 20)],
        "cut": [data[: len(data) // 2], b""],
    }
    for text in damaged.get(damage, [b""]):
        if damage in {"flip", "cut"}:
            plan.write_bytes(text)
        elif damage == "gone":
            plan.unlink()
        else:
            plan.with_name(damage).rename(plan.with_name("elsewhere"))
        before = tree_digest(tmp_path)
        with pytest.raises(InterruptedPrefixError) as caught:
            recover(tmp_path / "env")
        assert (caught.value.id, caught.value.exit_code) == ("journal-damaged", 9)
        assert tree_digest(tmp_path) == before


def test_what_a_newer_bridge_began_is_left_to_it(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        monkeypatch.setattr("bridge.transaction.commit.FORMAT", 2)
        faults.arm("swap.rename_one=kill")
        run(prefix, WORKLOADS["upgrade"], "none")

    assert in_child(work) == -signal.SIGKILL
    with pytest.raises(InterruptedPrefixError) as caught:
        recover(prefix)
    assert caught.value.id == "journal-newer"


def test_recovering_nothing_writes_nothing(tmp_path: Path) -> None:
    build(tmp_path / "env", OLD)
    (tmp_path / "env/conda-meta").chmod(0o555)
    before = tree_digest(tmp_path)
    assert recover(tmp_path / "env").state == "nothing"
    assert recover(tmp_path).state == "nothing"
    assert tree_digest(tmp_path) == before
    for call in (recover, pending):
        with pytest.raises(FaultError) as caught:
            call(tmp_path / "absent")
        assert caught.value.id == "not-found"


# Locking


@contextmanager
def held(prefix: Path) -> Iterator[int]:
    """Another process that is within a transaction; its process id."""
    code = (
        "import sys, time; from pathlib import Path; from bridge.transaction.commit import change\n"
        f"with change(Path({str(prefix)!r}), durability='none') as transaction:\n"
        "    (transaction.staging / 'x').write_bytes(b'')\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    try:
        yield process.pid
    finally:
        process.kill()
        process.communicate()


def test_who_waits_too_long_is_told(prefix: Path) -> None:
    with held(prefix):
        began = time.monotonic()
        with pytest.raises(PrefixLockedError) as caught, change(prefix, lock_timeout=0.2):
            pass
        assert 0.2 <= time.monotonic() - began < 5
        assert (caught.value.id, caught.value.exit_code) == ("prefix-locked", 8)
        with pytest.raises(PrefixLockedError):
            recover(prefix, lock_timeout=0)
        # A transaction under way is not an interrupted one.
        assert pending(prefix) is None
        # Within one process too, the second waits for the first.
    with change(prefix), pytest.raises(PrefixLockedError), change(prefix, lock_timeout=0):
        pass


def test_the_lock_of_a_killed_process_is_free_at_once(prefix: Path) -> None:
    """X21: the kernel releases it; nothing is believed of a file that is left."""
    before = observe(prefix, identity=True)
    with held(prefix) as owner:
        os.kill(owner, signal.SIGKILL)
        with change(prefix, lock_timeout=10):
            pass
    assert observe(prefix, identity=True) == before
    assert own(prefix) == []


def test_changes_of_one_prefix_come_one_after_the_other(tmp_path: Path) -> None:
    """X19: eight processes, each of which reads a number and commits the next one; none is lost."""
    build(tmp_path / "env", {"number": b"0"})
    prefix = tmp_path / "env"

    def work() -> None:
        for _ in range(6):
            with change(prefix, durability="none") as transaction:
                before = fs.fingerprint(prefix, "number")
                number = int((prefix / "number").read_bytes())
                after = fs.write_file(transaction.staging, "number", [b"%d" % (number + 1)])
                transaction.commit([PathChange(path="number", before=before, after=after)])

    assert in_children(8, work) == [0] * 8
    assert (prefix / "number").read_bytes() == b"48"
    assert own(prefix) == [OWN, f"{OWN}/lock"]


def test_uncommitted_changes_at_once_take_away_only_their_own(tmp_path: Path) -> None:
    """The lock's folder is made and removed by each in turn: none loses the lock that another holds."""
    build(tmp_path / "env", {"etc/user.conf": b""})
    prefix, before = tmp_path / "env", tree_digest(tmp_path)

    def work() -> None:
        for _ in range(25):
            with change(prefix, durability="none") as transaction:
                marker = tmp_path / "inside"
                os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
                assert transaction.staging.is_dir()
                marker.unlink()

    assert in_children(4, work) == [0] * 4
    assert tree_digest(tmp_path) == before


def test_a_signal_ends_the_waiting(prefix: Path) -> None:
    def work() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
        with change(prefix, lock_timeout=60):
            pass

    with held(prefix):
        began = time.monotonic()
        assert in_child(work) == -signal.SIGTERM
        assert time.monotonic() - began < 10


# Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_undoes_the_change_and_then_acts(prefix: Path, number: signal.Signals) -> None:
    """X05: the shell sees what it would have seen without us: 130, 143, 129."""
    before = observe(prefix, identity=True)

    def work() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with change(prefix) as transaction:
            write(transaction.staging, "bin/new", b"")
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(number))
            time.sleep(60)

    assert in_child(work) == -number
    assert observe(prefix, identity=True) == before
    assert own(prefix) == []


def test_handlers_of_others_are_kept_and_called(prefix: Path) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        mine = signal.getsignal(signal.SIGTERM)
        with change(prefix) as transaction:
            signal.raise_signal(signal.SIGHUP)  # it was ignored, and still is
            write(transaction.staging, "bin/new", b"")
        assert signal.getsignal(signal.SIGTERM) is mine

        def work() -> None:
            with change(prefix):
                signal.raise_signal(signal.SIGTERM)

        # The handler returned, but the change cannot go on.
        with pytest.raises(SystemExit) as caught:
            work()
        assert caught.value.code == 128 + signal.SIGTERM
        assert seen == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt), change(prefix):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)
    assert own(prefix) == []


# New prefixes


def lay(path: Path, kind: str) -> None:
    if kind == "file":
        path.write_bytes(b"")
    elif kind == "link":
        path.with_name("real").mkdir()
        path.symlink_to("real")
    elif kind == "full":
        path.mkdir()
        (path / "x").write_bytes(b"")


@pytest.mark.parametrize("kind", ["file", "link", "full"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_new_prefix_takes_the_place_of_nothing(tmp_path: Path, kind: str, when: str) -> None:
    prefix = tmp_path / "env"

    def work() -> None:
        with create(prefix) as creation:
            write(creation.root, "bin/x", b"")
            lay(prefix, kind)
            creation.publish()

    if when == "before":
        lay(prefix, kind)
        before = tree_digest(tmp_path)
        with pytest.raises(OwnershipError) as caught, create(prefix):
            pass
        assert tree_digest(tmp_path) == before
    else:
        with pytest.raises(OwnershipError) as caught:
            work()
    assert (caught.value.id, caught.value.exit_code) == ("prefix-exists", 4)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_new_prefix_may_take_the_place_of_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    run(tmp_path / "env", WORKLOADS["create"])
    build(tmp_path / "expected", NEW)
    assert observe(tmp_path / "env") == observe(tmp_path / "expected")


def test_an_unpublished_prefix_leaves_nothing_not_even_its_parents(tmp_path: Path) -> None:
    with create(tmp_path / "a/b/env") as creation:
        write(creation.root, "bin/x", b"")
        assert creation.root.parent == tmp_path / "a/b"
        assert creation.root.name.startswith(".env.bridge-new-")
        assert creation.prefix == tmp_path / "a/b/env"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FaultError) as caught, create(Path("/proc/none/env")):
        pass
    assert caught.value.exit_code == 7


@pytest.mark.parametrize("failpoint", ["stage.mkdir", "lock.acquired", "stage.file_write", "commit.pre_sync"])
def test_what_a_killed_creation_left_goes_with_the_next(tmp_path: Path, failpoint: str) -> None:
    killed(tmp_path / "env", failpoint, WORKLOADS["create"])
    killed(tmp_path / "other", failpoint, WORKLOADS["create"])
    assert sorted(path.name.partition(".bridge-new-")[0] for path in tmp_path.iterdir()) == [".env", ".other"]
    run(tmp_path / "env", WORKLOADS["create"])
    assert sorted(path.name.partition(".bridge-new-")[0] for path in tmp_path.iterdir()) == [".other", "env"]


def test_a_folder_that_cannot_be_made_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOENT from mkdir is no other creation that took the new folder away: it was never there."""
    calls = []
    mkdir = os.mkdir

    def refused(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if ".bridge-new-" in os.fspath(path):
            calls.append(path)
            assert len(calls) < 10, "it tries for ever"
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        mkdir(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", refused)
    with pytest.raises(FaultError) as caught, create(tmp_path / "a/env"):
        pass
    assert caught.value.id == "not-found"
    assert len(calls) == 1
    assert not (tmp_path / "a").exists()


def test_creations_at_work_are_left_alone_and_one_wins(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    with create(prefix) as first:
        write(first.root, "first", b"")
        with create(prefix) as second:
            assert (first.root / "first").exists()
            write(second.root, "second", b"")
            second.publish()
        with pytest.raises(OwnershipError):
            first.publish()
    assert [path.name for path in prefix.iterdir() if path.name != "conda-meta"] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_many_creations_at_once(tmp_path: Path) -> None:
    def work() -> None:
        for number in range(10):
            try:
                with create(tmp_path / f"env{number}", durability="none") as creation:
                    write(creation.root, "a", b"")
                    write(creation.root, "b", b"")
                    creation.publish()
            except OwnershipError:
                continue

    assert in_children(4, work) == [0] * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"env{number}" for number in range(10)]
    assert all({path.name for path in prefix.iterdir()} == {"a", "b", "conda-meta"} for prefix in tmp_path.iterdir())


# Properties

NAMES = st.sampled_from(["a", "b", "conda-meta", "x.dist-info"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join).filter(lambda path: path != "conda-meta")
NODES: st.SearchStrategy[Node] = st.one_of(st.binary(max_size=3), st.sampled_from(["a", "../b", "nowhere"]), st.none())


def plausible(nodes: dict[str, Node]) -> dict[str, Node]:
    """Without what lies below a file or a symlink, and directories that are there anyway."""
    leaves = {path for path, node in nodes.items() if node is not None}
    kept = {
        path: node
        for path, node in nodes.items()
        if not any(path.startswith(f"{leaf}/") for leaf in leaves) and path != "conda-meta"
    }
    return {
        path: node
        for path, node in kept.items()
        if node is not None or not any(other.startswith(f"{path}/") for other in kept)
    }


TREES = st.dictionaries(PATHS, NODES, max_size=8).map(plausible)


@settings(max_examples=60, deadline=None)
@given(states=st.lists(TREES, min_size=2, max_size=4))
def test_a_prefix_is_what_its_changes_make_it(states: list[dict[str, Node]]) -> None:
    """MUST: after each commit the tree is what was asked for, whatever changes its kind."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        prefix = Path(folder, "env")
        build(prefix, states[0])
        (prefix / "conda-meta").mkdir(exist_ok=True)
        for before, after in pairwise(states):
            run(prefix, Workload(before=before, after=after), "none")
            expected = Path(folder, "expected")
            build(expected, after)
            (expected / "conda-meta").mkdir(exist_ok=True)
            assert observe(prefix) == observe(expected)
            shutil.rmtree(expected)


FAULTS = sorted(name for name in faults.FAILPOINTS if not name.startswith(("recover.", "lock.released", "cache.p")))


@settings(max_examples=80, deadline=None)
@given(
    before=TREES,
    after=TREES,
    name=st.sampled_from(FAULTS),
    turn=st.integers(1, 4),
    action=st.sampled_from(["enospc", "eio", "exit"]),
)
def test_a_fault_anywhere_leaves_one_or_the_other(
    before: dict[str, Node], after: dict[str, Node], name: str, turn: int, action: str
) -> None:
    """MUST: an exception before COMMITTED restores BEFORE, inodes and times included; past it, AFTER is finished."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        prefix = Path(folder, "env")
        build(prefix, before)
        (prefix / "conda-meta").mkdir(exist_ok=True)
        begun, failed = observe(prefix, identity=True), False
        faults.arm(f"{name}:{turn}={action}")
        try:
            run(prefix, Workload(before=before, after=after), "none")
        except FaultError:
            failed = True
        except SystemExit:
            failed = before != after and observe(prefix, identity=True) == begun
            if name.startswith("clean."):
                recover(prefix)  # What ends the cleaning is no fault that it is to survive; it leaves waste.
        finally:
            faults.arm(None)
        assert pending(prefix) is None
        if failed:
            assert observe(prefix, identity=True) == begun
            assert own(prefix) == []
        else:
            expected = Path(folder, "expected")
            build(expected, after)
            (expected / "conda-meta").mkdir(exist_ok=True)
            assert observe(prefix) == observe(expected)


def test_errors_of_the_system_are_told_with_what_became_of_the_prefix(prefix: Path) -> None:
    before = observe(prefix, identity=True)
    faults.arm("swap.rename_one:3=enospc")
    with pytest.raises(FaultError) as caught:
        run(prefix, WORKLOADS["upgrade"])
    assert (caught.value.id, caught.value.exit_code) == ("no-space", 7)
    assert caught.value.context[-1] == f"{prefix} is as it was before"
    assert observe(prefix, identity=True) == before

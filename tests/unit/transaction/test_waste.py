"""What is left over: files that a file server keeps while they are open, and environments whose making was killed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bridge import fs
from bridge.errors import FaultError, PrefixLockedError
from bridge.transaction.commit import change
from bridge.transaction.creation import clear_killed, create
from bridge.transaction.recovery import recover
from bridge.transaction.waiting import pending
from tests.fault.workloads import NEW, OLD, SITE, WORKLOADS, build, changes, observe, run, write
from tests.support.command_line import Bridge
from tests.unit.transaction.test_transaction import killed


class FileServer:
    """Removes files as a client of NFS does: one that is open gets a name `.nfs…`, which goes when it is closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open: set[int] = set()
        self._unlink = os.unlink
        monkeypatch.setattr(os, "unlink", self.unlink)

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        inode = os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_ino
        if inode not in self.open:
            self._unlink(path, dir_fd=dir_fd)
        elif os.path.basename(path).startswith(".nfs"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        else:
            os.rename(path, f".nfs{inode:016x}0000000a", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    def close(self, root: Path) -> None:
        """The processes end: what was kept for them goes."""
        self.open.clear()
        for path in root.rglob(".nfs*"):
            path.unlink()


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    build(tmp_path / "env", OLD)
    build(tmp_path / "expected", NEW)
    return tmp_path / "env"


def test_a_committed_change_is_over_though_old_files_are_open(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = FileServer(monkeypatch)
    server.open |= {(prefix / path).stat().st_ino for path in (f"{SITE}/demo/__init__.py", "lib/real/deep/b.txt")}
    run(prefix, WORKLOADS["upgrade"])
    assert observe(prefix) == observe(prefix.parent / "expected")
    assert len(list((prefix / "conda-meta/.bridge/txn").rglob(".nfs*"))) == 2
    assert pending(prefix) is None
    assert recover(prefix).state == "nothing"
    with change(prefix):
        pass
    server.close(prefix)
    assert recover(prefix).state == "nothing"
    assert not (prefix / "conda-meta/.bridge/txn").exists()


def test_an_undone_change_is_over_though_new_files_are_open(prefix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(prefix.parent / "before", OLD)
    server = FileServer(monkeypatch)

    def looked_at() -> None:
        server.open.add((prefix / f"{SITE}/demo/sub/new.py").stat().st_ino)
        raise OSError(errno.EIO, "on purpose")

    todo = changes(OLD, NEW)
    with change(prefix) as transaction:
        for one in todo:
            if one.after is not None:
                write(transaction.staging, one.path, NEW.get(one.path))
        with pytest.raises(FaultError):
            transaction.commit(todo, swapped=looked_at)
    assert observe(prefix) == observe(prefix.parent / "before")
    assert pending(prefix) is None


def test_a_directory_that_becomes_a_link_takes_what_is_kept_open_along(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FileServer(monkeypatch)
    kept = prefix / "lib/real/.nfs00000000000000010000000a"
    kept.write_bytes(b"still open")
    server.open.add(kept.stat().st_ino)
    run(prefix, WORKLOADS["upgrade"])
    assert observe(prefix) == observe(prefix.parent / "expected")
    assert pending(prefix) is None


def test_what_is_no_kept_file_is_never_taken_for_one(tmp_path: Path) -> None:
    assert fs.is_kept_open(".nfs000000000c0be5a2000000b3")
    assert fs.is_kept_open(".fuse_hidden0000000400000002")
    assert not any(map(fs.is_kept_open, [".nfs", ".nfsrc", "nfs0000", ".nfs-config", "x.nfs0001"]))
    with change(tmp_path) as transaction:
        assert not transaction.keeps_open


@pytest.mark.parametrize("failpoint", ["stage.mkdir", "lock.acquired", "stage.file_write", "commit.pre_sync"])
def test_recover_clears_what_a_killed_creation_left(tmp_path: Path, failpoint: str) -> None:
    killed(tmp_path / "env", failpoint, WORKLOADS["create"])
    killed(tmp_path / "other", failpoint, WORKLOADS["create"])
    bridge = Bridge.of_folder(tmp_path)
    done = bridge("recover", "-p", tmp_path / "env", "--json")
    assert done.status == 0, done.err
    assert done.document["state"] == "restored"
    assert done.document["transaction"]
    assert not list(tmp_path.glob(".env.*"))
    assert list(tmp_path.glob(".other.*"))
    assert bridge("recover", "-p", tmp_path / "env").status == 2, "there is nothing any more"


def test_recover_clears_beside_an_environment_that_is_there(tmp_path: Path) -> None:
    killed(tmp_path / "env", "stage.file_write", WORKLOADS["create"])
    build(tmp_path / "env", OLD)
    done = Bridge.of_folder(tmp_path)("recover", "-p", tmp_path / "env", "--json")
    assert (done.status, done.document["state"]) == (0, "restored")
    assert not list(tmp_path.glob(".env.*"))


def test_a_creation_that_is_at_work_is_left_alone(tmp_path: Path) -> None:
    killed(tmp_path / "env", "stage.file_write", WORKLOADS["create"])
    with create(tmp_path / "env") as creation:
        fs.write_file(creation.root, "bin/x", [b"x"])
        with pytest.raises(PrefixLockedError):
            clear_killed(tmp_path / "env")
        assert (creation.root / "bin/x").exists()
        creation.publish()
    assert (tmp_path / "env/bin/x").exists()
    assert clear_killed(tmp_path / "env") == ()

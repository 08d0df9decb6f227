"""Link modes: what environments share with the cache, and that a write in one of them never reaches a new one."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bridge import fs
from bridge.cache.prune import inspect, prune
from bridge.cache.wheels import WheelStore
from bridge.errors import FaultError
from bridge.fs.linking import LinkMode, clone_file, copy_file, stamp_of
from bridge.install import staging as link
from bridge.install.staging import StagedPlan
from tests.support.builders import make_wheel, tree_digest
from tests.support.command_line import Bridge
from tests.support.disks import formatted, shared_bytes
from tests.support.environments import SITE, Environment

LARGE = bytes(range(256)) * 400  # not a multiple of a block
FILES = {
    "pkg/__init__.py": b"x = 1\n",
    "pkg/large.bin": LARGE,
    "pkg/run.sh": b"#!/bin/sh\n",
    "pkg/other.py": b"x = 1\n",
}


class Machine:
    """A cache, and environments beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.store = WheelStore(self.cache / "unpacked", root=self.cache)
        self.wheel = make_wheel(
            folder, "pkg", "1.0", files=FILES, console_scripts={"pkg": "pkg:main"}, executable=["pkg/run.sh"]
        )

    def stage(self, name: str, mode: LinkMode, cache: Path | None = None) -> tuple[Path, StagedPlan]:
        environment = Environment(self.folder / name / "env")
        task = environment.task([self.wheel])
        (identity,) = task.archives
        sha256 = hashlib.sha256(self.wheel.read_bytes()).hexdigest()
        _, unpacked = self.store.check(self.wheel, filename=self.wheel.name, sha256=sha256)
        assert unpacked is not None
        task = replace(task, unpacked={identity: unpacked}, cache=cache or self.cache, link_mode=mode)
        staging = self.folder / name / "new"
        staging.mkdir()
        return staging, link.stage(task, staging, self.folder / name / "scratch")


def files_of(staging: Path) -> dict[str, os.stat_result]:
    found = (path for path in staging.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(staging).as_posix(): path.stat() for path in found}


def contents(staging: Path) -> dict[str, object]:
    """The tree without what names the environment."""
    return {
        path: seen
        for path, seen in tree_digest(staging).items()
        if not path.startswith(("conda-meta", "bin")) and not path.endswith("RECORD")
    }


def test_hard_links_lead_to_one_file_for_each_content_and_mode(tmp_path: Path) -> None:
    """MUST: never those of files that pip, python or bridge write: scripts, and what is in a dist-info."""
    machine = Machine(tmp_path)
    (first, staged), (second, _) = machine.stage("a", "hardlink"), machine.stage("b", "hardlink")
    copied, _ = machine.stage("c", "copy")
    assert contents(first) == contents(second) == contents(copied)
    assert not staged.has_copied
    one, other = files_of(first), files_of(second)
    same = {path for path in one if one[path].st_ino == other[path].st_ino}
    assert same == {path for path in one if path.startswith(SITE) and ".dist-info/" not in path}
    assert one[f"{SITE}/pkg/other.py"].st_ino == one[f"{SITE}/pkg/__init__.py"].st_ino
    assert one[f"{SITE}/pkg/run.sh"].st_mode & 0o777 == 0o755
    assert all(found.st_nlink == 1 for found in files_of(copied).values())


@pytest.mark.parametrize("harm", ["write", "append", "chmod", "truncate"])
def test_an_edit_in_one_environment_never_reaches_a_new_one(tmp_path: Path, harm: str) -> None:
    machine = Machine(tmp_path)
    first, _ = machine.stage("a", "hardlink")
    edited = first / SITE / "pkg/__init__.py"
    if harm == "chmod":
        edited.chmod(0o600)
    elif harm == "truncate":
        os.truncate(edited, 0)
    else:
        with edited.open("r+b" if harm == "write" else "ab") as stream:
            stream.write(b"y = 2\n")
    status, data = edited.stat(), edited.read_bytes()
    second, _ = machine.stage("b", "hardlink")
    third, _ = machine.stage("c", "hardlink")
    assert (second / SITE / "pkg/__init__.py").read_bytes() == FILES["pkg/__init__.py"]
    assert contents(second) == contents(third)
    found = edited.stat()
    assert (found.st_ino, found.st_mode, found.st_mtime_ns) == (status.st_ino, status.st_mode, status.st_mtime_ns)
    assert edited.read_bytes() == data
    assert (second / SITE / "pkg/__init__.py").samefile(third / SITE / "pkg/__init__.py")


def test_where_hard_links_cannot_be_files_are_copied(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    cache = elsewhere / f"bridge-test-{os.getpid()}"
    try:
        staging, staged = machine.stage("a", "hardlink", cache)
    finally:
        for path in sorted(cache.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        cache.rmdir()
    assert staged.has_copied
    assert all(found.st_nlink == 1 for found in files_of(staging).values())


def test_a_file_with_too_many_names_is_replaced_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ext4 gives an inode 65,000 names; here 1,000 are the most."""
    machine = Machine(tmp_path)
    first, _ = machine.stage("a", "hardlink")
    crowded = first / SITE / "pkg/__init__.py"
    (tmp_path / "names").mkdir()
    for number in range(1000 - crowded.stat().st_nlink):
        os.link(crowded, tmp_path / "names" / str(number))
    link_ = os.link

    def limited(
        source: str,
        target: str,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        if os.stat(source, dir_fd=src_dir_fd, follow_symlinks=False).st_nlink >= 1000:
            raise OSError(errno.EMLINK, os.strerror(errno.EMLINK))
        link_(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "link", limited)
    second, staged = machine.stage("b", "hardlink")
    assert not staged.has_copied
    new = second / SITE / "pkg/__init__.py"
    assert new.read_bytes() == crowded.read_bytes()
    assert not new.samefile(crowded)
    assert new.samefile(second / SITE / "pkg/other.py")
    assert crowded.stat().st_nlink == 999  # without its name in the cache


def test_pruning_leaves_what_environments_share(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    staging, _ = machine.stage("a", "hardlink")
    count = len(list((machine.cache / "linked").rglob("*-*")))
    assert count == len({found.st_ino for found in files_of(staging).values() if found.st_nlink > 1})
    assert {part.name: part.files for part in inspect(machine.cache).parts}["linked"] == count
    now = os.stat(machine.cache).st_mtime + 10
    (staging / SITE / "pkg/large.bin").unlink()
    (staging / SITE / "pkg/run.sh").write_bytes(b"edited")
    (damaged,) = prune(machine.cache, before=0, now=now).damaged
    assert damaged.endswith(f"{hashlib.sha256(FILES['pkg/run.sh']).hexdigest()}-755")
    prune(machine.cache, before=now, now=now)
    left = {path.name for path in (machine.cache / "linked").rglob("*-*")}
    assert f"{hashlib.sha256(LARGE).hexdigest()}-644" not in left
    assert f"{hashlib.sha256(FILES['pkg/__init__.py']).hexdigest()}-644" in left


@pytest.mark.parametrize("kind", ["btrfs", "xfs"])
def test_clones_share_blocks_and_nothing_else(tmp_path: Path, kind: str) -> None:
    with formatted(kind, tmp_path) as root:
        machine = Machine(root)
        (staging, staged), (plain, _) = machine.stage("a", "auto"), machine.stage("b", "copy")
        assert contents(staging) == contents(plain)
        assert not staged.has_copied
        large = staging / SITE / "pkg/large.bin"
        os.sync()
        assert shared_bytes(large) >= len(LARGE)
        assert shared_bytes(plain / SITE / "pkg/large.bin") == 0
        large.write_bytes(b"edited")
        with large.open("r+b") as stream:
            stream.write(b"edited")
        again, _ = machine.stage("c", "clone")
        assert (again / SITE / "pkg/large.bin").read_bytes() == LARGE
        # Somebody wrote to the cache: nothing is cloned from it any more, but copied, and checked.
        (unpacked,) = machine.cache.rglob("*.unpacked")
        data = bytearray(unpacked.read_bytes())
        position = data.find(LARGE)
        assert position % 4096 == 0
        data[position] ^= 1
        unpacked.write_bytes(data)
        mended, _ = machine.stage("d", "clone")
        assert (mended / SITE / "pkg/large.bin").read_bytes() == LARGE


def test_clones_that_cannot_be_are_copies(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    staging, staged = machine.stage("a", "clone")
    plain, _ = machine.stage("b", "copy")
    assert contents(staging) == contents(plain)
    (unpacked,) = machine.cache.rglob("*.unpacked")
    assert unpacked.stat().st_mtime == stamp_of(unpacked.stem)
    if staged.has_copied:
        assert shared_bytes(staging / SITE / "pkg/large.bin") == 0


@pytest.mark.parametrize("mode", ["auto", "copy"])
def test_what_was_written_to_the_cache_reaches_no_environment(tmp_path: Path, mode: LinkMode) -> None:
    machine = Machine(tmp_path)
    machine.stage("a", mode)
    (unpacked,) = machine.cache.rglob("*.unpacked")
    data = bytearray(unpacked.read_bytes())
    data[data.find(LARGE)] ^= 1
    unpacked.write_bytes(data)
    if mode == "copy":  # which compares hashes, whatever the time says
        os.utime(unpacked, (stamp_of(unpacked.stem),) * 2)
    staging, _ = machine.stage("b", mode)
    assert (staging / SITE / "pkg/large.bin").read_bytes() == LARGE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux clones")
def test_a_file_that_cannot_be_removed_after_a_refused_clone_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the copy that is made instead would be refused, as if somebody had put a file there."""

    def refuse(number: int) -> Callable[..., object]:
        def call(*_: object, **__: object) -> object:
            raise OSError(number, os.strerror(number))

        return call

    (tmp_path / "source").write_bytes(LARGE)
    monkeypatch.setattr("bridge.fs.linking.ioctl", refuse(errno.EOPNOTSUPP))
    monkeypatch.setattr(fs.WritableTree, "unlink", refuse(errno.EACCES))
    with (tmp_path / "source").open("rb") as source, fs.WritableTree(tmp_path) as tree, pytest.raises(FaultError):
        clone_file(tree, "new", source.fileno(), 0, 20_000, mode=0o644)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux copies between files")
def test_the_system_copies_a_part_of_a_file_or_makes_none(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(LARGE)
    descriptor = os.open(tmp_path / "source", os.O_RDONLY)
    try:
        with fs.WritableTree(tmp_path) as tree:
            assert copy_file(tree, "sub/part", descriptor, 7, 20_000, mode=0o751)
            assert (tmp_path / "sub/part").read_bytes() == LARGE[7:20_007]
            assert (tmp_path / "sub/part").stat().st_mode & 0o7777 == 0o751
            assert copy_file(tree, "empty", descriptor, 7, 0, mode=0o644)
            assert (tmp_path / "empty").read_bytes() == b""
            assert not copy_file(tree, "longer", descriptor, 7, len(LARGE), mode=0o644)
            assert not (tmp_path / "longer").exists()
    finally:
        os.close(descriptor)


@pytest.mark.slow
def test_an_audit_tells_what_shares_an_edit(tmp_path: Path) -> None:
    """MUST: old environments are told; a new one, made after the edit, is sound."""
    wheel = make_wheel(tmp_path, "pkg", "1.0", files=FILES)
    bridge = Bridge(cache=tmp_path / "cache", index=None, folder=tmp_path)
    prefixes = [Environment(tmp_path / name / "env").root for name in "abc"]
    for prefix in prefixes[:2]:
        done = bridge("install", "-p", str(prefix), "--link-mode", "hardlink", str(wheel))
        assert done.status == 0, done.err
    with (prefixes[0] / SITE / "pkg/large.bin").open("r+b") as stream:
        stream.write(b"edited")

    def told(prefix: Path) -> dict[str, str]:
        findings = bridge("audit", "-p", str(prefix), "--json").document["findings"]
        return {each["evidence"]: each["path"] for each in findings if each["id"] == "edited-through-link"}

    for prefix in prefixes[:2]:
        ((evidence, path),) = told(prefix).items()
        assert path == f"{SITE}/pkg/large.bin"
        assert "/cache/linked/" in evidence
        assert "in 1 more file(s)" in evidence
    assert bridge("install", "-p", str(prefixes[2]), "--link-mode", "hardlink", str(wheel)).status == 0
    assert told(prefixes[2]) == {}
    assert ["1 more file(s)" in evidence for prefix in prefixes[:2] for evidence in told(prefix)] == [True, True]
    bridge("audit", "-p", str(prefixes[1]), "--fix")
    assert (prefixes[1] / SITE / "pkg/large.bin").read_bytes() == LARGE

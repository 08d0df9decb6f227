"""What recovery compares, counts and syncs, and what is written down for it."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from bridge import faults
from bridge.errors import FaultError, InterruptedPrefixError, OwnershipError
from bridge.fs import Durability, WritableTree
from bridge.model import Fingerprint, PathChange
from bridge.paths import OWN
from bridge.transaction.commit import change
from bridge.transaction.journal import Identity, Step, Swap, line, read_swap, write_swap
from bridge.transaction.recovery import recover
from tests.fault.workloads import MEMORY, OLD, WORKLOADS, Workload, build, observe, run

TRANSACTIONS = f"{OWN}/txn"


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as path:
        yield Path(path)


def killed(prefix: Path, workload: Workload) -> None:
    """Make the prefix, and leave it as a process does that is killed after all renames of the workload."""
    assert workload.before is not None
    build(prefix, workload.before)
    child = os.fork()
    if child == 0:
        try:
            faults.arm("commit.pre_sync=kill")
            run(prefix, workload, "none")
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_plan_is_read_as_it_was_written() -> None:
    after = Fingerprint(kind="file", sha256="0" * 64, size=3, mode=0o644)
    step = Step(
        change=PathChange(path="a", before=Fingerprint(kind="directory"), after=after, owner="demo", is_record=True),
        staged=Identity(inode=11, size=22, mtime=33),
        emptied=(("a", 0o755), ("a/b", 0o700)),
    )
    swap = Swap(steps=(step,), made=(("c", None), ("c/d", 0o755)), prunable=("e/f", "e"))
    assert read_swap(write_swap(swap)) == swap


def test_a_line_of_the_journal_is_the_same_whatever_the_order_of_its_facts() -> None:
    assert line("STAGED", zebra=1, apple=2) == line("STAGED", apple=2, zebra=1)


@pytest.mark.parametrize(("path", "failpoint"), [
    ("conda-meta/demo-1.0-0.json", "record.conda_meta"),
    ("conda-meta/history", "record.history"),
    ("lib/demo-1.0.dist-info/RECORD", "record.dist_info"),
])  # fmt: skip
def test_each_kind_of_record_is_a_failpoint_of_its_own(folder: Path, path: str, failpoint: str) -> None:
    """`docs/reliability.md` names them; the tests of faults inject errors there."""
    workload = Workload(before={}, after={path: b"{}"})
    for number, each in enumerate(("record.conda_meta", "record.history", "record.dist_info")):
        prefix = folder / str(number)
        build(prefix, {})
        faults.arm(f"{each}=eio")
        try:
            with pytest.raises(FaultError) if each == failpoint else nullcontext():
                run(prefix, workload, "none")
        finally:
            faults.arm(None)
        assert (prefix / path).exists() is (each != failpoint)


@pytest.mark.parametrize(("count", "rest"), [(10, None), (11, "and 1 more"), (21, "and 11 more")])
def test_ten_conflicts_are_named_and_the_others_counted(folder: Path, count: int, rest: str | None) -> None:
    names = [f"lib/{number}" for number in range(count)]
    killed(folder / "env", Workload(before=dict.fromkeys(names, b"old"), after=dict.fromkeys(names, b"new")))
    for name in names:
        (folder / "env" / name).write_bytes(b"edited")
    with pytest.raises(InterruptedPrefixError) as caught:
        recover(folder / "env")
    context = caught.value.context
    assert sum(text.startswith("changed since") for text in context) == 10
    assert [text for text in context if text.startswith("and ")] == ([] if rest is None else [rest])


def test_a_directory_in_place_of_an_added_file_is_a_conflict(folder: Path) -> None:
    killed(folder / "env", WORKLOADS["upgrade"])
    added = folder / "env/bin/demo2"
    added.unlink()
    added.mkdir()
    (added / "own").write_bytes(b"of the user")
    with pytest.raises(InterruptedPrefixError) as caught:
        recover(folder / "env")
    assert caught.value.id == "recovery-conflict"
    assert any(text.endswith(": bin/demo2") for text in caught.value.context)
    assert (added / "own").read_bytes() == b"of the user"


def test_replaced_inodes_are_kept_aside_until_everything_is_restored(folder: Path) -> None:
    """Several threads remove them in the end, which takes less time than to drop each by a rename."""
    killed(folder / "env", Workload(before={"lib/a": b"old"}, after={"lib/a": b"new"}))
    faults.arm("recover.undo_one=eio")
    try:
        with pytest.raises(InterruptedPrefixError):
            recover(folder / "env")
    finally:
        faults.arm(None)
    assert [path.read_bytes() for path in (folder / "env" / TRANSACTIONS).glob("*/undone/*")] == [b"new"]
    assert recover(folder / "env").state == "restored"
    assert (folder / "env/lib/a").read_bytes() == b"old"


@pytest.mark.parametrize(("durability", "is_synced"), [("full", True), ("batched", True), ("none", False)])
def test_recovery_syncs_the_directory_of_transactions(
    folder: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability, is_synced: bool
) -> None:
    killed(folder / "env", WORKLOADS["upgrade"])
    sync, synced = WritableTree.sync, list[str]()

    def noting(tree: WritableTree, paths: Iterable[str]) -> None:
        noted = [*paths]
        synced.extend(noted)
        sync(tree, noted)

    monkeypatch.setattr(WritableTree, "sync", noting)
    assert recover(folder / "env", durability=durability).state == "restored"
    assert (TRANSACTIONS in synced) is is_synced


def test_a_path_below_a_recorded_file_is_refused(folder: Path) -> None:
    """The records contradict each other: `lib/kind` is a file, and there is a directory below it."""
    build(folder / "env", OLD)
    before = observe(folder / "env", identity=True)
    file = PathChange(path="lib/kind", before=Fingerprint(kind="file"), after=None)
    below = PathChange(path="lib/kind/sub", before=Fingerprint(kind="directory"), after=None)
    with pytest.raises(OwnershipError) as caught, change(folder / "env") as transaction:
        transaction.commit([file, below])
    assert caught.value.id == "changed-meanwhile"
    assert "lib/kind is recorded as no directory" in caught.value.message
    assert observe(folder / "env", identity=True) == before

"""One change of a prefix: stage, compare, swap, record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from bridge.errors import FaultError, InterruptedPrefixError
from bridge.faults import failpoint, fault, faults
from bridge.fs import Durability, WritableTree, publish_file
from bridge.fs.durability import EarlySync, sync_one, sync_renames, sync_staged
from bridge.model import PathChange
from bridge.transaction.examine import changed_directories, examine
from bridge.transaction.guard import Reserve, Signals, hold
from bridge.transaction.journal import FORMAT, State, line, new_identifier, now, write_swap
from bridge.transaction.recovery import Recovery, clear, settle, settle_all
from bridge.transaction.swap import backup, perform
from bridge.transaction.waiting import TRANSACTIONS

__all__ = ["Transaction", "change"]


class Transaction:
    """One change of a prefix, created by `change`.

    `staging` is a directory on the prefix's file system; the new content of `PATH` is written to `staging / PATH`.
    `outcome` is the final state, as `Recovery.state`; `None` until then or if ending failed. `keeps_open`: a file
    server keeps replaced files that processes have open.
    """

    def __init__(self, tree: WritableTree, durability: Durability, signals: Signals, reserve: Reserve) -> None:
        self.id = new_identifier()
        self.staging = tree.root / TRANSACTIONS / self.id / "new"
        self._directory = f"{TRANSACTIONS}/{self.id}"
        self._tree, self._durability, self._signals, self._reserve = tree, durability, signals, reserve
        self._early = EarlySync(tree.root, durability)
        self._is_over = False
        self._committed: tuple[str, ...] | None = None  # the directories to prune once it is finished
        self.outcome: Literal["nothing", "restored", "finished"] | None = None
        self.keeps_open = False

    def sync_early(self) -> None:
        """Begin to sync what is staged, in the background: nearly all of it is there."""
        self._early.begin()

    def commit(
        self,
        changes: Sequence[PathChange],
        *,
        plan: Mapping[str, object] | None = None,
        swapped: Callable[[], None] | None = None,
    ) -> None:
        """Make all of `changes`, or none. A transaction commits once; without changes it does nothing.

        Every `before` is compared with the disk: kind, and sha256 or link text if given; a path without `before` must
        be absent (an existing directory will do, for directories are shared). Staged files are compared with `after` by
        kind, size and mode only, for staging hashed them. Paths may change their kind; directories emptied by removals
        are removed.

        :param plan: facts for `plan.json`, for people who inspect an interrupted transaction.
        :param swapped: called after the swap, before the commit; if it raises, everything is undone.
        :raises OwnershipError: `changed-meanwhile`, `unowned-path`, `path-symlink`; nothing was changed.
        :raises IntegrityError: `staged-mismatch`; nothing was changed.
        :raises FaultError: the system refused; the prefix was restored.
        :raises InterruptedPrefixError: the system refused, and restoring failed.
        :raises ValueError: the changes contradict each other, or this transaction is over.
        """
        if self._is_over:
            raise ValueError(f"transaction {self.id} is over")
        try:
            with faults(self._tree.root):
                self._commit(changes, plan or {}, swapped)
        except BaseException as error:
            self._signals.shield()
            state = self.end()
            if isinstance(error, FaultError):
                error.context = (*error.context, f"{self._tree.root} is as it was before")
            # A committed transaction is finished regardless; only signals still propagate.
            if state != "finished" or not isinstance(error, Exception):
                raise
        else:
            self._signals.shield()
            self.end()

    def _commit(
        self, changes: Sequence[PathChange], plan: Mapping[str, object], swapped: Callable[[], None] | None
    ) -> None:
        tree, root = self._tree, self._tree.root / self._directory
        with WritableTree(self.staging) as new:
            staged = new.scan()
            swap = examine(tree, new, changes, staged)
            if not swap.steps:
                return
            self._log("PLANNED")  # What comes next is written while the disk writes what is staged.
            publish_file(
                root / "plan.json",
                [write_swap(swap, id=self.id, time=now(), durability=self._durability, plan=plan)],
            )
            failpoint("plan.written")
            tree.make_directory(f"{self._directory}/old")
            with WritableTree(root / "old") as old:
                unlinked = backup(tree, old, swap)
                self._early.end()
                sync_staged(tree, self._directory, self._durability)
                failpoint("stage.synced")
                failpoint("plan.synced")
                self._log("STAGED", is_synced=True)
                failpoint("journal.staged")
                self._log("SWAPPING")
                perform(tree, new, old, swap, unlinked, staged)
        if swapped is not None:
            try:
                swapped()
            finally:
                tree.forget("")  # The callback may have replaced directories that are held open.
        failpoint("commit.pre_sync")
        sync_renames(tree, sorted(changed_directories(swap)), self._durability)
        self._seal()
        self._committed = swap.prunable

    def _seal(self) -> None:
        try:
            self._log("COMMITTED")
            failpoint("commit.written")
            self._log(None, is_synced=True)
        except (FaultError, OSError):
            # The line may have reached the disk or not: revoke it before anything is undone.
            with suppress(FaultError):
                self._log("ABORTED", is_synced=True)
            raise
        failpoint("commit.synced")

    def _log(self, state: State | None, *, is_synced: bool = False) -> None:
        """Append to the journal; `None` only syncs."""
        if state:
            data = line(state, format=FORMAT, id=self.id, time=now())
            self._tree.append(f"{self._directory}/journal", data, sync=is_synced and self._durability != "none")
        elif self._durability != "none":
            sync_one(self._tree.root / self._directory / "journal")

    def begin(self) -> None:
        self._tree.make_directory(f"{self._directory}/new")

    def end(self) -> Literal["nothing", "restored", "finished"]:
        """Undo or finish the transaction, and remove its directory; called by `change`, idempotent.

        Each step is tried twice. What still cannot be removed is left to the next change.

        :raises InterruptedPrefixError: it can neither be undone nor finished.
        """
        self._is_over = True
        self._reserve.close()
        tree, settled = self._tree, Recovery(state="nothing", transaction=self.id)
        if tree.has_directory(self._directory):
            try:
                state = settle(tree, self.id, self._durability, committed=self._committed)
            except InterruptedPrefixError:
                state = settle(tree, self.id, self._durability)
            settled = Recovery(state=state, transaction=self.id)
        self.outcome = self.outcome or settled.state
        for _ in range(2):
            with suppress(FaultError):
                self.keeps_open = not clear(tree, settled)
                break
        return settled.state


@contextmanager
def change(prefix: Path, *, lock_timeout: float = 300.0, durability: Durability = "batched") -> Iterator[Transaction]:
    """Open a transaction on `prefix` under its lock; see the package.

    :param lock_timeout: seconds to wait for another process.
    :raises PrefixLockedError: it did not end in time.
    :raises FaultError: the system refused, here or (an `OSError`) in the block; the prefix is unchanged.
    :raises InterruptedPrefixError: an earlier interrupted transaction cannot be settled.
    """
    with (
        WritableTree(Path(os.path.abspath(prefix))) as tree,
        Signals() as signals,
        hold(tree, lock_timeout, signals) as reserve,
    ):
        settle_all(tree, durability)
        transaction = Transaction(tree, durability, signals, reserve)
        try:
            with signals.interruptible():
                transaction.begin()
                yield transaction
        except OSError as error:
            transaction.end()
            if error.errno is None:
                raise
            raise fault(error, error.filename or tree.root) from error
        except BaseException:
            transaction.end()
            raise
        transaction.end()

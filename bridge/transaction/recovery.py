"""Settle an interrupted transaction: undo it unless it is COMMITTED, else finish it.

Both work from the disk and the plan alone, not from logged progress, so an interrupted recovery is simply repeated.
Undoing consists of renames, unlinks and `rmdir`s: it needs no free space.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Literal

from bridge.errors import FaultError, InterruptedPrefixError, OwnershipError, UnsafeInputError
from bridge.faults import failpoint, faults
from bridge.fs import Durability, Tree, WritableTree, read_regular, remove_tree, system
from bridge.fs.durability import sync_one, sync_renames
from bridge.model import Fingerprint
from bridge.paths import META, OWN, quoted
from bridge.transaction.examine import changed_directories, is_leaf
from bridge.transaction.guard import Signals, confirm, hold, is_provisional
from bridge.transaction.journal import FORMAT, Identity, Journal, Step, Swap, read_journal, read_prunable, read_swap
from bridge.transaction.waiting import (
    AFTER,
    BEFORE,
    KEPT,
    TRANSACTIONS,
    identifier_of,
    names_kept,
    names_waiting,
)
from converters.deferred import dataclass

__all__ = ["Recovery", "clear", "recover", "settle", "settle_all"]

_ENDS: tuple[Literal["restored", "finished"], ...] = ("restored", "finished")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The result of a recovery: nothing to do, a transaction undone, or one finished."""

    state: Literal["nothing", "restored", "finished"]
    transaction: str | None = None


def recover(prefix: Path, *, lock_timeout: float = 300.0, durability: Durability = "batched") -> Recovery:
    """Undo or finish an interrupted transaction of `prefix`. Idempotent; writes nothing if there is none.

    :param lock_timeout: seconds to wait for a process that is changing the prefix.
    :raises InterruptedPrefixError: it cannot be settled (`recovery-conflict`, `journal-damaged`, `recovery-failed`);
        nothing was deleted, and the message says what to do.
    :raises PrefixLockedError: another process holds the prefix.
    :raises FaultError: there is no such prefix, or it cannot be read.
    """
    with WritableTree(Path(os.path.abspath(prefix))) as tree:
        if not (is_provisional(tree, META) or is_provisional(tree, OWN) or tree.has_directory(TRANSACTIONS)):
            return Recovery(state="nothing")
        with Signals() as signals, hold(tree, lock_timeout, signals) as reserve:
            reserve.close()
            return settle_all(tree, durability)


def settle_all(tree: WritableTree, durability: Durability) -> Recovery:
    """Settle everything in `txn/`. The caller holds the lock. Raises as `recover`."""
    result = Recovery(state="nothing")
    names = names_waiting(tree)
    with faults(tree.root):
        if names:
            failpoint("recover.begin")
        for name in names:
            identifier = identifier_of(name)
            result = Recovery(state=settle(tree, identifier, durability), transaction=identifier)
            clear(tree, result)
        if names:
            failpoint("recover.done")
    for name in names_kept(tree):
        with suppress(FaultError):
            remove_tree(tree.root / TRANSACTIONS / name)
    tree.remove_directory(TRANSACTIONS)
    return result


def clear(tree: WritableTree, settled: Recovery) -> bool:
    """Remove the directory of a settled transaction; on `FaultError` it is left to the next recovery.

    Return `False` if files remain that a file server keeps open: they stay under a name for the next change or recovery
    to remove, and the transaction is over.
    """
    is_gone = True
    with faults(tree.root):
        if settled.state != "nothing":
            waste = _waste(settled)
            is_gone = remove_tree(tree.root / waste)
            if not is_gone:
                tree.rename(waste, tree, f"{TRANSACTIONS}/{settled.transaction}{KEPT}")
            failpoint("clean.done")
        tree.remove_directory(TRANSACTIONS)
    return is_gone


def _waste(settled: Recovery) -> str:
    return f"{TRANSACTIONS}/{settled.transaction}{AFTER if settled.state == 'finished' else BEFORE}"


def settle(
    tree: WritableTree, identifier: str, durability: Durability, *, committed: Sequence[str] | None = None
) -> Literal["restored", "finished"]:
    """Undo or finish one transaction, and rename its directory accordingly. The caller holds the lock.

    :param committed: the prunable directories of a transaction that this process has just committed: its plan need not
        be read.
    :raises InterruptedPrefixError: as `recover`.
    """
    directory = f"{TRANSACTIONS}/{identifier}"
    try:
        with faults(tree.root):
            return _settle(tree, identifier, directory, durability, committed)
    except (FaultError, OwnershipError, UnsafeInputError) as error:
        raise _unsettled(
            "recovery-failed", tree, error.message, *error.context, f"kept: {tree.root / directory}"
        ) from error


def _settle(
    tree: WritableTree, identifier: str, directory: str, durability: Durability, committed: Sequence[str] | None
) -> Literal["restored", "finished"]:
    for ended in _ENDS:
        if tree.has_directory(_waste(Recovery(state=ended, transaction=identifier))):
            # An earlier recovery got as far as the rename.
            if ended == "finished":
                confirm(tree, durability)
            return ended
    journal = read_journal(_read(tree.root / directory / "journal", tree.root))
    if journal.format > FORMAT:
        raise _unsettled("journal-newer", tree, "a newer version of bridge started it; recover with that version")
    state: Literal["restored", "finished"] = "finished" if journal.state == "COMMITTED" else "restored"
    if state == "finished":
        _finish(tree, tree.root / directory, durability, committed)
    else:
        swap = read_swap(_read(tree.root / directory / "plan.json", tree.root))
        if _may_be_swapped(tree, directory, journal, swap) and swap is not None:
            _undo(tree, directory, swap)
            sync_renames(tree, [directory, *sorted(changed_directories(swap))], durability)
    tree.forget(directory)
    if state == "finished" and not system.RENAMES_IN_USE:
        _set_aside_running(tree, directory, identifier)
    tree.rename(directory, tree, _waste(Recovery(state=state, transaction=identifier)))
    if durability != "none":
        tree.sync([TRANSACTIONS])
    return state


def _set_aside_running(tree: WritableTree, directory: str, identifier: str) -> None:
    """Remove the replaced files; move those that run, which bar a rename of their directory, to one of their own.

    The transaction is committed: a later recovery needs none of them.
    """
    if remove_tree(tree.root / directory / "old"):
        return
    kept = f"{TRANSACTIONS}/{identifier}{KEPT}"
    tree.make_directory(kept)
    for path, is_directory in list(tree.walk(f"{directory}/old")):
        if not is_directory:
            tree.rename(path, tree, f"{kept}/{path.rpartition('/')[2]}")
    tree.forget(directory)


def _finish(tree: WritableTree, directory: Path, durability: Durability, committed: Sequence[str] | None) -> None:
    prunable = committed if committed is not None else read_prunable(_read(directory / "plan.json", tree.root))
    if committed is None and durability != "none":  # Who wrote COMMITTED may have been killed before the sync.
        sync_one(directory / "journal")
    for path in prunable:
        with suppress(OwnershipError):  # Its parent is no directory any more.
            tree.remove_directory(path)
    confirm(tree, durability)
    if prunable:
        sync_renames(tree, sorted({path.rpartition("/")[0] for path in prunable}), durability)


def _read(path: Path, root: Path) -> bytes:
    with faults(path):
        try:
            return read_regular(path, root=root)
        except FileNotFoundError:
            return b""


def _unsettled(identifier: str, tree: Tree, *context: str) -> InterruptedPrefixError:
    return InterruptedPrefixError(
        identifier,
        f"an interrupted change of {tree.root} could neither be undone nor finished; nothing was deleted",
        context=context,
        hint=f"resolve the problem named above, then run: bridge recover -p {quoted(tree.root)}",
    )


def _may_be_swapped(tree: Tree, directory: str, journal: Journal, swap: Swap | None) -> bool:
    """Whether the prefix may have been touched; `old/` is created after the plan is written, and before the swap.

    The journal's state alone does not prove it: its tail may be lost, and undoing an undone step does nothing. Only
    without a usable plan is an undamaged journal believed, if every inode in `old/` has another name.
    """
    has_old = tree.has_directory(f"{directory}/old")
    is_whole = swap is not None and has_old and tree.has_directory(f"{directory}/new")
    if journal.state in {None, "PLANNED"} and not is_whole:
        if not has_old:
            return False
        if not journal.is_damaged:
            saved = [tree.lstat(path) for path, _ in tree.entries(f"{directory}/old")]
            if all(status is not None and not stat.S_ISDIR(status.st_mode) and status.st_nlink > 1 for status in saved):
                return False
    if not is_whole:
        missing = "plan.json is damaged" if swap is None else "old/ or new/ is missing"
        raise _unsettled("journal-damaged", tree, f"{missing}: {tree.root / directory}")
    return True


def _undo(tree: WritableTree, directory: str, swap: Swap) -> None:
    with ExitStack() as opened:
        new, old = (opened.enter_context(WritableTree(tree.root / directory / name)) for name in ("new", "old"))
        undoing = _Undoing(tree, new, old, swap)
        conflicts = list(undoing.conflicts())
        if conflicts:
            more = [f"and {len(conflicts) - 10} more"] if len(conflicts) > 10 else []
            named = [f"changed since, neither the old nor the planned content: {path}" for path in conflicts[:10]]
            raise _unsettled("recovery-conflict", tree, *named, *more)
        with suppress(FaultError):
            tree.make_directory(f"{directory}/undone")
            undoing.aside = opened.enter_context(WritableTree(tree.root / directory / "undone"))
        undoing.run()


def _content(fingerprint: Fingerprint | None) -> tuple[str, str] | None:
    """Return kind and content of a file or symlink; `None` if unknown, or for other kinds."""
    text = None if fingerprint is None else fingerprint.link if fingerprint.kind == "symlink" else fingerprint.sha256
    return None if fingerprint is None or text is None else (fingerprint.kind, text)


class _Undoing:
    """Undo one swap. Its progress is read from `new` (missing inodes were placed) and from `old`.

    Placed inodes are moved to `aside` until the end and then removed as waste by several threads; if there is no space
    for names in `aside`, they are removed at once.
    """

    def __init__(self, prefix: WritableTree, new: WritableTree, old: WritableTree, swap: Swap) -> None:
        self.aside: WritableTree | None = None
        self._prefix, self._old = prefix, old
        self._steps = tuple(enumerate(swap.steps))
        self._made = tuple(path for path, _ in swap.made)
        self._placed = {step.change.path for step in swap.steps if step.staged and not new.lstat(step.change.path)}
        # Paths that replaced no file or symlink must be removed explicitly.
        self._added = {
            step.change.path: number
            for number, step in self._steps
            if step.change.path in self._placed and not is_leaf(step.change.before)
        }

    def conflicts(self) -> Iterator[str]:
        """Yield paths whose content is neither the old one nor the planned one."""
        for number, step in self._steps:
            path = step.change.path
            current, saved = self._look(path), self._old.lstat(str(number))
            if current is None:
                continue
            is_directory = stat.S_ISDIR(current.st_mode)
            if is_leaf(step.change.before):
                if saved is None or self._is_untouched(step, saved, current):
                    continue
                if is_directory and path in self._made:
                    below = self._prefix.walk(path)
                    yield from (
                        entry
                        for entry, is_inner_directory in below
                        if not is_inner_directory and entry not in self._added
                    )
                elif not self._is_known(number, step, current):
                    yield path
            elif path in self._added and not self._is_known(number, step, current):
                is_restored = is_directory and step.emptied and saved is None
                if not is_restored:
                    yield path

    def run(self) -> None:
        for path, number in self._added.items():
            current = self._look(path)
            if current is not None and not stat.S_ISDIR(current.st_mode):
                self._remove(path, number)
                failpoint("recover.undo_one")
        for path in reversed(self._made):
            current = self._look(path)
            if current is not None and stat.S_ISDIR(current.st_mode):
                self._prefix.remove_directory(path)
                failpoint("recover.undo_one")
        for number, step in self._steps:
            if step.change.before is not None and step.change.before.kind == "directory":
                self._restore_directory(number, step)
        for number, step in self._steps:
            if is_leaf(step.change.before):
                self._restore(number, step)

    def _look(self, path: str) -> os.stat_result | None:
        try:
            return self._prefix.lstat(path)
        except OwnershipError:
            return None  # A parent is no directory.

    def _is_untouched(self, step: Step, saved: os.stat_result, current: os.stat_result) -> bool:
        """Whether the path was not replaced yet; inodes alone do not show that on every file system."""
        return os.path.samestat(saved, current) or (step.staged is not None and step.change.path not in self._placed)

    def _is_known(self, number: int, step: Step, current: os.stat_result) -> bool:
        """Whether it is the staged inode, unmodified, or has the old or the new content."""
        if Identity.of(current) == step.staged:
            return True
        if stat.S_ISDIR(current.st_mode):
            return False
        content = _content(self._prefix.fingerprint(step.change.path))
        known = (step.change.before, step.change.after, self._old.fingerprint(str(number)))
        return content is not None and content in {_content(one) for one in known}

    def _restore_directory(self, number: int, step: Step) -> None:
        """Restore a directory that was moved away, or recreate one that was removed."""
        path, saved = step.change.path, str(number)
        if self._look(path) is None and self._old.lstat(saved) is not None:
            self._old.forget(saved)
            self._old.rename(saved, self._prefix, path)
            failpoint("recover.undo_one")
        before = step.change.before
        for directory, mode in step.emptied or ((path, before.mode if before else None),):
            if self._look(directory) is None:
                self._prefix.make_directory(directory, mode)

    def _restore(self, number: int, step: Step) -> None:
        path, saved = step.change.path, self._old.lstat(str(number))
        current = self._look(path)
        if saved is None or (current is not None and self._is_untouched(step, saved, current)):
            return
        parent = path.rpartition("/")[0]
        if parent and self._look(parent) is None:
            self._prefix.make_directory(parent)
        if self.aside is not None and current is not None:
            with suppress(FaultError):  # Otherwise the rename below drops the new inode.
                self._prefix.link(path, self.aside, str(number))
        self._old.rename(str(number), self._prefix, path)
        failpoint("recover.undo_one")

    def _remove(self, path: str, number: int) -> None:
        if self.aside is not None:
            with suppress(FaultError):
                self._prefix.rename(path, self.aside, str(number))
                return
        self._prefix.unlink(path)

"""Create a prefix in a sibling directory, and publish it by one rename."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bridge.errors import BridgeError, FaultError, InterruptedPrefixError, OwnershipError, PrefixLockedError
from bridge.faults import failpoint, fault, faults
from bridge.fs import (
    Durability,
    WritableTree,
    make_directories,
    publish_directory,
    remove_tree,
    sync,
    system,
)
from bridge.fs.durability import EarlySync, sync_one
from bridge.paths import META, OWN, quoted
from bridge.transaction.guard import LOCK, Reserve, Signals, confirm, hold
from bridge.transaction.journal import new_identifier

__all__ = ["Creation", "clear_killed", "create"]


class Creation:
    """A prefix being created, by `create`: files are written to `root` until `publish`.

    Use `prefix` wherever the final path is embedded.
    """

    def __init__(self, root: Path, prefix: Path, durability: Durability, held: ExitStack) -> None:
        self.root, self.prefix, self._durability, self._held = root, prefix, durability, held
        self._early = EarlySync(root, durability)

    def sync_early(self) -> None:
        """Begin to sync what is written, in the background: nearly all of it is there."""
        self._early.begin()

    def publish(self, *, published: Callable[[], None] | None = None) -> None:
        """Publish the prefix by one rename.

        :param published: called after the rename; if it raises, the rename is undone.
        :raises OwnershipError: `prefix-exists`: something else appeared there.
        :raises FaultError: the system refused; there is no prefix.
        :raises InterruptedPrefixError: the rename could neither be synced nor undone; the prefix exists.
        """
        with faults(self.prefix):
            failpoint("commit.pre_sync")
            self._early.end()
            sync(self.root, self._durability)
            mode = stat.S_IMODE(os.lstat(self.prefix).st_mode) if self.prefix.is_dir() else None
            if not system.RENAMES_IN_USE:
                self._held.close()  # The lock is a file below.
            if not publish_directory(self.root, self.prefix):
                raise _taken(self.prefix)
            if published is not None:
                try:
                    published()
                except BaseException as error:
                    self._take_back(mode, error)
                    raise
            try:
                failpoint("commit.written")
                if self._durability != "none":
                    sync_one(self.prefix.parent)
                failpoint("commit.synced")
            except OSError as error:
                self._take_back(mode, error)
                raise

    def _take_back(self, mode: int | None, cause: BaseException) -> None:
        """Undo the rename, and recreate the empty directory (with `mode`) that it replaced."""
        try:
            publish_directory(self.prefix, self.root)
            if mode is not None:
                with WritableTree(self.prefix.parent) as tree:
                    tree.make_directory(self.prefix.name, mode)
        except BridgeError as error:
            raise InterruptedPrefixError(
                "publish-unsynced",
                f"{self.prefix} is complete, but it could neither be synced to the disk nor removed again: "
                f"{getattr(cause, 'strerror', None) or cause}",
                context=(error.message,),
                hint=f"check the disk, then run: bridge audit -p {quoted(self.prefix)}",
            ) from cause


@contextmanager
def create(prefix: Path, *, durability: Durability = "batched") -> Iterator[Creation]:
    """Create a prefix. If it is not published, by error, signal or omission, nothing remains, nor of its parents.

    Remains of killed creations of the same prefix are removed first.

    :raises OwnershipError: `prefix-exists`: the path exists and is no empty directory.
    :raises FaultError: the system refused, here or (an `OSError`) in the block; there is no prefix.
    """
    prefix = Path(os.path.abspath(prefix))
    _require_free(prefix)
    with Signals() as signals, _parents(prefix), ExitStack() as held:
        _remove_abandoned(prefix, signals)
        root, reserve = _begin(prefix, signals, held)
        try:
            with signals.interruptible():
                yield Creation(root, prefix, durability, held)
        except OSError as error:
            if error.errno is None:
                raise
            raise fault(error, error.filename or root) from error
        finally:
            reserve.close()
            # Gone if published. What cannot be removed is left to the next creation.
            for _ in range(2):
                with suppress(FaultError):
                    remove_tree(root)
                    break


def _taken(prefix: Path) -> OwnershipError:
    return OwnershipError(
        "prefix-exists",
        f"{prefix} already exists; a new environment needs an absent or empty directory",
        hint=f"choose another directory, or change that environment: bridge install -p {quoted(prefix)}",
        objects={"path": prefix},
    )


def _require_free(prefix: Path) -> None:
    with faults(prefix):
        if os.path.lexists(prefix) and (prefix.is_symlink() or not prefix.is_dir() or any(prefix.iterdir())):
            raise _taken(prefix)


@contextmanager
def _parents(prefix: Path) -> Iterator[None]:
    """Create the parents of the prefix; finally remove those that were created and are empty."""
    made: tuple[Path, ...] = ()
    try:
        made = make_directories(prefix.parent)
        yield
    finally:
        for directory in reversed(made):
            with suppress(FaultError), WritableTree(directory.parent) as tree:
                tree.remove_directory(directory.name)


def _begin(prefix: Path, signals: Signals, held: ExitStack) -> tuple[Path, Reserve]:
    """Create a sibling directory and lock it as a prefix, which shows that its creator is alive."""
    while True:
        root = prefix.with_name(f".{prefix.name}.bridge-new-{new_identifier()}")
        spare, made = Reserve(prefix.parent), ExitStack()
        is_made = False
        try:
            with WritableTree(prefix.parent) as parent:
                if not parent.make_directory(root.name):
                    raise _taken(root)
            is_made = True
            spare.close()
            tree = made.enter_context(WritableTree(root))
            reserve = made.enter_context(hold(tree, 0.0, signals))
            confirm(tree, "none")
        except BaseException as error:
            made.close()
            spare.close()
            if isinstance(error, PrefixLockedError) or (is_made and not os.path.lexists(root)):
                # Another creation took it for abandoned before it was locked, and removes it: use another name.
                continue
            with suppress(FaultError):
                remove_tree(root)
            raise
        held.push(made)
        return root, reserve


def clear_killed(prefix: Path) -> tuple[str, ...]:
    """Remove what killed creations of `prefix` left beside it, and return their ids; a live one stays.

    :raises PrefixLockedError: one is at work, and there was nothing else to remove.
    :raises FaultError: the parent directory of `prefix` cannot be read.
    """
    prefix = Path(os.path.abspath(prefix))
    if not prefix.parent.is_dir():
        return ()
    with Signals() as signals:
        removed = _remove_abandoned(prefix, signals)
    at_work = [name for name, is_gone in removed.items() if not is_gone]
    if at_work and len(at_work) == len(removed):
        raise PrefixLockedError(
            "prefix-locked",
            f"another process is making {prefix}",
            context=(f"in {prefix.parent / at_work[0]}",),
            hint="wait for it to end",
        )
    return tuple(name.rpartition("bridge-new-")[2] for name, is_gone in removed.items() if is_gone)


def _remove_abandoned(prefix: Path, signals: Signals) -> dict[str, bool]:
    """Remove the siblings that killed creations left, unless locked; return name → whether it is gone."""
    pattern = re.compile(rf"\.{re.escape(prefix.name)}\.bridge-new-[A-Za-z0-9_-]+\Z")
    with faults(prefix.parent):
        names = [name for name in os.listdir(prefix.parent) if pattern.match(name)]
    for name in names:
        with suppress(BridgeError), WritableTree(prefix.parent / name) as tree:
            if tree.lstat(LOCK) is not None:
                with hold(tree, 0.0, signals):
                    if system.RENAMES_IN_USE:
                        remove_tree(tree.root)
                if not system.RENAMES_IN_USE:
                    remove_tree(tree.root)
            else:
                # Not locked yet: remove only what is empty, for another creation may just be starting.
                for path in (OWN, META):
                    tree.remove_directory(path)
                with WritableTree(prefix.parent) as parent:
                    parent.remove_directory(name)
    return {name: not os.path.lexists(prefix.parent / name) for name in names}

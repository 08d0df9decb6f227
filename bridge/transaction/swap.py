"""Execute a commit step by step, after `bridge.transaction.examine` has checked it.

Every step of `perform` leaves a state that `bridge.transaction.recovery` can undo from the disk and the plan.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from bridge.errors import FaultError
from bridge.faults import failpoint
from bridge.fs import Tree, WritableTree, is_kept_open
from bridge.paths import META, ancestors, parent_directories
from bridge.transaction.examine import changed, is_leaf
from bridge.transaction.journal import Step, Swap

__all__ = ["backup", "perform"]


def backup(prefix: WritableTree, old: WritableTree, swap: Swap) -> frozenset[int]:
    """Hard-link what will be replaced into `old`, so that its path always exists. The prefix does not change.

    Return the steps for which the file system refused: their files are moved during the swap instead.
    """
    unlinked: set[int] = set()
    for number, step in enumerate(swap.steps):
        if is_leaf(step.change.before) and is_leaf(step.change.after):
            if not prefix.link(step.change.path, old, str(number)):
                unlinked.add(number)
            failpoint("swap.backup_one")
    return frozenset(unlinked)


def perform(
    prefix: WritableTree,
    new: WritableTree,
    old: WritableTree,
    swap: Swap,
    unlinked: frozenset[int],
    staged: Mapping[str, os.stat_result],
) -> None:
    """Execute the steps: make room, place, remove; records last within each.

    A new directory is renamed as a whole if everything staged below it is planned: one rename instead of one per file.

    :param staged: what is in `new`, by `Tree.scan`.
    :raises FaultError: the system refused; some steps are done.
    :raises OwnershipError: `changed-meanwhile`: a directory that should be empty is not.
    """
    whole = _whole(prefix, swap, staged)
    below: dict[str, list[Step]] = {directory: [] for directory in whole}
    moved_with: dict[str, str | None] = {}  # directory → the whole one that it is, or is in
    single: list[tuple[int, Step]] = []
    for number, step in enumerate(swap.steps):
        if is_leaf(step.change.after):
            parent = step.change.path.rpartition("/")[0]
            if parent not in moved_with:
                moved_with[parent] = next((each for each in (parent, *ancestors(parent)) if each in whole), None)
            directory = moved_with[parent]
            if directory is None:
                single.append((number, step))
            else:
                below[directory].append(step)
    removals = _make_room(prefix, old, swap, whole)
    for is_record in (False, True):
        for directory, steps in sorted(below.items(), key=_records_last):
            if any(step.change.is_record for step in steps) is is_record:
                _place_whole(prefix, new, swap, directory, steps)
        _place_each(prefix, new, old, [each for each in single if each[1].change.is_record is is_record], unlinked)
        for number, step in removals:
            if step.change.is_record is is_record:
                _remove(prefix, old, step, number)


def _records_last(directory: tuple[str, Sequence[Step]]) -> tuple[bool, str]:
    """Sort directories of records only last: the files they list may be in another."""
    path, steps = directory
    return all(step.change.is_record for step in steps), path


def _whole(prefix: Tree, swap: Swap, staged: Mapping[str, os.stat_result]) -> frozenset[str]:
    """Return the outermost created directories that can be renamed as staged."""
    planned = {step.change.path for step in swap.steps}
    made = {path for path, _ in swap.made}
    plain = (
        made - planned - parent_directories(made & planned)
    )  # without directories that have, or contain one with, a mode of their own
    others = {
        path for path, status in staged.items() if path not in (plain if stat.S_ISDIR(status.st_mode) else planned)
    }
    mixed = others | parent_directories(others)
    whole: set[str] = set()
    for path in sorted(plain - mixed):
        if whole.isdisjoint(ancestors(path)) and _is_movable(prefix, path, staged.get(path)):
            whole.add(path)
    return frozenset(whole)


def _is_movable(prefix: Tree, directory: str, staged: os.stat_result | None) -> bool:
    """Whether mode and group of a staged directory equal those of a new one."""
    if staged is None or not stat.S_ISDIR(staged.st_mode):
        return False
    above = next(
        (parent for path in (*ancestors(directory), "") if (parent := _directory(prefix, path)) is not None), None
    )
    # With the set-group-id bit, new entries inherit the group of a directory, moved ones do not.
    if above is None or (above.st_mode ^ staged.st_mode) & stat.S_ISGID:
        return False
    return not above.st_mode & stat.S_ISGID or above.st_gid == staged.st_gid


def _directory(tree: Tree, path: str) -> os.stat_result | None:
    if not path:
        return os.stat(tree.root)
    status = tree.lstat(path)
    return status if status is not None and stat.S_ISDIR(status.st_mode) else None


def _make_room(prefix: WritableTree, old: WritableTree, swap: Swap, whole: frozenset[str]) -> list[tuple[int, Step]]:
    """Remove what a directory or its successor replaces, and create directories; return the removals left.

    :param whole: directories that are renamed as staged, and not created.
    """
    made = {path for path, _ in swap.made}
    switched = {directory for step in swap.steps for directory, _ in step.emptied}
    later: list[tuple[int, Step]] = []
    for number, step in enumerate(swap.steps):
        if is_leaf(step.change.before) and not is_leaf(step.change.after):
            if step.change.path in made or step.change.path.rpartition("/")[0] in switched:
                _remove(prefix, old, step, number)
            else:
                later.append((number, step))
    for number, step in enumerate(swap.steps):
        if step.emptied:
            _set_aside(prefix, old, step, number)
    for path, mode in swap.made:
        if path not in whole and whole.isdisjoint(ancestors(path)):
            prefix.make_directory(path, mode)
    return later


def _place_whole(prefix: WritableTree, new: WritableTree, swap: Swap, directory: str, steps: Sequence[Step]) -> None:
    """Rename a staged directory to an absent path.

    If it cannot be moved (some layered file systems move no directories), its entries are moved one by one.
    """
    new.forget(directory)
    try:
        new.rename(directory, prefix, directory)
    except FaultError as error:
        if error.objects["errno"] != errno.EXDEV:
            raise
        for path, mode in swap.made:
            if path == directory or directory in ancestors(path):
                prefix.make_directory(path, mode)
        for step in steps:
            new.rename(step.change.path, prefix, step.change.path)
    for step in steps:
        _placed(step)


def _place_each(
    prefix: WritableTree,
    new: WritableTree,
    old: WritableTree,
    steps: Iterable[tuple[int, Step]],
    unlinked: AbstractSet[int],
) -> None:
    """Rename each new inode over its path; a file without a backup link is moved to `old` first."""
    for number, step in steps:
        path = step.change.path
        if number in unlinked:
            prefix.rename(path, old, str(number))
        new.rename(path, prefix, path)
        _placed(step)


def _placed(step: Step) -> None:
    failpoint(_record_failpoint(step.change.path) if step.change.is_record else "swap.rename_one")


def _record_failpoint(path: str) -> str:
    if path == f"{META}/history":
        return "record.history"
    return "record.conda_meta" if path.startswith(f"{META}/") else "record.dist_info"


def _remove(prefix: WritableTree, old: WritableTree, step: Step, number: int) -> None:
    prefix.rename(step.change.path, old, str(number))
    failpoint("swap.remove_one")


def _set_aside(prefix: WritableTree, old: WritableTree, step: Step, number: int) -> None:
    """Move an emptied directory to `old`; remove it if it cannot be moved (a lower layer of an overlay)."""
    path, saved = step.change.path, str(number)
    prefix.forget(path)
    try:
        prefix.rename(path, old, saved)
    except FaultError as error:
        if error.objects["errno"] != errno.EXDEV:
            raise
        is_empty = all(prefix.remove_directory(directory) for directory, _ in reversed(step.emptied))
    else:
        left = (entry.rpartition("/")[2] for entry, is_directory in old.walk(saved) if not is_directory)
        is_empty = all(map(is_kept_open, left))
    failpoint("swap.rmdir_one")
    if not is_empty:
        raise changed(path, "something was added to it")

"""Doing what a commit is to do, step by step; `bridge.transaction.examine` has found that it can be done.

Every step of `perform` leaves a state from which `bridge.transaction.recovery` finds back, from the disk and the plan
alone.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

from bridge.errors import FaultError
from bridge.faults import failpoint
from bridge.fs import Tree, WritableTree, is_kept_open
from bridge.paths import META
from bridge.transaction.examine import ancestors, changed, is_leaf, parent_directories
from bridge.transaction.journal import Step, Swap

__all__ = ["backup", "perform"]


def backup(prefix: WritableTree, old: WritableTree, swap: Swap) -> frozenset[int]:
    """Link what is to be replaced to `old`, so that its path is never without it. Nothing in the prefix changes.

    Returns the steps for which the file system makes no such link: theirs are moved there at the swap instead.
    """
    unlinked: set[int] = set()
    for number, step in enumerate(swap.steps):
        if is_leaf(step.change.before) and is_leaf(step.change.after):
            if not prefix.link(step.change.path, old, str(number)):
                unlinked.add(number)
            failpoint("swap.backup_one")
    return frozenset(unlinked)


def perform(prefix: WritableTree, new: WritableTree, old: WritableTree, swap: Swap, unlinked: frozenset[int]) -> None:
    """Do the steps: what makes room first, then what comes, then what goes; records after all else in that order.

    A new directory comes whole where all that was staged below it is to come: one rename instead of one for each file.

    :raises FaultError: the system refused; some steps are done.
    :raises OwnershipError: `changed-meanwhile`: a directory that was to be empty is not.
    """
    whole = _whole(prefix, new, swap)
    below: dict[str, list[Step]] = {directory: [] for directory in whole}
    apart: list[tuple[int, Step]] = []
    for number, step in enumerate(swap.steps):
        if is_leaf(step.change.after):
            directory = next((directory for directory in ancestors(step.change.path) if directory in whole), None)
            if directory is None:
                apart.append((number, step))
            else:
                below[directory].append(step)
    goes = _make_room(prefix, old, swap, whole)
    for is_record in (False, True):
        for directory, steps in sorted(below.items(), key=_records_last):
            if any(step.change.is_record for step in steps) is is_record:
                _place_whole(prefix, new, swap, directory, steps)
        _place_each(prefix, new, old, [each for each in apart if each[1].change.is_record is is_record], unlinked)
        for number, step in goes:
            if step.change.is_record is is_record:
                _remove(prefix, old, step, number)


def _records_last(directory: tuple[str, Sequence[Step]]) -> tuple[bool, str]:
    """Directories that hold records alone come last: what they tell of may lie in another."""
    path, steps = directory
    return all(step.change.is_record for step in steps), path


def _whole(prefix: Tree, new: Tree, swap: Swap) -> frozenset[str]:
    """The outermost directories that the swap makes, and that may come as they were staged."""
    planned = {step.change.path for step in swap.steps}
    made = {path for path, _ in swap.made}
    plain = made - planned - parent_directories(made & planned)  # without what has a mode of its own, or has it below
    found: set[str] = set()
    for path in sorted(plain):
        if found.isdisjoint(ancestors(path)) and _is_whole(prefix, new, path, planned, plain):
            found.add(path)
    return frozenset(found)


def _is_whole(prefix: Tree, new: Tree, directory: str, planned: AbstractSet[str], plain: AbstractSet[str]) -> bool:
    """Whether nothing was staged in `directory` that is not planned, and it is as it would be if it were made there."""
    staged = new.lstat(directory)
    if staged is None or not stat.S_ISDIR(staged.st_mode):
        return False
    above = next(
        (found for path in (*ancestors(directory), "") if (found := _directory(prefix, path)) is not None), None
    )
    # A directory hands its group on where it has the set-group-id bit: to what is made in it, not to what is moved.
    if above is None or (above.st_mode ^ staged.st_mode) & stat.S_ISGID:
        return False
    if above.st_mode & stat.S_ISGID and above.st_gid != staged.st_gid:
        return False
    return all(path in (plain if is_directory else planned) for path, is_directory in new.walk(directory))


def _directory(tree: Tree, path: str) -> os.stat_result | None:
    if not path:
        return os.stat(tree.root)
    found = tree.lstat(path)
    return found if found is not None and stat.S_ISDIR(found.st_mode) else None


def _make_room(prefix: WritableTree, old: WritableTree, swap: Swap, whole: frozenset[str]) -> list[tuple[int, Step]]:
    """Remove, records too, where a directory or its successor is to come; make directories. Returns what goes later.

    :param whole: directories that come as they were staged, and are not made.
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
    """Rename a directory, with all that was staged in it, to where nothing lies.

    Where it cannot be moved (some layered file systems move no directories), what is in it comes one by one.
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
    """Rename each new inode over its path, which is moved to `old` before that where it has no link there."""
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
    """Move an emptied directory to `old`. Where it cannot be moved (a lower layer of an overlay), it is removed."""
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
        raise changed(path, "something came to lie in it")

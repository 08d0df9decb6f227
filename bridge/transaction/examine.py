"""Check a commit before it starts: compare every path with the disk and with what was staged. Changes nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field

from bridge.errors import FaultError, IntegrityError, OwnershipError
from bridge.fs import Tree, is_kept_open, system
from bridge.model import Fingerprint, PathChange
from bridge.paths import META, OWN, ancestors, parent_directories
from bridge.transaction.journal import Identity, Step, Swap
from converters.deferred import dataclass, replace

__all__ = ["changed", "changed_directories", "examine", "is_leaf"]


_RESERVED = frozenset({META, OWN, f"{OWN}/txn"})
_BELOW_RESERVED = (f"{OWN}/txn/", f"{OWN}/lock")


def is_leaf(fingerprint: Fingerprint | None) -> bool:
    """Whether it is a file or a symlink, which a rename replaces."""
    return fingerprint is not None and fingerprint.kind != "directory"


def changed_directories(swap: Swap) -> set[str]:
    """Return every directory whose names the swap changes."""
    paths = [*(step.change.path for step in swap.steps), *(path for path, _ in swap.made), *swap.prunable]
    return {path.rpartition("/")[0] for path in paths}


@dataclass(frozen=True, slots=True, kw_only=True)
class _ChangeSet:
    """The changes by path, and the paths grouped by what happens to them."""

    changes: Mapping[str, PathChange]
    wanted: frozenset[str]
    parents: frozenset[str]
    """The directories of wanted paths."""
    removed: frozenset[str]
    vanishing: frozenset[str]
    """Files and symlinks that are removed or replaced by a directory."""
    exists: dict[str, bool] = field(default_factory=dict)
    """Cache: directory → whether it exists before the swap."""

    @staticmethod
    def of(changes: Sequence[PathChange]) -> _ChangeSet:
        by_path = {change.path: change for change in changes}
        if len(by_path) != len(changes):
            raise ValueError("one path is changed twice")
        for path in by_path:
            if path.startswith(META) and (path in _RESERVED or path.startswith(_BELOW_RESERVED)):
                raise ValueError(f"reserved: {path}")
        wanted = frozenset(path for path, change in by_path.items() if change.after is not None)
        parents = frozenset(parent_directories(wanted))
        for directory in parents & by_path.keys():
            if is_leaf(by_path[directory].after):
                raise ValueError(f"{directory} is planned as no directory, but a path below it is planned")
        return _ChangeSet(
            changes=by_path,
            wanted=wanted,
            parents=parents,
            removed=frozenset(path for path, change in by_path.items() if change.after is None),
            vanishing=frozenset(
                path for path, change in by_path.items() if is_leaf(change.before) and not is_leaf(change.after)
            ),
        )


def examine(prefix: Tree, new: Tree, changes: Sequence[PathChange], staged: Mapping[str, os.stat_result]) -> Swap:
    """Return what a commit of `changes` has to do, after comparing every `before` with the disk. Changes nothing.

    What is staged in `new` is compared with `after` by kind, size, mode and link text only: staging hashed it.

    :param staged: what is in `new`, by `Tree.scan`.
    :raises OwnershipError: `changed-meanwhile`, `unowned-path`, `path-symlink`, `path-not-directory`, `path-special`.
    :raises IntegrityError: `staged-mismatch`.
    :raises FaultError: a path cannot be read, or a directory cannot be written (`permission-denied`).
    :raises ValueError: two changes contradict each other, or name bridge's own files.
    """
    request = _ChangeSet.of(changes)
    steps = tuple(
        _examine_one(prefix, new, change, request, staged)
        for change in changes
        if change.before is not None or change.after is not None
    )
    missing = {directory for directory in request.parents if not _exists(prefix, directory, request)}
    made = dict.fromkeys(missing) | {
        step.change.path: step.change.after.mode
        for step in steps
        if step.change.after is not None
        and step.change.after.kind == "directory"
        and (step.change.before is None or is_leaf(step.change.before))
    }
    swap = Swap(
        steps=steps,
        made=tuple(sorted(made.items())),
        prunable=tuple(sorted(set(_prunable(steps, request)), reverse=True)),
    )
    _require_writable(prefix, swap)
    return swap


def _examine_one(
    prefix: Tree, new: Tree, change: PathChange, request: _ChangeSet, statuses: Mapping[str, os.stat_result]
) -> Step:
    path, after = change.path, change.after
    directory = path.rpartition("/")[0]
    if change.before is None and directory and after is not None and not request.vanishing:
        exists = request.exists.get(directory)
        if exists is None:
            exists = _exists(prefix, directory, request)
        if not exists and after.kind != "directory":
            return Step(change, _examine_staged(new, path, after, statuses.get(path)))  # most paths of an installation
    covered = None
    if request.vanishing:
        covered = next((directory for directory in ancestors(path) if directory in request.vanishing), None)
    if covered is not None and change.before is not None:
        raise changed(path, f"{covered} is recorded as no directory")
    is_absent = covered is not None or not (not directory or _exists(prefix, directory, request))
    current = None if is_absent else _find(prefix, path, change.before)
    _compare(change, current)
    emptied: tuple[tuple[str, int], ...] = ()
    if current is not None and current.kind == "directory" and is_leaf(after):
        emptied = tuple(_emptied(prefix, path, request))
    staged = None
    if after is not None and is_leaf(after):
        staged = _examine_staged(new, path, after, statuses.get(path))
    known = change if change.before == current else replace(change, before=current)
    return Step(change=known, staged=staged, emptied=emptied)


def _find(prefix: Tree, path: str, expected: Fingerprint | None) -> Fingerprint | None:
    """Return the fingerprint at `path`, hashed only if that can still decide whether it is the expected one."""
    if expected is None or expected.kind != "file" or expected.sha256 is None:
        return prefix.fingerprint(path, hash=False)
    return prefix.fingerprint(path, size=expected.size)


def _compare(change: PathChange, current: Fingerprint | None) -> None:
    path, before, after = change.path, change.before, change.after
    if before is None:
        # Directories are shared, so an existing one is no conflict. `_emptied` checks one that a file replaces.
        if current is not None and (current.kind != "directory" or after is None):
            raise OwnershipError(
                "unowned-path",
                f"{path} exists, and no package owns it",
                hint="move it away, or use --adopt or --set-aside",
                objects={"path": path},
            )
    elif current is None:
        if before.kind != "directory" or after is not None:
            raise changed(path, "it is gone")
    elif current.kind != before.kind:
        raise changed(path, f"it was a {before.kind} and is a {current.kind}")
    elif before.kind == "symlink" and before.link not in {None, current.link}:
        raise changed(path, f"it pointed to {before.link} and points to {current.link}")
    elif before.kind == "file" and before.sha256 not in {None, current.sha256}:
        raise changed(path, "its content differs")


def changed(path: str, how: str) -> OwnershipError:
    """Return the error for a path that differs from the records."""
    return OwnershipError(
        "changed-meanwhile",
        f"{path} differs from the environment's records: {how}",
        context=("nothing was changed",),
        hint="run bridge audit to see what changed, then run the command again",
        objects={"path": path},
    )


def _emptied(prefix: Tree, path: str, request: _ChangeSet) -> Iterator[tuple[str, int]]:
    """Yield the directory `path` and those below, outermost first, with modes, if all else below is removed."""
    directories = [path]
    for entry, is_directory in prefix.walk(path):
        if is_directory:
            directories.append(entry)
        elif entry not in request.removed and not is_kept_open(entry.rpartition("/")[2]):
            raise OwnershipError(
                "unowned-path",
                f"{entry} is in {path}, which is to be replaced, and no package owns it",
                hint="move it away and run the command again",
                objects={"path": entry},
            )
    for directory in sorted(directories):
        status = prefix.lstat(directory)
        if status is not None:
            yield directory, stat.S_IMODE(status.st_mode)


def _examine_staged(new: Tree, path: str, after: Fingerprint, staged: os.stat_result | None) -> Identity:
    status_mode = 0 if staged is None else staged.st_mode
    if staged is None or stat.S_IFMT(status_mode) != (stat.S_IFLNK if after.kind == "symlink" else stat.S_IFREG):
        raise _mismatch(path, "nothing or another kind was staged")
    if after.kind == "symlink":
        if after.link is not None and (link := new.read_link(path)) != after.link:
            raise _mismatch(path, f"link: planned {after.link!r}, staged {link!r}")
    else:
        mode, size = status_mode & 0o7777, after.size
        if size is not None and size != staged.st_size:
            raise _mismatch(path, f"size: planned {after.size}, staged {staged.st_size}")
        if system.HAS_MODES and after.mode is not None and after.mode != mode:
            raise _mismatch(path, f"mode: planned {after.mode:o}, staged {mode:o}")
    return Identity(staged.st_ino, staged.st_size, staged.st_mtime_ns)


def _mismatch(path: str, how: str) -> IntegrityError:
    message = f"{path} was not staged as planned; nothing was changed"
    return IntegrityError("staged-mismatch", message, context=(how,), objects={"path": path})


def _exists(prefix: Tree, directory: str, request: _ChangeSet) -> bool:
    """Whether `directory` exists when the swap creates directories."""
    known = request.exists.get(directory)
    if known is None:
        parent = directory.rpartition("/")[0]
        is_below = not parent or _exists(prefix, parent, request)
        known = is_below and directory not in request.vanishing and prefix.has_directory(directory)
        request.exists[directory] = known
    return known


def _prunable(steps: Iterable[Step], request: _ChangeSet) -> Iterator[str]:
    """Yield directories that may be empty after the swap and should go: parents of removed paths."""
    if not request.removed:
        return
    kept = {META, OWN, *request.wanted, *request.parents}
    switched = {directory for step in steps for directory, _ in step.emptied}
    for path in request.removed:
        before = request.changes[path].before
        own = [path] if before is not None and before.kind == "directory" else []
        yield from (
            directory for directory in (*own, *ancestors(path)) if directory not in kept and directory not in switched
        )


def _require_writable(prefix: Tree, swap: Swap) -> None:
    for directory in sorted(changed_directories(swap).difference(path for path, _ in swap.made)):
        if prefix.has_directory(directory) and not prefix.is_writable(directory):
            raise FaultError(
                "permission-denied",
                f"{prefix.root / directory} cannot be written; nothing was changed",
                hint="check who owns it and may write there",
                objects={"path": directory},
            )

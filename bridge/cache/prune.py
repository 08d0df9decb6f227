"""`bridge cache`: where the caches are, how large they are, and making them smaller.

What lies in a cache is never the only one of its kind: whatever is removed is fetched, packed or built again. Commands
that read archives hold the cache shared while they do; pruning wants it alone, and refuses rather than takes a file
away from under another process.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bridge import fs
from bridge.cache.wheels import is_whole
from bridge.errors import BridgeError, FaultError, PrefixLockedError
from bridge.faults import faults

__all__ = ["CachePart", "Inspection", "in_use", "inspect", "prune"]

_LOCK = ".lock"
_TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.bridge-tmp\Z")
_ABANDONED = 3600.0  # seconds after which a temporary file is nobody's
_ARTIFACT = re.compile(r"artifacts/sha256/[0-9a-f]{2}/([0-9a-f]{64})/[^/]+\Z")
_UNPACKED = re.compile(r"unpacked/[0-9a-f]{2}/[0-9a-f]{64}\.unpacked\Z")
_ORIGINALS = re.compile(r"originals/[^/]+")
_MARK = "/info/paths.json"
_WHAT = {
    "artifacts": "archives of packages, by their sha256",
    "built": "wheels built of source distributions",
    "host": "the interpreter as a package",
    "http": "pages of indexes",
    "judged": "what conda packages were judged to hold",
    "metadata": "metadata of wheels",
    "originals": "files of conda packages before the prefix was written in, for conda-pack",
    "repodata": "records of channels",
    "unpacked": "wheels as they are placed, inflated and judged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePart:
    """One folder of the cache: what it holds, in how many files, of how many bytes."""

    name: str
    what: str
    files: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The cache as it is. `damaged` are archives that are not what their name says; `removed` and `freed` (bytes) say
    what pruning took away.
    """

    folder: Path
    parts: tuple[CachePart, ...]
    damaged: tuple[str, ...] = ()
    removed: int = 0
    freed: int = 0

    def to_json(self) -> dict[str, object]:
        """The document of `bridge cache --json`."""
        return {
            "folder": str(self.folder),
            "files": sum(part.files for part in self.parts),
            "size": sum(part.size for part in self.parts),
            "parts": [
                {"name": part.name, "what": part.what, "files": part.files, "size": part.size} for part in self.parts
            ],
            "damaged": list(self.damaged),
            "removed": self.removed,
            "freed": self.freed,
        }


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Hold the cache, with any number of other processes, so that nobody prunes it meanwhile; waits for who does.

    A cache that cannot be written is not pruned either, and needs no holding.
    """
    descriptor = None
    with suppress(BridgeError, OSError):
        fs.make_directories(folder)
        descriptor = _locked(folder, fcntl.LOCK_SH)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def inspect(folder: Path, *, verifies: bool = False) -> Inspection:
    """How large each part is; with `verifies` every archive is read and held against its sha256.

    Raises `FaultError` where a folder cannot be read.
    """
    counted = {name: [0, 0] for name in _WHAT if (folder / name).is_dir()}
    damaged = []
    for path, found in _files(folder):
        name = path.partition("/")[0] if "/" in path else ""
        if path != _LOCK:
            sizes = counted.setdefault(name, [0, 0])
            sizes[0] += 1
            sizes[1] += found.st_size
        if verifies and _is_damaged(folder, path):
            damaged.append(path)
    parts = (
        CachePart(name=name or ".", what=_WHAT.get(name, "other files"), files=count, size=size)
        for name, (count, size) in sorted(counted.items())
    )
    return Inspection(folder=folder, parts=tuple(parts), damaged=tuple(damaged))


def prune(folder: Path, *, before: float, now: float) -> Inspection:
    """Remove what was not used since `before` (seconds since the epoch), what is damaged, and what was left half done.

    When a file was used is what its file system says of its last reading or writing, to a day or so.

    Raises `PrefixLockedError` (`cache-in-use`) where another process reads from the cache; `FaultError` where the
    system refused.
    """
    if not folder.is_dir():
        return Inspection(folder=folder, parts=())
    damaged, removed, freed = [], 0, 0
    with faults(folder):
        descriptor = _locked(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if descriptor is None:
        raise PrefixLockedError(
            "cache-in-use",
            f"another command reads from the cache {folder}; nothing was removed",
            hint="run it again when that has ended",
        )
    try:
        with fs.WritableTree(folder) as tree:
            files = list(_files(folder))
            # conda-pack stops at a folder without its paths.json: by that file's time all of it goes, or nothing.
            marks = {path.removesuffix(_MARK): found for path, found in files if path.endswith(_MARK)}
            for path, found in files:
                is_damaged = _is_damaged(folder, path)
                if is_damaged:
                    damaged.append(path)
                used = marks.get(whole[0], found) if (whole := _ORIGINALS.match(path)) else found
                if path != _LOCK and (is_damaged or _is_stale(path, used, before, now)):
                    tree.unlink(path)
                    removed, freed = removed + 1, freed + found.st_size
            for path, is_directory in list(tree.walk("")):
                if is_directory:
                    tree.remove_directory(path)  # Where nothing is left in it.
    finally:
        os.close(descriptor)
    left = inspect(folder)
    return Inspection(folder=folder, parts=left.parts, damaged=tuple(damaged), removed=removed, freed=freed)


def _locked(folder: Path, how: int) -> int | None:
    with fs.WritableTree(folder) as tree:
        descriptor = tree.open_lock(_LOCK)
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _is_stale(path: str, found: os.stat_result, before: float, now: float) -> bool:
    used = max(found.st_atime, found.st_mtime)
    if _TEMPORARY.search(path.rpartition("/")[2]):
        return found.st_mtime < now - _ABANDONED
    return used <= before


def _is_damaged(folder: Path, path: str) -> bool:
    promised = _ARTIFACT.match(path)
    is_unpacked = _UNPACKED.match(path) is not None
    if not (promised or is_unpacked) or _TEMPORARY.search(path):
        return False
    try:
        if promised is None:
            return not is_whole(folder / path)
        return fs.hash_regular(folder / path, root=folder) != promised[1]
    except OSError:
        return True


def _files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below `folder` by its relative path; links are not followed."""
    if not folder.is_dir():
        return
    with fs.Tree(folder) as tree:
        for path, is_directory in tree.walk(""):
            if is_directory:
                continue
            with suppress(FaultError):
                found = tree.lstat(path)
                if found is not None and stat.S_ISREG(found.st_mode):
                    yield path, found

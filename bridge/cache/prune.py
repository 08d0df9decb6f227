"""`bridge cache`: where the caches are, their size, and how to shrink them.

Whatever is removed can be fetched, packed or built again. Commands that read archives hold a shared lock on the cache;
pruning needs the exclusive lock, and refuses to remove files under another process.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from bridge import fs
from bridge.cache import packages, wheels
from bridge.errors import BridgeError, FaultError, PrefixLockedError
from bridge.faults import faults
from converters.deferred import dataclass, regex

__all__ = ["CachePart", "Inspection", "in_use", "inspect", "prune"]

_LOCK = ".lock"
_TEMPORARY = regex(r"\.[0-9a-f]{16}\.bridge-tmp\Z")
_ABANDONED = 3600.0  # seconds after which a temporary file is abandoned
_ARTIFACT = regex(r"artifacts/sha256/[0-9a-f]{2}/([0-9a-f]{64})/[^/]+\Z")
_UNPACKED = regex(r"unpacked/[0-9a-f]{2}/[0-9a-f]{64}\.(unpacked|package)\Z")
_LINKED = regex(r"linked/([0-9a-f]{64})-[0-7]+\Z")
_ORIGINALS = regex(r"originals/[^/]+")
_PATHS = "/info/paths.json"
_WHAT = {
    "artifacts": "archives of packages, by their sha256",
    "audit": "reports of the last audits",
    "built": "wheels built of source distributions",
    "host": "the interpreter as a package",
    "http": "pages of indexes",
    "linked": "files that environments share as hard links",
    "judged": "manifests of validated conda packages",
    "locks": "what the locks that were synced say, until these change",
    "machine": "the virtual packages of this machine, until it starts again",
    "metadata": "metadata of wheels",
    "originals": "files of conda packages before the prefix was written in, for conda-pack",
    "pages": "what the pages of indexes list",
    "records": "what the records of environments say, until these change",
    "repodata": "records of channels",
    "results": "what `packaging` made of requirements, markers and versions",
    "settled": "requests that change nothing in an environment",
    "unpacked": "wheels and conda packages, unpacked and validated",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePart:
    """One directory of the cache; `what` describes it, `size` is in bytes."""

    name: str
    what: str
    files: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The state of the cache; `damaged` has a wrong hash, `removed` (files) and `freed` (bytes) were pruned."""

    directory: Path
    parts: tuple[CachePart, ...]
    damaged: tuple[str, ...] = ()
    removed: int = 0
    freed: int = 0

    def to_json(self) -> dict[str, object]:
        """The document of `bridge cache --json`."""
        return {
            "folder": str(self.directory),
            "files": sum(part.files for part in self.parts),
            "size": sum(part.size for part in self.parts),
            "parts": [asdict(part) for part in self.parts],
            "damaged": list(self.damaged),
            "removed": self.removed,
            "freed": self.freed,
        }


@contextmanager
def in_use(directory: Path) -> Iterator[None]:
    """Hold a shared lock on the cache so that nobody prunes it. A cache that cannot be written needs no lock."""
    descriptor = None
    with suppress(BridgeError, OSError):
        fs.make_directories(directory)
        descriptor = _locked(directory, is_shared=True, waits=True)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def inspect(directory: Path, *, verifies: bool = False) -> Inspection:
    """Measure each part; with `verifies` compare every archive with its sha256. Raises `FaultError`."""
    counted = {name: [0, 0] for name in _WHAT if (directory / name).is_dir()}
    damaged = []
    for path, status in _files(directory):
        name = path.partition("/")[0] if "/" in path else ""
        if path != _LOCK:
            sizes = counted.setdefault(name, [0, 0])
            sizes[0] += 1
            sizes[1] += status.st_size
        if verifies and _is_damaged(directory, path):
            damaged.append(path)
    parts = (
        CachePart(name=name or ".", what=_WHAT.get(name, "other files"), files=count, size=size)
        for name, (count, size) in sorted(counted.items())
    )
    return Inspection(directory=directory, parts=tuple(parts), damaged=tuple(damaged))


def prune(directory: Path, *, before: float, now: float) -> Inspection:
    """Remove files not used since `before` (seconds since the epoch), damaged files and abandoned temporary files.

    The last use is the later of atime and mtime, accurate to a day or so. Raises `PrefixLockedError` (`cache-in-use`)
    if another process reads from the cache, `FaultError`.
    """
    if not directory.is_dir():
        return Inspection(directory=directory, parts=())
    damaged, removed, freed = [], 0, 0
    with faults(directory):
        descriptor = _locked(directory, is_shared=False, waits=False)
    if descriptor is None:
        raise PrefixLockedError(
            "cache-in-use",
            f"another command reads from the cache {directory}; nothing was removed",
            hint="run it again when that command has ended",
        )
    try:
        with fs.WritableTree(directory) as tree:
            files = list(_files(directory))
            # conda-pack fails on a package without its paths.json, so that file's time decides for the whole package.
            packages = {path.removesuffix(_PATHS): status for path, status in files if path.endswith(_PATHS)}
            for path, file_status in files:
                is_damaged = _is_damaged(directory, path)
                if is_damaged:
                    damaged.append(path)
                used = packages.get(package[0], file_status) if (package := _ORIGINALS.match(path)) else file_status
                if path != _LOCK and (is_damaged or _is_stale(path, used, before, now)):
                    tree.unlink(path)
                    removed, freed = removed + 1, freed + file_status.st_size
            for path, is_directory in list(tree.walk("")):
                if is_directory:
                    tree.remove_directory(path)  # only if empty
    finally:
        os.close(descriptor)
    left = inspect(directory)
    return Inspection(directory=directory, parts=left.parts, damaged=tuple(damaged), removed=removed, freed=freed)


def _locked(directory: Path, *, is_shared: bool, waits: bool) -> int | None:
    with fs.WritableTree(directory) as tree:
        descriptor = tree.open_lock(_LOCK)
    try:
        if fs.try_lock(descriptor, is_shared=is_shared, waits=waits):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_stale(path: str, status: os.stat_result, before: float, now: float) -> bool:
    if _LINKED.match(path):
        # Its times tell nothing of its use, and while an environment has it too, removing it frees no space.
        return status.st_nlink == 1 and status.st_ctime <= before
    used = max(status.st_atime, status.st_mtime)
    if _TEMPORARY.search(path.rpartition("/")[2]):
        return status.st_mtime < now - _ABANDONED
    return used <= before


def _is_damaged(directory: Path, path: str) -> bool:
    promised = _ARTIFACT.match(path) or _LINKED.match(path)
    unpacked = _UNPACKED.match(path)
    if not (promised or unpacked) or _TEMPORARY.search(path):
        return False
    try:
        if unpacked is not None:
            return not (packages if unpacked[1] == "package" else wheels).is_intact(directory / path)
        if promised is None:
            return False
        return fs.hash_regular(directory / path, root=directory) != promised[1]
    except OSError:
        return True


def _files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The regular files below `directory` by relative path; links are not followed."""
    if not directory.is_dir():
        return
    with fs.Tree(directory) as tree:
        for path, is_directory in tree.walk(""):
            if is_directory:
                continue
            with suppress(FaultError):
                status = tree.lstat(path)
                if status is not None and stat.S_ISREG(status.st_mode):
                    yield path, status

"""Read `lstat` of every path of a prefix once, for comparison with a cached report and for a new audit.

The result is kept in columns, because most paths are only counted and compared.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from bridge.errors import FaultError
from bridge.fs.processes import Spread, processors, spread
from bridge.fs.statuses import Statuses, statuses_of
from bridge.fs.unchanged import Identity, identity_of
from bridge.paths import META, OWN
from converters.deferred import dataclass

__all__ = ["Directory", "Tree", "Walk", "read_tree", "walking"]

_DEPTH = 4  # `lib/python3.12/site-packages/NAME`: everything below such a directory is one task
_MANY = 64  # tasks from which forking pays

PackageRow = tuple[str, bytes, bytes]  # a directory, the names in it, sorted and parted by NUL, and their statuses
Group = list[PackageRow]  # of one task


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """One directory, and the statuses of its entries, in the order of `names`.

    :param path: prefix-relative; `""` for the prefix itself.
    """

    path: str
    names: tuple[str, ...]
    statuses: Statuses


class Tree:
    """Every path of a prefix except bridge's own directory.

    :param groups: the rows of each task.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups

    @cached_property
    def newest(self) -> int:
        """The newest `st_ctime`, in ns since the epoch."""
        return max((Statuses(packed=packed).newest for group in self._groups for _, _, packed in group), default=0)

    def directories(self) -> Iterator[Directory]:
        """Parents before children."""
        for directory, names, packed in _ordered({row[0]: row for group in self._groups for row in group}):
            listed = tuple(os.fsdecode(names).split("\0")) if names else ()
            yield Directory(path=directory, names=listed, statuses=Statuses(packed=packed))


class Walk:
    """A walk through a prefix, in progress.

    `started` is the time when it started, in ns since the epoch.
    """

    def __init__(self, prefix: str, running: Spread[Group], started: int, records: Identity | None) -> None:
        """:param records: the identity of the directory of records when the walk started."""
        self.started = started
        self._prefix = prefix
        self._running = running
        self._records = records

    def holds(self, prefix: str) -> bool:
        """Whether this is a walk through `prefix`, and no package was changed there since it started."""
        return self._prefix == prefix and self._records == _records(prefix)

    @cached_property
    def signature(self) -> str:
        """A digest of names, inodes, modes, sizes, times and link counts; of directories no sizes and times.

        (bridge's own files change the times of conda-meta, which is no change for an audit.)
        Needs less than `tree`. Raises `FaultError` (`prefix-unreadable`).
        """
        return hashlib.blake2b(b"".join(self._running.briefs), digest_size=32).hexdigest()

    @cached_property
    def tree(self) -> Tree:
        """The tree, with the help of this process. Raises `FaultError` (`prefix-unreadable`)."""
        return Tree(self._running.results())


@contextmanager
def walking(prefix: str, jobs: int | None = None) -> Iterator[Walk]:
    """Start to read every path of `prefix` without following links.

    :param jobs: processes that share it, which costs about 3 µs a path; `None`: one for each processor.
    Raises `FaultError` (`prefix-unreadable`) where a directory cannot be listed.
    """
    started, records = time.time_ns(), _records(prefix)
    read = _Reader(prefix)
    with spread(
        read, len(read), (jobs or processors()) if len(read) >= _MANY else 1, takes_part=True, brief=_digest
    ) as running:
        yield Walk(prefix, running, started, records)


def _records(prefix: str) -> Identity | None:
    try:
        return identity_of(f"{prefix}/{META}")
    except (OSError, ValueError):
        return None


def read_tree(prefix: str, jobs: int | None = None) -> Tree:
    """Read every path of `prefix`, as `walking`."""
    with walking(prefix, jobs) as walk:
        return walk.tree


def _digest(rows: Iterable[PackageRow]) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for directory, names, packed in rows:
        digest.update(b"%b\0%b\0\0%b" % (os.fsencode(directory), names, packed))
    return digest.digest()


class _Reader:
    """The tasks: each upper directory alone, and each lower one with everything below it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._tops, self._roots = _plan(prefix)

    def __len__(self) -> int:
        return len(self._tops) + len(self._roots)

    def __call__(self, number: int) -> Group:
        if number < len(self._tops):
            return [_read_directory(self._prefix, self._tops[number])[0]]
        pending, rows = [self._roots[number - len(self._tops)]], []
        while pending:
            row, below = _read_directory(self._prefix, pending.pop())
            rows.append(row)
            pending += below
        return rows


def _plan(prefix: str) -> tuple[list[str], list[str]]:
    """The directories less than `_DEPTH` deep, and those at that depth."""
    tops, level = [], [""]
    for _ in range(_DEPTH):
        tops += level
        level = [
            path
            for directory in level
            for entry in _list(prefix, directory)
            if entry.is_dir(follow_symlinks=False) and (path := _join(directory, entry.name)) != OWN
        ]
    return tops, level


def _read_directory(prefix: str, directory: str) -> tuple[PackageRow, list[str]]:
    """A directory's row, and its subdirectories."""
    try:  # Relative to a descriptor, the kernel resolves one name for each path, not all of its parents.
        descriptor = os.open(f"{prefix}/{directory}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listed = os.listdir(descriptor)
            if directory == META and (own := OWN.rpartition("/")[2]) in listed:
                listed.remove(own)
            names, packed = statuses_of(
                descriptor, os.fsencode("\0".join(sorted(listed))).split(b"\0") if listed else ()
            )
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):  # It was removed meanwhile.
        return (directory, b"", b""), []
    except OSError as error:
        raise _unreadable(prefix, directory, error) from error
    below = [_join(directory, os.fsdecode(names[row])) for row in Statuses(packed=packed).directories]
    return (directory, b"\0".join(names), packed), below


def _list(prefix: str, directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(f"{prefix}/{directory}") as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(prefix, directory, error) from error


def _unreadable(prefix: str, directory: str, error: OSError) -> FaultError:
    hint = "run the audit as the owner of the environment"
    return FaultError("prefix-unreadable", f"{prefix}/{directory} cannot be listed: {error.strerror}", hint=hint)


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name


def _ordered(rows: dict[str, PackageRow]) -> Iterator[PackageRow]:
    """In preorder, subdirectories by name."""
    below: dict[str, list[str]] = {}
    for directory in rows:
        if directory:
            below.setdefault(directory.rpartition("/")[0], []).append(directory)
    pending = [""]
    while pending:
        directory = pending.pop()
        yield rows[directory]
        pending += sorted(below.get(directory, ()), key=lambda path: path.rpartition("/")[2], reverse=True)

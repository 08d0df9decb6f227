"""Read `lstat` of every path of a prefix once, for comparison with a cached report and for a new audit.

The result is kept in columns, six numbers for each path, because most paths are only counted and compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from operator import attrgetter, itemgetter

from bridge.errors import FaultError
from bridge.fs.processes import Spread, processors, spread
from bridge.fs.unchanged import Identity, identity_of
from bridge.paths import META, OWN
from converters.deferred import dataclass

__all__ = ["Directory", "Tree", "Walk", "read_tree", "walking"]

_Getter = Callable[[os.stat_result], int]
# Modes, sizes, links, change times, other times, inodes. By index where there is one, which takes half of the time.
_FIELDS: tuple[_Getter, ...] = (
    *map(itemgetter, (stat.ST_MODE, stat.ST_SIZE, stat.ST_NLINK)),
    *map(attrgetter, ("st_ctime_ns", "st_mtime_ns")),
    itemgetter(stat.ST_INO),
)
_WIDTH = len(_FIELDS)
_name = attrgetter("name")
_WORD = (1 << 64) - 1
_DEPTH = 4  # `lib/python3.12/site-packages/NAME`: everything below such a directory is one task
_MANY = 64  # tasks from which forking pays

PackageRow = tuple[str, str, bytes]  # a directory, the names in it, sorted and parted by NUL, and columns of numbers
Group = list[PackageRow]  # of one task


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """One directory, with the columns of its entries, in the order of `names`.

    :param path: prefix-relative; `""` for the prefix itself.
    :param modes: `st_mode`; `sizes`: bytes, 0 for directories; `links`: the link count of the inode.
    """

    path: str
    names: tuple[str, ...]
    modes: array[int]
    sizes: array[int]
    links: array[int]


class Tree:
    """Every path of a prefix except bridge's own directory.

    :param groups: the rows of each task.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups

    @cached_property
    def newest(self) -> int:
        """The newest `st_ctime`, in ns since the epoch."""
        rows = (numbers for group in self._groups for _, names, numbers in group if names)
        return max((max(_columns(row)[3]) for row in rows), default=0)

    def directories(self) -> Iterator[Directory]:
        """Parents before children."""
        for directory, names, row in _ordered({row[0]: row for group in self._groups for row in group}):
            modes, sizes, links, *_ = _columns(row)
            yield Directory(
                path=directory, names=tuple(names.split("\0")) if names else (), modes=modes, sizes=sizes, links=links
            )


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
    for directory, names, numbers in rows:
        digest.update(f"{directory}\0{names}\0\0".encode("utf-8", "surrogatepass"))
        digest.update(numbers)
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
            for entry in _list(f"{prefix}/{directory}", prefix, directory)
            if entry.is_dir(follow_symlinks=False) and (path := _join(directory, entry.name)) != OWN
        ]
    return tops, level


def _read_directory(prefix: str, directory: str) -> tuple[PackageRow, list[str]]:
    """A directory's row, and its subdirectories."""
    try:
        descriptor = os.open(f"{prefix}/{directory}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):  # It was removed meanwhile.
        return (directory, "", b""), []
    except OSError as error:
        raise _unreadable(prefix, directory, error) from error
    try:  # Relative to a descriptor, the kernel resolves one name for each path, not all of its parents.
        entries = sorted(_list(descriptor, prefix, directory), key=_name)
        if directory == "conda-meta":
            entries = [entry for entry in entries if f"{directory}/{entry.name}" != OWN]
        try:
            found = [entry.stat(follow_symlinks=False) for entry in entries]
        except FileNotFoundError:
            entries, found = _existing(entries)
    finally:
        os.close(descriptor)
    names = [entry.name for entry in entries]
    columns = [list(map(field, found)) for field in _FIELDS]
    below = []
    for index in [index for index, mode in enumerate(columns[0]) if stat.S_ISDIR(mode)]:
        below.append(_join(directory, names[index]))
        for column in (1, 3, 4):  # of directories no sizes and times
            columns[column][index] = 0
    return (directory, "\0".join(names), _packed(columns)), below


def _existing(entries: Iterable[os.DirEntry[str]]) -> tuple[list[os.DirEntry[str]], list[os.stat_result]]:
    """Those that were not removed meanwhile."""
    kept, found = [], []
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            found.append(entry.stat(follow_symlinks=False))
            kept.append(entry)
    return kept, found


def _list(source: str | int, prefix: str, directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(source) as entries:
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


def _packed(columns: list[list[int]]) -> bytes:
    numbers = list(chain.from_iterable(columns))
    try:
        return array("q", numbers).tobytes()
    except OverflowError:  # Some file systems use all 64 bits of inode numbers.
        return array("Q", [number & _WORD for number in numbers]).tobytes()


def _columns(row: bytes) -> list[array[int]]:
    numbers = array("q")
    numbers.frombytes(row)
    count = len(numbers) // _WIDTH
    return [numbers[start : start + count] for start in range(0, len(numbers), count or 1)] or [numbers] * _WIDTH


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

"""What `lstat` says of everything in a prefix, read once: what a remembered audit is compared with, and what an audit
looks at where there is none.

It is kept in columns, one row of six numbers for each path, for most paths are only ever counted and compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import TypeVar

from bridge.errors import FaultError
from bridge.paths import OWN
from bridge.prefix.processes import Spread, processors, spread

__all__ = ["Folder", "Tree", "read_tree", "signature_of"]

T = TypeVar("T")

_FIELDS = ("st_mode", "st_size", "st_nlink", "st_ctime_ns", "st_mtime_ns", "st_ino")
_WIDTH = len(_FIELDS)
_fields = attrgetter(*_FIELDS)
_name = attrgetter("name")
_WORD = (1 << 64) - 1
_DEPTH = 4  # `lib/python3.12/site-packages/NAME`: what lies below one such folder is one task
_MANY = 64  # tasks from which copies of this process are worth their start

PackageRow = tuple[str, str, bytes]  # a folder, the names in it, sorted and parted by NUL, and their numbers


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder, with the columns of what lies in it, in the order of `names`.

    :param path: prefix-relative; `""` for the prefix itself.
    :param modes: `st_mode`; `sizes`: bytes, 0 for folders; `links`: how many names the inode has.
    """

    path: str
    names: tuple[str, ...]
    modes: array[int]
    sizes: array[int]
    links: array[int]


class Tree:
    """Every path of a prefix but bridge's own folder.

    :param groups: the rows of each task.
    """

    def __init__(self, groups: Sequence[Sequence[PackageRow]]) -> None:
        self._groups = groups

    @cached_property
    def signature(self) -> str:
        """What `signature_of` gives for the same prefix."""
        return _combined(map(_digest, self._groups))

    @cached_property
    def newest(self) -> int:
        """The newest change of a file (`st_ctime`), in ns since the epoch."""
        rows = (numbers for group in self._groups for _, names, numbers in group if names)
        return max((max(_numbers(row)[3::_WIDTH]) for row in rows), default=0)

    def folders(self) -> Iterator[Folder]:
        """A folder comes before what lies below it."""
        for folder, names, row in _ordered({row[0]: row for group in self._groups for row in group}):
            numbers = _numbers(row)
            yield Folder(
                path=folder,
                names=tuple(names.split("\0")) if names else (),
                modes=numbers[0::_WIDTH],
                sizes=numbers[1::_WIDTH],
                links=numbers[2::_WIDTH],
            )


def read_tree(prefix: str, jobs: int | None = None, meanwhile: Callable[[], object] | None = None) -> Tree:
    """Look at every path of `prefix`, without following links. Costs about 3 µs a path, shared by `jobs` processes.

    :param jobs: `None`: one for each processor.
    :param meanwhile: what this process may do while others look.
    Raises `FaultError` (`prefix-unreadable`) where a folder may not be listed.
    """
    read = _Reader(prefix)
    with _looking(read, len(read), jobs) as reading:
        if meanwhile is not None:
            meanwhile()
        return Tree(reading.results())


def signature_of(prefix: str, jobs: int | None = None) -> str:
    """A digest of names, inodes, modes, sizes, times and link counts of what is there; of folders no size, no times.

    The folder of records changes with bridge's own files in it, whose comings are none of an audit's. Takes less time
    than `read_tree`, since nothing else comes back, and raises as that.
    """
    read = _Reader(prefix)
    with _looking(lambda number: _digest(read(number)), len(read), jobs) as reading:
        return _combined(reading.results())


def _looking(task: Callable[[int], T], count: int, jobs: int | None) -> AbstractContextManager[Spread[T]]:
    return spread(task, count, (jobs or processors()) if count >= _MANY else 1)


def _digest(rows: Iterable[PackageRow]) -> bytes:
    digest = hashlib.blake2b(digest_size=32)
    for folder, names, numbers in rows:
        digest.update(f"{folder}\0{names}\0\0".encode("utf-8", "surrogatepass"))
        digest.update(numbers)
    return digest.digest()


def _combined(digests: Iterable[bytes]) -> str:
    return hashlib.blake2b(b"".join(digests), digest_size=32).hexdigest()


class _Reader:
    """The tasks: each of the upper folders by itself, and each of the lower ones with all below it."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._tops, self._roots = _plan(prefix)

    def __len__(self) -> int:
        return len(self._tops) + len(self._roots)

    def __call__(self, number: int) -> list[PackageRow]:
        if number < len(self._tops):
            return [_read_folder(self._prefix, self._tops[number])[0]]
        pending, found = [self._roots[number - len(self._tops)]], []
        while pending:
            row, below = _read_folder(self._prefix, pending.pop())
            found.append(row)
            pending += below
        return found


def _plan(prefix: str) -> tuple[list[str], list[str]]:
    """The folders less than `_DEPTH` deep, and those that are as deep."""
    tops, level = [], [""]
    for _ in range(_DEPTH):
        tops += level
        level = [
            path
            for folder in level
            for entry in _scan(prefix, folder)
            if entry.is_dir(follow_symlinks=False) and (path := _join(folder, entry.name)) != OWN
        ]
    return tops, level


def _read_folder(prefix: str, folder: str) -> tuple[PackageRow, list[str]]:
    """A folder's row, and the folders in it."""
    try:
        descriptor = os.open(f"{prefix}/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):  # It went while we were looking.
        return (folder, "", b""), []
    except OSError as error:
        raise _unreadable(prefix, folder, error) from error
    try:  # By the folder's descriptor, the system looks up one name for each path, and not all that lead there.
        entries = sorted(_list(descriptor, prefix, folder), key=_name)
        if folder == "conda-meta":
            entries = [entry for entry in entries if f"{folder}/{entry.name}" != OWN]
        try:
            rows = [_fields(entry.stat(follow_symlinks=False)) for entry in entries]
        except FileNotFoundError:
            entries, rows = _still_there(entries)
    finally:
        os.close(descriptor)
    names = [entry.name for entry in entries]
    below = []
    for index in [index for index, row in enumerate(rows) if stat.S_ISDIR(row[0])]:
        below.append(_join(folder, names[index]))
        mode, _, links, _, _, inode = rows[index]
        rows[index] = (mode, 0, links, 0, 0, inode)
    return (folder, "\0".join(names), _packed(rows)), below


def _still_there(entries: Iterable[os.DirEntry[str]]) -> tuple[list[os.DirEntry[str]], list[tuple[int, ...]]]:
    """Those that did not go while we were looking."""
    kept, rows = [], []
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            rows.append(_fields(entry.stat(follow_symlinks=False)))
            kept.append(entry)
    return kept, rows


def _scan(prefix: str, folder: str) -> list[os.DirEntry[str]]:
    return _list(f"{prefix}/{folder}", prefix, folder)


def _list(place: str | int, prefix: str, folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise _unreadable(prefix, folder, error) from error


def _unreadable(prefix: str, folder: str, error: OSError) -> FaultError:
    return FaultError("prefix-unreadable", f"{prefix}/{folder} cannot be listed: {error.strerror}")


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _packed(rows: list[tuple[int, ...]]) -> bytes:
    try:
        return array("q", chain.from_iterable(rows)).tobytes()
    except OverflowError:  # Inode numbers of some file systems use all 64 bits.
        return array("Q", [number & _WORD for number in chain.from_iterable(rows)]).tobytes()


def _numbers(row: bytes) -> array[int]:
    numbers = array("q")
    numbers.frombytes(row)
    return numbers


def _ordered(found: dict[str, PackageRow]) -> Iterator[PackageRow]:
    """Preorder: all that lies in a folder, then each folder in it, by name."""
    below: dict[str, list[str]] = {}
    for folder in found:
        if folder:
            below.setdefault(folder.rpartition("/")[0], []).append(folder)
    pending = [""]
    while pending:
        folder = pending.pop()
        yield found[folder]
        pending += sorted(below.get(folder, ()), key=lambda path: path.rpartition("/")[2], reverse=True)

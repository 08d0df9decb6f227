"""Read `lstat` of every path of a prefix once, for comparison with a cached report and for a new audit.

The result is kept in columns, because most paths are only counted and compared.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

from bridge.audit.look.ahead import MANY, take
from bridge.audit.look.statuses import Statuses
from bridge.audit.look.walker import Group, PackageRow, Reader, digest_of, identity_of_records
from bridge.errors import FaultError
from bridge.fs.digests import sha256_hex
from bridge.fs.processes import Spread, continued, processors, spread
from converters.deferred import dataclass

__all__ = ["Directory", "Tree", "Walk", "read_tree", "walking"]


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
        return max((Statuses(packed).newest for group in self._groups for _, _, packed, _ in group), default=0)

    def listed(self) -> Iterator[tuple[str, bytes, bytes]]:
        """The directories, with the names in them and their identities (`bridge.audit.look.listed`)."""
        return ((directory, names, identity) for group in self._groups for directory, names, _, identity in group)

    def directories(self) -> Iterator[Directory]:
        """Parents before children; the names in each are sorted."""
        for directory, names, packed, _ in _ordered({row[0]: row for group in self._groups for row in group}):
            listed = os.fsdecode(names).split("\0") if names else []
            order = sorted(range(len(listed)), key=listed.__getitem__)
            ordered = tuple(map(listed.__getitem__, order))
            yield Directory(path=directory, names=ordered, statuses=Statuses(packed, order))


class Walk:
    """A walk through a prefix, in progress.

    `started` is the time when it started, in ns since the epoch.
    """

    def __init__(self, prefix: str, running: Spread[Group], started: int, records: tuple[int, ...] | None) -> None:
        """:param records: the identity of the directory of records when the walk started."""
        self.started = started
        self._prefix = prefix
        self._running = running
        self._records = records

    def holds(self, prefix: str) -> bool:
        """Whether this is a walk through `prefix`, and no package was changed there since it started."""
        return self._prefix == prefix and self._records == identity_of_records(prefix)

    @cached_property
    def signature(self) -> str:
        """A digest of names, inodes, modes, sizes, times and link counts; of directories no sizes and times.

        (bridge's own files change the times of conda-meta, which is no change for an audit.)
        Needs less than `tree`. Raises `FaultError` (`prefix-unreadable`).
        """
        with _readable():
            return sha256_hex(b"".join(self._running.briefs))

    @cached_property
    def tree(self) -> Tree:
        """The tree, with the help of this process. Raises `FaultError` (`prefix-unreadable`)."""
        with _readable():
            return Tree(self._running.results())


@contextmanager
def walking(prefix: str, jobs: int | None = None) -> Iterator[Walk]:
    """Start to read every path of `prefix` without following links, or go on with what `ahead` has started.

    :param jobs: processes that share it, which costs about 3 µs a path; `None`: one for each processor.
    Raises `FaultError` (`prefix-unreadable`) where a directory cannot be listed.
    """
    begun = take(prefix)
    if begun is not None:
        with continued(begun.read, len(begun.read), begun.copies, begun.tokens, digest_of) as running:
            yield Walk(prefix, running, begun.started, begun.records)
        return
    started, records = time.time_ns(), identity_of_records(prefix)
    with _readable():
        read = Reader(prefix)
    jobs = (jobs or processors()) if len(read) >= MANY else 1
    with spread(read, len(read), jobs, takes_part=True, brief=digest_of) as running:
        yield Walk(prefix, running, started, records)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "run the audit as the owner of the environment"
        message = f"{error.filename} cannot be listed: {error.strerror}"
        raise FaultError("prefix-unreadable", message, hint=hint) from error


def read_tree(prefix: str, jobs: int | None = None) -> Tree:
    """Read every path of `prefix`, as `walking`."""
    with walking(prefix, jobs) as walk:
        return walk.tree


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

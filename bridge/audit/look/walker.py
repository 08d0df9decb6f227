"""The tasks of a walk through a prefix: names and statuses of all paths, in groups that processes share.

Imports only modules of Python that a start needs anyway (`bridge.audit.look.ahead`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from bridge.audit.look.listed import Listed, blake2b, directory_identity
from bridge.audit.look.statuses import Statuses, statuses_of

__all__ = ["Group", "PackageRow", "Reader", "digest_of", "identity_of_records"]

_META, _OWN = "conda-meta", ".bridge"  # as in `bridge.paths`
_DEPTH = 4  # `lib/python3.12/site-packages/NAME`: everything below such a directory is one task

# A directory, the names in it, as the system lists them and parted by NUL, their statuses, and its own identity.
PackageRow = tuple[str, bytes, bytes, bytes]
Group = list[PackageRow]  # of one task


class Reader:
    """The tasks: each upper directory alone, and each lower one with everything below it.

    It and its calls raise `OSError` with a filename where a directory cannot be listed.
    """

    def __init__(self, prefix: str, listed: Listed | None = None) -> None:
        """:param listed: what an earlier audit listed."""
        self._prefix, self._listed = prefix, listed or {}
        self._tops, self._roots = _plan(prefix)

    def __len__(self) -> int:
        return len(self._tops) + len(self._roots)

    def __call__(self, number: int) -> Group:
        if number < len(self._tops):
            return [_read_directory(self._prefix, self._tops[number], self._listed)[0]]
        pending, rows = [self._roots[number - len(self._tops)]], []
        while pending:
            row, below = _read_directory(self._prefix, pending.pop(), self._listed)
            rows.append(row)
            pending += below
        return rows


def digest_of(rows: Iterable[PackageRow]) -> bytes:
    """A hash of names and statuses. It has the system's order of names, which changes with a directory at most."""
    digest = blake2b(digest_size=32)
    for directory, names, packed, _ in rows:
        digest.update(b"%b\0%b\0\0%b" % (os.fsencode(directory), names, packed))
    return digest.digest()


def identity_of_records(prefix: str) -> tuple[int, ...] | None:
    """What the directory of records is now: any change of packages gives another; `None` without one."""
    try:
        status = os.stat(f"{prefix}/{_META}")
    except (OSError, ValueError):
        return None
    return status.st_ino, status.st_mode, status.st_mtime_ns, status.st_ctime_ns


def _plan(prefix: str) -> tuple[list[str], list[str]]:
    """The directories less than `_DEPTH` deep, and those at that depth."""
    tops, level = [], [""]
    for _ in range(_DEPTH):
        tops += level
        level = [
            path
            for directory in level
            for entry in _list(prefix, directory)
            if entry.is_dir(follow_symlinks=False) and (path := _join(directory, entry.name)) != f"{_META}/{_OWN}"
        ]
    return tops, level


def _read_directory(prefix: str, directory: str, listed: Listed) -> tuple[PackageRow, list[str]]:
    """A directory's row, and its subdirectories."""
    path = f"{prefix}/{directory}"
    try:  # Relative to a descriptor, the kernel resolves one name for each path, not all of its parents.
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            identity = directory_identity(os.fstat(descriptor))
            names, packed = _statuses_in(descriptor, directory, identity, listed.get(directory))
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):  # It was removed meanwhile.
        return (directory, b"", b"", b""), []
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
    below = [_join(directory, os.fsdecode(names[row])) for row in Statuses(packed).directories]
    return (directory, b"\0".join(names), packed, identity), below


def _statuses_in(
    descriptor: int, directory: str, identity: bytes, known: tuple[bytes, bytes] | None
) -> tuple[Sequence[bytes], bytes]:
    """Return the names in a directory and their statuses; the known names, if it is the same as then."""
    if known is not None and known[0] == identity:
        expected = known[1].split(b"\0") if known[1] else []
        names, packed = statuses_of(descriptor, expected)
        if len(names) == len(expected):
            return names, packed
    return statuses_of(descriptor, _names_in(descriptor, directory))


def _names_in(descriptor: int, directory: str) -> Sequence[bytes]:
    names = os.listdir(descriptor)
    if directory == _META and _OWN in names:
        names.remove(_OWN)
    return os.fsencode("\0".join(names)).split(b"\0") if names else ()


def _list(prefix: str, directory: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(f"{prefix}/{directory}") as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name

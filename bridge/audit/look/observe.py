"""Observe a prefix: what is at every path, whether it is what the records promise, and what binaries need.

Forked processes hash files and compare them with the claims; they return only what differs.
"""

from __future__ import annotations

import errno
import hashlib
import marshal
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bridge.audit.look import bytecode
from bridge.audit.look.binaries import read_binary
from bridge.audit.look.inspection import Binary
from bridge.audit.look.observation import Deferred, Observation, Observed, kind_of
from bridge.audit.look.path_table import path_table_of
from bridge.audit.look.tree import Walk, walking
from bridge.errors import FaultError
from bridge.fs.crew import Crew, crew
from bridge.fs.processes import processors, spread
from bridge.fs.tree import check_content
from bridge.model import Fingerprint, Installed, PrefixState
from bridge.prefix.claims import ClaimTable, claiming, claims_of
from bridge.prefix.entries import Entries
from converters.deferred import replace

__all__ = ["Hashing", "RunningObservation", "hashing", "observe"]

_BLOCK = 1 << 18  # bytes read at a time
_BIG = 1 << 20  # bytes from which a file is a task by itself
_BATCH = 128  # files of one task
_WIDTH = 32  # bytes of a SHA-256
_BINARIES = 32  # programs and libraries of one task
_CACHES = 1024  # files of bytecode of one task
_MANY = 8  # tasks from which forking pays

_LINKED = {errno.ELOOP, errno.EMLINK}  # how systems refuse to open a link with O_NOFOLLOW
# Without O_NONBLOCK, opening a pipe that nobody writes to never returns.
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC

T = TypeVar("T")
Digest = tuple[str | None, str]  # the sha256, or why there is none
_Target = tuple[str | None, bool]  # a link's text, and whether it leads nowhere


def observe(state: PrefixState, *, jobs: int | None = None) -> Observation:
    """Observe every path of the prefix except bridge's own directory, and claimed paths below linked directories.

    Content is read only where a record promises a sha256. A file that cannot be read has a `problem`.

    :param jobs: processes that read; `None`: one for each processor.
    Raises `FaultError` (`prefix-unreadable`) where a directory cannot be listed.
    """
    with walking(str(state.prefix), jobs) as walk, hashing(state.prefix, jobs) as hasher:
        observation, _, _ = RunningObservation(state, walk, hasher, jobs).results()
        len(observation.noted)  # wait for it
        return observation


class RunningObservation:
    """An observation in progress, in forked processes."""

    def __init__(self, state: PrefixState, walk: Walk, hashing: Hashing, jobs: int | None = None) -> None:
        """Everything that hashing does not need is made while others hash."""
        for entries in claiming(state):
            hashing.add(entries)
        self.claims = claims_of(state)
        self._state = state
        self._root = hashing.root
        self._by_path = self.claims.by_path
        self._table = path_table_of(walk.tree)
        self._hashing = hashing
        self._jobs = jobs or processors()

    def results(self, numpy: frozenset[str] = frozenset()) -> tuple[Observation, dict[str, Binary], tuple[str, ...]]:
        """The observation, path → the program or library there, and the stale bytecode.

        What of the observation depends on hashes waits for them when it is first used, which must be before the end of
        `start`.

        :param numpy: the paths of extension modules that may use numpy's C API.
        """
        binaries, stale = self._programs(numpy)
        reached = _through_links(self._root, self._state, self._by_path, self._table.rows)
        table = self._table
        links = [path for path in table.other if stat.S_ISLNK(table.modes[table.rows[path]])]
        targets = {path: _followed(self._root, path) for path in links}
        noted = Deferred(lambda: self._noted(reached, targets))
        texts = {path: text for path, (text, _) in targets.items() if text is not None}
        texts |= {path: each.fingerprint.link for path, each in reached.items() if each.fingerprint.link is not None}
        return Observation(table, self._by_path, noted, reached, texts), binaries, stale

    def _noted(self, reached: Mapping[str, Observed], targets: Mapping[str, _Target]) -> Mapping[str, Observed]:
        """Wait for the hashes. The paths of which an observation has a value each."""
        table = self._table
        digests = self._hashing.differing()
        noted = {}
        for path in sorted({*table.other, *digests}.intersection(table.rows), key=table.rows.__getitem__):
            row = table.rows[path]
            mode, size, count = table.modes[row], table.sizes[row], table.links[row]
            if not stat.S_ISDIR(mode) or path in digests:
                noted[path] = _observed(mode, size, count, digests.get(path), targets.get(path))
        for path, observed in reached.items():
            is_plain = observed.fingerprint.kind == "file" and not observed.problem
            # A file that does not differ from its claims has the promised digest.
            sha256, problem = digests.get(path) or ((self._by_path.promise(path), "") if is_plain else (None, ""))
            fingerprint = replace(observed.fingerprint, sha256=sha256)
            noted[path] = replace(observed, fingerprint=fingerprint, problem=observed.problem or problem)
        return noted

    def _programs(self, numpy: frozenset[str]) -> tuple[dict[str, Binary], tuple[str, ...]]:
        """Path → the program or library there, and the stale bytecode."""
        binaries = [*_batched(self._table.binaries, _BINARIES)]
        caches = [*_batched(bytecode.caches_of(self._state.python, self._table.rows), _CACHES)]

        def read(number: int) -> tuple[list[tuple[str, Binary]], list[str]]:
            if number < len(binaries):
                return list(_binaries(self._state, binaries[number], numpy)), []
            return [], list(bytecode.stale(self._root, caches[number - len(binaries)]))

        count = len(binaries) + len(caches)
        with spread(read, count, self._jobs if count >= _MANY else 1, takes_part=True) as reading:
            answers = reading.results()
        found = {path: binary for pairs, _ in answers for path, binary in pairs}
        return found, tuple(sorted(path for _, paths in answers for path in paths))


class Hashing:
    """Files that are being hashed in other processes, and compared with what entries promise.

    :param root: the prefix, open.
    """

    def __init__(self, root: int, crew: Crew[list[tuple[str, Digest]]]) -> None:
        self.root = root
        self._crew = crew
        self._added: dict[int, Entries] = {}

    def add_record(self, package: Installed) -> None:
        """Hash the files of a record that was just read, unless its entries may change with the python."""
        if package.record.noarch != "python":
            self.add(Entries.of(package.entries))

    def add(self, entries: Entries) -> None:
        """Hash the files for which entries promise a hash, if these were not added before. Large ones come first."""
        if id(entries) in self._added:
            return
        self._added[id(entries)] = entries
        # The columns promise nothing for odd rows, mostly links, so that these differ in any case.
        left_out = entries.bare.union(row for row in entries.odd if not entries.is_hashed(row))
        rows: Sequence[int] = range(len(entries))
        if max(entries.sizes, default=0) > _BIG:
            large = [row for row in rows if entries.sizes[row] > _BIG and row not in left_out]
            for row in large:
                self._crew.add(_task(entries, (row,)), is_large=True)
            left_out = left_out.union(large)
        if left_out:
            rows = [row for row in rows if row not in left_out]
        for batch in _batched(rows, _BATCH):
            self._crew.add(_task(entries, batch))

    def differing(self) -> dict[str, Digest]:
        """Wait for the files that differ from what some entry promises, that cannot be read, and links."""
        return {path: digest for pairs in self._crew.results() for path, digest in pairs}


@contextmanager
def hashing(prefix: Path, jobs: int | None = None) -> Iterator[Hashing]:
    """Start processes that hash what is added.

    :param jobs: `None`: one for each processor.
    Raises `FaultError` (`prefix-unreadable`).
    """
    root = _open_root(prefix)
    try:
        with crew(_Hasher(root).differing, jobs or processors()) as made:
            yield Hashing(root, made)
    finally:
        os.close(root)


def _open_root(prefix: Path) -> int:
    try:
        return os.open(prefix, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        hint = "run the audit as the owner of the environment"
        raise FaultError("prefix-unreadable", f"{prefix} cannot be opened: {error.strerror}", hint=hint) from error


def _through_links(
    root: int, state: PrefixState, claims: ClaimTable, rows: Mapping[str, int]
) -> Mapping[str, Observed]:
    """Claimed paths that the walk did not find but that exist, without digests.

    venv makes `lib64` a link to `lib`; a file system that ignores case accepts several spellings.
    """
    linked = {}
    base = os.path.realpath(state.prefix)
    absent = claims.keys() - rows.keys()
    for path in (path for path in claims if path in absent) if absent else ():
        try:
            status = os.stat(path, dir_fd=root, follow_symlinks=False)
        except OSError:
            continue
        directory, _, name = path.rpartition("/")
        real = os.path.relpath(os.path.join(os.path.realpath(os.path.join(base, directory)), name), base)
        target = _followed(root, path) if stat.S_ISLNK(status.st_mode) else None
        mode, size, links = status.st_mode, status.st_size, status.st_nlink
        linked[path] = _observed(mode, size, links, None, target, real.replace(os.sep, "/"))
    return linked


# --- tasks ------------------------------------------------------------------------------------------------------------


def _task(entries: Entries, rows: Sequence[int]) -> bytes:
    """Paths, sizes and digests of some rows. Those of odd rows are not used."""
    if not isinstance(rows, range):
        entries, rows = entries.only(rows), range(len(rows))
    start, stop = rows.start, rows.stop
    columns = entries.paths[start:stop], entries.sizes[start:stop].tolist()
    return marshal.dumps((*columns, entries.digests[start * _WIDTH : stop * _WIDTH]))


def _batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


class _Hasher:
    """Hashes files, and skips those that are what is promised."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._buffer = memoryview(bytearray(_BLOCK))
        self._buffers = [self._buffer]

    def differing(self, task: bytes) -> list[tuple[str, Digest]]:
        """The files of a task of `Hashing` that differ, that cannot be read, and links."""
        return list(self._differing(*marshal.loads(task)))

    def _differing(self, paths: Sequence[str], sizes: Sequence[int], digests: bytes) -> Iterator[tuple[str, Digest]]:
        buffer, buffers, root = self._buffer, self._buffers, self._root
        for row, path in enumerate(paths):
            promised = digests[row * _WIDTH : row * _WIDTH + _WIDTH]
            try:
                file = os.open(path, _OPEN | os.O_NOFOLLOW, dir_fd=root)
                try:
                    # What has the promised size and digest is as promised; everything else is looked at closely.
                    read = os.readv(file, buffers)
                    if read == sizes[row] < _BLOCK and hashlib.sha256(buffer[:read]).digest() == promised:
                        continue
                    digest = self._digest(file, read)
                finally:
                    os.close(file)
                if digest is None or digest != promised:
                    yield path, _answer(digest)
            except OSError as error:
                yield path, self._other(path, error)

    def _other(self, path: str, error: OSError) -> Digest:
        """The digest of the file that a link points to, or why a file cannot be read."""
        try:
            if error.errno not in _LINKED:
                raise error
            file = os.open(path, _OPEN, dir_fd=self._root)
            try:
                return _answer(self._digest(file, None))
            finally:
                os.close(file)
        except IsADirectoryError:
            return _answer(None)
        except OSError as final:
            return None, f"it cannot be read: {final.strerror}"

    def _digest(self, file: int, size: int | None) -> bytes | None:
        """The digest of an open file; `None`: it is not a regular file.

        :param size: bytes that are in the buffer already; `None`: nothing was read.
        """
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        check_content(status)
        digest = hashlib.sha256()
        if size is None:
            size = os.readv(file, self._buffers)
        while size:
            digest.update(self._buffer[:size])
            size = os.readv(file, self._buffers)
        return digest.digest()


def _answer(digest: bytes | None) -> Digest:
    return (None, "it is not a regular file") if digest is None else (digest.hex(), "")


def _binaries(state: PrefixState, paths: Iterable[str], numpy: frozenset[str]) -> Iterator[tuple[str, Binary]]:
    for path in paths:
        try:
            binary = read_binary(state.prefix / path, with_numpy=path in numpy)
        except OSError:  # Hashing it reports the error.
            continue
        if binary is not None:
            yield path, binary


# --- values -----------------------------------------------------------------------------------------------------------


def _observed(
    mode: int,
    size: int,
    links: int,
    digest: Digest | None,
    target: _Target | None,
    real: str | None = None,
) -> Observed:
    kind = kind_of(mode)
    sha256, problem = digest or (None, "")
    link, is_dangling = target or (None, False)
    if kind is None:
        problem = "it is neither a file, a link nor a directory"
    fingerprint = Fingerprint(
        kind=kind or "file",
        sha256=sha256,
        size=size if kind == "file" else None,
        mode=stat.S_IMODE(mode),
        link=link,
    )
    return Observed(fingerprint=fingerprint, is_dangling=is_dangling, problem=problem, links=links, real=real)


def _followed(root: int, path: str) -> _Target:
    """A link's text, and whether its target does not exist (or is itself, round in a circle)."""
    try:
        link = os.readlink(path, dir_fd=root)
    except OSError:
        return None, False  # It was removed or replaced meanwhile.
    try:
        os.stat(path, dir_fd=root)
    except OSError as error:
        return link, error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
    return link, False

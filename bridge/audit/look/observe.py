"""Observe a prefix: what is at every path, whether it is what the records promise, and what binaries need.

Forked processes hash files and compare them with the claims; they return only what differs.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from bridge.audit.look import bytecode
from bridge.audit.look.binaries import read_binary
from bridge.audit.look.inspection import Binary
from bridge.audit.look.observation import Observation, Observed, kind_of
from bridge.audit.look.path_table import PathTable, path_table_of
from bridge.audit.look.tree import read_tree
from bridge.errors import FaultError
from bridge.fs.tree import check_content
from bridge.model import Fingerprint, PrefixState
from bridge.prefix.claims import Claims, ClaimTable, claims_of
from bridge.prefix.processes import Spread, processors, spread

__all__ = ["RunningObservation", "observe", "start"]

_BLOCK = 1 << 18  # bytes read at a time
_BIG = 1 << 20  # bytes from which a file is a task by itself
_BATCH = 128  # files of one task
_BINARIES = 32  # programs and libraries of one task
_CACHES = 1024  # files of bytecode of one task
_MANY = 8  # tasks from which forking pays

_FORMAT = 0o170000  # the mask of `stat.S_IFMT`
# Without O_NONBLOCK, opening a pipe that nobody writes to never returns.
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC

Digest = tuple[str | None, str]  # the sha256, or why there is none
Answers = tuple[list[tuple[str, Digest]], list[tuple[str, Binary]], list[str]]


def observe(state: PrefixState, claims: Claims | None = None, *, jobs: int | None = None) -> Observation:
    """Observe every path of the prefix except bridge's own directory, and claimed paths below linked directories.

    Content is read only where a record promises a sha256. A file that cannot be read has a `problem`.

    :param jobs: processes that read; `None`: one for each processor.
    Raises `FaultError` (`prefix-unreadable`) where a directory cannot be listed.
    """
    with start(state, claims or claims_of(state), jobs=jobs) as running:
        return running.results()[0]


class RunningObservation:
    """An observation in progress, in forked processes."""

    def __init__(
        self,
        root: int,
        claims: ClaimTable,
        table: PathTable,
        linked: Mapping[str, tuple[os.stat_result, str]],
        running: Spread[Answers],
    ) -> None:
        self._root = root
        self._claims = claims
        self._table = table
        self._linked = linked
        self._running = running

    def results(self) -> tuple[Observation, dict[str, Binary], tuple[str, ...]]:
        """Wait for the observation, for path → the program or library there, and for the stale bytecode."""
        table = self._table
        links = [path for path in table.other if stat.S_ISLNK(table.modes[table.rows[path]])]
        targets = {path: _followed(self._root, path) for path in links}
        answers = self._running.results()
        digests = {path: digest for pairs, _, _ in answers for path, digest in pairs}
        noted = {}
        for path in sorted({*table.other, *digests}.intersection(table.rows), key=table.rows.__getitem__):
            row = table.rows[path]
            mode, size, count = table.modes[row], table.sizes[row], table.links[row]
            if not stat.S_ISDIR(mode) or path in digests:
                noted[path] = _observed(mode, size, count, digests.get(path), targets.get(path))
        for path, (status, real) in self._linked.items():
            target = _followed(self._root, path) if stat.S_ISLNK(status.st_mode) else None
            noted[path] = _observed(status.st_mode, status.st_size, status.st_nlink, digests.get(path), target, real)
        binaries = {path: binary for _, pairs, _ in answers for path, binary in pairs}
        ordered = {path: binaries[path] for path in table.binaries if path in binaries}
        stale = tuple(sorted(path for _, _, paths in answers for path in paths))
        return Observation(table, self._claims, noted), ordered, stale


@contextmanager
def start(
    state: PrefixState,
    claims: Claims,
    *,
    table: PathTable | None = None,
    numpy: frozenset[str] = frozenset(),
    jobs: int | None = None,
) -> Iterator[RunningObservation]:
    """Start an observation; the contract is that of `observe`.

    :param table: the paths of the prefix, if they were read before.
    :param numpy: the paths of extension modules that may use numpy's C API.
    """
    jobs = jobs or processors()
    if table is None:
        table = path_table_of(read_tree(str(state.prefix), jobs))
    root = _open_root(state)
    try:
        linked = _through_links(root, state, claims.by_path, table.rows)
        files = [*_hashing(claims.by_path, table, linked)]
        binaries = [*_batched(table.binaries, _BINARIES)]
        caches = [*_batched(bytecode.caches_of(state.python, table.rows), _CACHES)]
        hasher = _Hasher(root, claims.by_path, table)

        def run(number: int) -> Answers:
            if number < len(files):
                return list(hasher.differing(files[number])), [], []
            number -= len(files)
            if number < len(binaries):
                return [], list(_binaries(state, binaries[number], numpy)), []
            return [], [], list(bytecode.stale(root, caches[number - len(binaries)]))

        count = len(files) + len(binaries) + len(caches)
        with spread(run, count, jobs if count >= _MANY else 1) as running:
            yield RunningObservation(root, claims.by_path, table, linked, running)
    finally:
        os.close(root)


def _open_root(state: PrefixState) -> int:
    try:
        return os.open(state.prefix, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        hint = "run the audit as the owner of the environment"
        raise FaultError(
            "prefix-unreadable", f"{state.prefix} cannot be opened: {error.strerror}", hint=hint
        ) from error


def _through_links(
    root: int, state: PrefixState, claims: ClaimTable, rows: Mapping[str, int]
) -> Mapping[str, tuple[os.stat_result, str]]:
    """Claimed paths that the walk did not find but that exist, with their path without links.

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
        linked[path] = (status, real.replace(os.sep, "/"))
    return linked


# --- tasks ------------------------------------------------------------------------------------------------------------


def _hashing(claims: ClaimTable, table: PathTable, linked: Mapping[str, object]) -> list[Sequence[str]]:
    """The paths to hash, in tasks. Each large file is a task of its own; the largest come first."""
    wanted: Mapping[str, None] = claims.hashed()
    if not wanted.keys() <= table.rows.keys():
        wanted = dict.fromkeys(path for path in wanted if path in table.rows or path in linked)
    large: dict[str, int] = {}
    if max(table.sizes, default=0) > _BIG:
        large = {path: -size for path, size in zip(table.rows, table.sizes, strict=True) if size > _BIG}
    first = sorted((path for path in large if path in claims), key=large.__getitem__)
    tasks = [[path] for path in first if path in wanted]
    return [*tasks, *_batched([path for path in wanted if path not in large], _BATCH)]


def _batched(paths: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (paths[start : start + size] for start in range(0, len(paths), size))


class _Hasher:
    """Hashes files, and skips those that are what every claim on them promises."""

    def __init__(self, root: int, claims: ClaimTable, table: PathTable) -> None:
        self._root = root
        self._claims = claims
        self._rows, self._modes, self._sizes = table.rows, table.modes, table.sizes
        self._buffer = memoryview(bytearray(_BLOCK))
        self._buffers = [self._buffer]

    def differing(self, paths: Iterable[str]) -> Iterator[tuple[str, Digest]]:
        for path in paths:
            row = self._rows.get(path)
            try:
                if row is not None and self._modes[row] & _FORMAT == stat.S_IFREG:
                    digest = self._file(path, self._sizes[row])
                    if not self._claims.is_kept(path, digest):
                        yield path, (digest.hex(), "")
                else:
                    yield path, self._other(path)
            except OSError as error:
                yield path, (None, f"it cannot be read: {error.strerror}")

    def _file(self, path: str, size: int) -> bytes:
        """The digest of a path that was a file of this size."""
        # It may have become a link since, to a device without an end.
        file = os.open(path, _OPEN | os.O_NOFOLLOW, dir_fd=self._root)
        try:
            read = os.readv(file, self._buffers)
            if read == size < _BLOCK:
                return hashlib.sha256(self._buffer[:size]).digest()
            check_content(os.fstat(file))
            return self._digest(file, read)
        finally:
            os.close(file)

    def _other(self, path: str) -> Digest:
        """The digest of the file that a link points to, or of a file below a linked directory."""
        file = os.open(path, _OPEN, dir_fd=self._root)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return None, "it is not a regular file"
            check_content(status)
            return self._digest(file, os.readv(file, self._buffers)).hex(), ""
        finally:
            os.close(file)

    def _digest(self, file: int, size: int) -> bytes:
        """:param size: bytes that are in the buffer already."""
        digest = hashlib.sha256()
        while size:
            digest.update(self._buffer[:size])
            size = os.readv(file, self._buffers)
        return digest.digest()


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
    target: tuple[str | None, bool] | None,
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


def _followed(root: int, path: str) -> tuple[str | None, bool]:
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

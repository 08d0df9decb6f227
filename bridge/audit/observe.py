"""Looking at a prefix: what lies at every path, and the sha256 of what some record promises one for. Reads only."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache

from bridge import prefix as prefixes
from bridge.audit.claims import Claims, claims_of
from bridge.audit.observed import Observed
from bridge.errors import FaultError
from bridge.model import Fingerprint, PathKind, PrefixState

__all__ = ["observe"]

_BLOCK = 1 << 20  # bytes read at a time
_BATCH = 128  # files given to a thread at a time: a future for each would cost more than hashing a small file
_PLAIN: frozenset[PathKind | None] = frozenset({"file", "directory"})
_KINDS: Mapping[int, PathKind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}

Digest = tuple[str | None, str]  # the sha256, or why there is none


def observe(state: PrefixState, claims: Claims | None = None, *, jobs: int | None = None) -> Mapping[str, Observed]:
    """Every path of the prefix but bridge's own folder, and claimed paths that are reached through linked directories.

    Content is read only where a record promises a sha256, by `jobs` threads (hashing releases the interpreter's lock).
    A file that cannot be read has a `problem`, never an exception. Raises `FaultError` (`prefix-unreadable`) where a
    directory may not be listed.
    """
    claims = claims or claims_of(state)
    root = _open_root(state)
    try:
        with ThreadPoolExecutor(jobs or min(8, os.cpu_count() or 1)) as pool:
            # What to hash is known from the records: it is under way while this thread walks.
            reading = _start_reading(pool, root, claims)
            try:
                found = dict(prefixes.walk(state.prefix))
                linked = _through_links(root, state, claims, found)
                digests = {path: digest for batch in reading for path, digest in batch.result()}
            except BaseException:  # Ctrl-C, or a folder that may not be listed: what is queued need not be read.
                pool.shutdown(cancel_futures=True)
                raise
        found.update((path, status) for path, (status, _) in linked.items())
        return {
            path: _observed(root, path, status, digests.get(path), linked[path][1] if path in linked else None)
            if path in claims.by_path
            else _unclaimed(root, path, status)
            for path, status in found.items()
        }
    finally:
        os.close(root)


def _open_root(state: PrefixState) -> int:
    try:
        return os.open(state.prefix, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise FaultError("prefix-unreadable", f"{state.prefix} cannot be opened: {error.strerror}") from error


def _through_links(
    root: int, state: PrefixState, claims: Claims, found: Mapping[str, os.stat_result]
) -> Mapping[str, tuple[os.stat_result, str]]:
    """Claimed paths that the walk did not meet and that exist, with their path without links.

    venv makes `lib64` a link to `lib`; a file system that ignores case knows a path by several spellings.
    """
    linked = {}
    base = os.path.realpath(state.prefix)
    for path in claims.by_path:
        if path in found:
            continue
        try:
            status = os.stat(path, dir_fd=root, follow_symlinks=False)
        except OSError:
            continue
        folder, _, name = path.rpartition("/")
        real = os.path.relpath(os.path.join(os.path.realpath(os.path.join(base, folder)), name), base)
        linked[path] = (status, real.replace(os.sep, "/"))
    return linked


def _start_reading(pool: ThreadPoolExecutor, root: int, claims: Claims) -> list[Future[list[tuple[str, Digest]]]]:
    """Have every path hashed for which some record promises a sha256."""
    paths = [
        path
        for path, group in claims.by_path.items()
        if any(claim.entry.fingerprint.sha256 or claim.entry.packed for claim in group)
    ]
    batches = (paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH))
    return [pool.submit(lambda batch: list(_read(root, batch)), batch) for batch in batches]


def _read(root: int, paths: Sequence[str]) -> Iterator[tuple[str, Digest]]:
    buffer = memoryview(bytearray(_BLOCK))
    for path in paths:
        try:
            yield path, _sha256(root, path, buffer)
        except OSError as error:
            yield path, (None, f"it cannot be read: {error.strerror}")


def _sha256(root: int, path: str, buffer: memoryview) -> Digest:
    # Without O_NONBLOCK, opening a pipe that nobody writes to would never return.
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=root)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None, "it is no regular file"
        digest = hashlib.sha256()
        while size := os.readv(file, [buffer]):
            digest.update(buffer[:size])
        return digest.hexdigest(), ""
    finally:
        os.close(file)


def _unclaimed(root: int, path: str, status: os.stat_result) -> Observed:
    """What nobody claims, of which only the kind will matter. Most files are alike, and share one value."""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    return _alike(kind, stat.S_IMODE(status.st_mode)) if kind in _PLAIN else _observed(root, path, status, None, None)


@cache
def _alike(kind: PathKind, mode: int) -> Observed:
    return Observed(fingerprint=Fingerprint(kind=kind, mode=mode))


def _observed(root: int, path: str, status: os.stat_result, digest: Digest | None, real: str | None) -> Observed:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    sha256, problem = digest or (None, "")
    link, is_dangling = None, False
    if kind == "symlink":
        link, is_dangling = _followed(root, path)
    if kind is None:
        problem = "it is neither a file, a link nor a directory"
    fingerprint = Fingerprint(
        kind=kind or "file",
        sha256=sha256,
        size=status.st_size if kind == "file" else None,
        mode=stat.S_IMODE(status.st_mode),
        link=link,
    )
    return Observed(fingerprint=fingerprint, is_dangling=is_dangling, problem=problem, links=status.st_nlink, real=real)


def _followed(root: int, path: str) -> tuple[str | None, bool]:
    """A link's text, and whether it leads nowhere (or round in a circle)."""
    try:
        link = os.readlink(path, dir_fd=root)
    except OSError:
        return None, False  # It went, or became something else, while we were looking.
    try:
        os.stat(path, dir_fd=root)
    except OSError as error:
        return link, error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
    return link, False

"""Read below a directory without following symlinks, and take fingerprints of paths."""

from __future__ import annotations

import errno
import hashlib
import stat
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from bridge.errors import OwnershipError, UnsafeInputError
from bridge.faults import faults
from bridge.fs.fingerprint import Fingerprint
from bridge.fs.system import open_file_limit, os
from converters.deferred import regex

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BELOW", "Absence", "Tree", "check_content", "fingerprint"]

_BLOCK = 1 << 20  # bytes read at a time
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
BELOW = _DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_LARGE = 256 << 20  # bytes
_DEEPEST = 256  # directories, each of which is held open
_ODD = regex(r"(?:^|/)\.{0,2}(?:/|\Z)|\x00")  # an empty, "." or ".." segment, or a NUL
_ODD_NAMES = frozenset({"", ".", ".."})


def check_content(status: os.stat_result) -> None:
    """Raise `OSError` (`EFBIG`) for a file of more than 256 MiB that is mostly a hole: it may claim any size."""
    if status.st_size > _LARGE and getattr(status, "st_blocks", status.st_size) * 512 < status.st_size // 2:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


def split(path: str) -> tuple[str, str]:
    """Split a path below a root into (parent, name); the parent of a topmost name is "".

    :raises UnsafeInputError: `path-escape` for a path that is absolute, not normal or deeper than 256 directories.
    """
    parent, slash, name = path.rpartition("/")
    if name in _ODD_NAMES or "\0" in name or (slash and not _is_normal(parent)):
        raise UnsafeInputError(
            "path-escape", f"not a path below the environment: {path[:200]!r}", objects={"path": path}
        )
    return parent, name


@lru_cache(maxsize=8192)
def _is_normal(parent: str) -> bool:
    return parent.count("/") < _DEEPEST and not _ODD.search(parent)


class Tree:
    """A directory held open, below which paths are reached without following a symlink.

    Directories on the way stay open, up to a limit derived from `ulimit -n` (least recently used). Not thread-safe.
    `root` itself may be reached through symlinks: it is the user's choice.

    Every method raises `FaultError` if the system refuses, `OwnershipError` (`path-symlink`, `path-not-directory`) if a
    component on the way is no directory, and `UnsafeInputError` (`path-escape`).
    """

    __slots__ = ("_last", "_limit", "_open", "_pinned", "root")

    def __init__(self, root: Path) -> None:
        self.root = root
        self._pinned = ""
        # The parent of the path before, and its descriptor: most paths come directory by directory.
        self._last: tuple[str | None, int] = (None, -1)
        self._limit = min(128, max(2, open_file_limit() // 16))
        with faults(root):
            self._open: OrderedDict[str, int] = OrderedDict({"": os.open(root, _DIRECTORY)})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._last = (None, -1)
        while self._open:
            os.close(self._open.popitem()[1])

    def _trim(self) -> None:
        """Close descriptors beyond the limit. Called before an operation only, so none in use is closed."""
        while len(self._open) > self._limit:
            path, descriptor = self._open.popitem(last=False)
            if path:
                self._last = (None, -1)
                os.close(descriptor)
            else:
                self._open[path] = descriptor

    def _directory(self, path: str, *, make: bool = False) -> int:
        """Return a descriptor of the directory `path`; with `make`, create it and its parents."""
        descriptor = self._open.get(path)
        if descriptor is not None:
            self._open.move_to_end(path)
            return descriptor
        parent, name = split(path)
        above = self._directory(parent, make=make)
        try:
            try:
                descriptor = self._step(name, above)
            except FileNotFoundError:
                if not make:
                    raise
                self._make(name, above)
                descriptor = self._step(name, above)
        except OSError as error:
            # Systems differ in which of the two a symlink gives.
            if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                raise self._in_the_way(path, above, name) from None
            raise
        self._open[path] = descriptor
        return descriptor

    def _step(self, name: str, above: int) -> int:
        """Open the directory `name` in `above`; if descriptors run out, close those not in use and try again."""
        try:
            return os.open(name, BELOW, dir_fd=above)
        except OSError as error:
            if error.errno not in {errno.EMFILE, errno.ENFILE}:
                raise
        self._last = (None, -1)
        for path in [path for path, held in self._open.items() if path not in {"", self._pinned} and held != above]:
            os.close(self._open.pop(path))
        return os.open(name, BELOW, dir_fd=above)

    def _make(self, name: str, above: int) -> None:
        raise NotImplementedError("this tree is only read")

    def _in_the_way(self, path: str, above: int, name: str) -> OwnershipError:
        is_link = stat.S_ISLNK(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
        return OwnershipError(
            "path-symlink" if is_link else "path-not-directory",
            f"{path} is {'a symlink' if is_link else 'no directory'}; it is not followed",
            context=(f"below: {self.root}",),
            objects={"path": path},
        )

    def _locate(self, path: str, *, make: bool = False, beside: str = "") -> tuple[int, str]:
        """Return a descriptor of the parent of `path`, and its name there; keep the parent of `beside` open."""
        last, descriptor = self._last
        parent, _, name = path.rpartition("/")
        if parent == last and name not in _ODD_NAMES and "\0" not in name and path[0] != "/":
            return descriptor, name
        parent, name = split(path)
        self._trim()
        self._pinned = split(beside)[0] if beside else ""
        descriptor = self._directory(parent, make=make)
        self._last = (parent, descriptor)
        return descriptor, name

    def forget(self, path: str) -> None:
        """Close what is held open at and below `path`, which is about to be replaced; `""` closes all but the root."""
        below = f"{path}/" if path else ""
        self._last = (None, -1)
        for held in [held for held in self._open if held and (held == path or held.startswith(below))]:
            os.close(self._open.pop(held))

    def lstat(self, path: str) -> os.stat_result | None:
        """`lstat` of `path`; `None` if it does not exist."""
        with faults(self.root, path):
            try:
                above, name = self._locate(path)
                return os.stat(name, dir_fd=above, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def fingerprint(
        self,
        path: str,
        *,
        hash: bool = True,  # noqa: A002 - as the function's
        size: int | None = None,
    ) -> Fingerprint | None:
        """Like the function `fingerprint`, without following symlinks; a file of another size is not hashed."""
        with faults(self.root, path):
            try:
                above, name = self._locate(path)
            except FileNotFoundError:
                return None
            return _fingerprint(name, above, hash=hash, size=size)

    def read_link(self, path: str) -> str:
        """Return the text of the symlink `path`."""
        with faults(self.root, path):
            above, name = self._locate(path)
            return os.readlink(name, dir_fd=above)

    def has_directory(self, path: str) -> bool:
        """Whether the directory `path` exists. Raises `OwnershipError` if it is something else."""
        with faults(self.root, path):
            self._trim()
            try:
                self._directory(path)
            except FileNotFoundError:
                return False
            return True

    def entries(self, path: str) -> list[tuple[str, bool]]:
        """Return the entries of the directory `path`, sorted: (path, whether it is a directory and no symlink)."""
        with faults(self.root, path):
            self._trim()
            with os.scandir(self._directory(path)) as children:
                base = f"{path}/" if path else ""
                return sorted((base + entry.name, entry.is_dir(follow_symlinks=False)) for entry in children)

    def walk(self, path: str) -> Iterator[tuple[str, bool]]:
        """Yield everything below the directory `path`, each directory after its content."""
        left = [iter(self.entries(path))]
        above: list[str] = []
        while left:
            for entry, is_directory in left[-1]:
                if is_directory:
                    left.append(iter(self.entries(entry)))
                    above.append(entry)
                    break
                yield entry, False
            else:
                left.pop()
                if above:
                    yield above.pop(), True

    def scan(self) -> dict[str, os.stat_result]:
        """Return the `lstat` of everything below the root, directories included; in a third of the time of `lstat`."""
        statuses: dict[str, os.stat_result] = {}
        left = [""]
        while left:
            path = left.pop()
            base = f"{path}/" if path else ""
            with faults(self.root, path):
                self._trim()
                with os.scandir(self._directory(path)) as children:
                    for entry in children:
                        statuses[base + entry.name] = entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            left.append(base + entry.name)
        return statuses

    def is_writable(self, path: str) -> bool:
        """Whether names may be added to and removed from the directory `path`, according to `access(2)`."""
        with faults(self.root, path):
            self._trim()
            above = self._directory(path)
            return os.access(".", os.W_OK | os.X_OK, dir_fd=above, effective_ids=os.access in os.supports_effective_ids)

    def sync(self, directories: Iterable[str]) -> None:
        """`fsync` each of the directories that exists."""
        for path in directories:
            with faults(self.root, path), suppress(FileNotFoundError, OwnershipError):
                self._trim()
                os.fsync(self._directory(path))


def fingerprint(root: Path, path: str, *, hash: bool = True) -> Fingerprint | None:  # noqa: A002 - plain to callers
    """Return the fingerprint of `path` below `root` by `lstat`; `None` if it does not exist. Parents may be symlinks.

    A file has sha256 (with `hash`), size and mode; a directory its mode; a symlink its text.

    :raises FaultError: it cannot be read.
    :raises OwnershipError: `path-special` for a device, a FIFO or a socket.
    """
    with faults(root, path):
        return _fingerprint(os.path.join(root, path), None, hash=hash)


class Absence:
    """Fingerprints below `root` as by `fingerprint`, without asking again in a directory that does not exist.

    For a decision that is checked again before anything changes: a directory may be made meanwhile.
    """

    __slots__ = ("_is_there", "_root")

    def __init__(self, root: Path) -> None:
        self._root = root
        self._is_there: dict[str, bool] = {"": True}

    def fingerprint(self, path: str) -> Fingerprint | None:
        """Return the fingerprint of `path`. Raises as `fingerprint`."""
        return fingerprint(self._root, path) if self._has(path.rpartition("/")[0]) else None

    def _has(self, directory: str) -> bool:
        known = self._is_there.get(directory)
        if known is None:
            known = self._has(directory.rpartition("/")[0]) and os.path.isdir(os.path.join(self._root, directory))
            self._is_there[directory] = known
        return known


def _fingerprint(
    name: str,
    above: int | None,
    *,
    hash: bool,  # noqa: A002
    size: int | None = None,
) -> Fingerprint | None:
    try:
        status = os.stat(name, dir_fd=above, follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISDIR(status.st_mode):
            return Fingerprint(kind="directory", mode=mode)
        if stat.S_ISLNK(status.st_mode):
            return Fingerprint(kind="symlink", link=os.readlink(name, dir_fd=above))
        if not stat.S_ISREG(status.st_mode):
            raise OwnershipError("path-special", f"{name} is neither a file, a directory nor a symlink")
        digest = _sha256(name, above) if hash and size in {None, status.st_size} else None
        return Fingerprint(kind="file", sha256=digest, size=status.st_size, mode=mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _sha256(name: str, above: int | None) -> str:
    descriptor = os.open(name, _READ, dir_fd=above)
    try:
        check_content(os.fstat(descriptor))
        digest = hashlib.sha256()
        while block := os.read(descriptor, _BLOCK):
            digest.update(block)
        return digest.hexdigest()
    finally:
        os.close(descriptor)

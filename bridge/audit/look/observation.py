"""What is at the paths of a prefix: values only. Pure."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from typing import TypeVar

from bridge.audit.look.path_table import EMPTY_TABLE, PathTable
from bridge.model import Fingerprint, PathKind
from bridge.prefix.claims import ClaimTable
from converters.deferred import dataclass

__all__ = ["Deferred", "Observation", "Observed", "kind_of"]

T = TypeVar("T")

_KINDS: Mapping[int, PathKind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What is at one path.

    :param fingerprint: of the path itself; with a size if a record claims the path. `sha256` is that of the content
        (for a link, of its target), and set only if a record promises one.
    :param is_dangling: a link whose target does not exist.
    :param problem: why it could not be read, or what it is if it is no file, link or directory.
    :param links: the link count of the inode, if a record claims the path.
    :param real: the path without linked directories (`lib64/…` → `lib/…`), if it differs.
    """

    fingerprint: Fingerprint
    is_dangling: bool = False
    problem: str = ""
    links: int = 1
    real: str | None = None


class Deferred(Mapping[str, T]):
    """A mapping that is made when it is first used."""

    def __init__(self, make: Callable[[], Mapping[str, T]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Mapping[str, T]:
        return self._make()

    def __getitem__(self, path: str) -> T:
        return self._made[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


class Observation(Mapping[str, Observed]):
    """Path → what is there. Most paths are as promised; their value is made on access.

    To go through many paths use `noted`, `names`, `below`, `plain` or `writable`, which make no values. Values and
    `noted` depend on the content of files, and so may have to wait for it; nothing else does.
    """

    def __init__(
        self,
        table: PathTable,
        claims: ClaimTable,
        noted: Mapping[str, Observed],
        reached: Mapping[str, Observed],
        links: Mapping[str, str],
    ) -> None:
        """:param noted: links, special files, paths below linked directories, what could not be read, and files that
        differ from a claim on them.
        :param reached: those of them that are not in the table; `sha256` and `problem` are not used.
        :param links: path → the text of the link there.
        """
        self._table = table
        self._rows, self._modes, self._sizes = table.rows, table.modes, table.sizes
        self._claims = claims
        self.noted = noted
        self.links = links
        self._reached = reached

    @classmethod
    def of(cls, observed: Mapping[str, Observed], claims: ClaimTable) -> Observation:
        """`observed` as an observation."""
        if isinstance(observed, cls):
            return observed
        links = {path: each.fingerprint.link for path, each in observed.items() if each.fingerprint.link is not None}
        return cls(EMPTY_TABLE, claims, observed, observed, links)

    @cached_property
    def files(self) -> int:
        """The number of files and links; a path reached by two names counts once."""
        walked = sum(count for mode, count in self._modes_count.items() if not stat.S_ISDIR(mode))
        unwalked = (each for each in self._reached.values() if each.fingerprint.kind != "directory")
        return walked + sum(each.real is None for each in unwalked)

    @cached_property
    def plain(self) -> Sequence[str]:
        """Every path that is not a directory."""
        directories = {path for path in self._table.other if stat.S_ISDIR(self._modes[self._rows[path]])}
        walked = [path for path in self._rows if path not in directories]
        return [*walked, *(path for path, each in self._reached.items() if each.fingerprint.kind != "directory")]

    @cached_property
    def _modes_count(self) -> Mapping[int, int]:
        """`st_mode` → number of paths."""
        return Counter(self._modes)

    @property
    def writable(self) -> Iterator[str]:
        """The files that every user may change."""
        modes = {mode for mode in self._modes_count if mode & 0o002 and kind_of(mode) in {"file", None}}
        if modes:
            yield from (path for path, mode in zip(self._rows, self._modes, strict=True) if mode in modes)
        for path, each in self._reached.items():
            if each.fingerprint.kind == "file" and (each.fingerprint.mode or 0) & 0o002:
                yield path

    @cached_property
    def names(self) -> frozenset[str]:
        """The last part of every path."""
        walked = (name for names in self._table.directories.values() for name in names)
        return frozenset((*walked, *(path.rpartition("/")[2] for path in self._reached)))

    def size(self, path: str) -> int | None:
        """The size of a file that is as promised; `None` for anything else."""
        row = None if path in self.noted else self._rows.get(path)
        return None if row is None or stat.S_IFMT(self._modes[row]) != stat.S_IFREG else self._sizes[row]

    def below(self, directory: str) -> Iterator[str]:
        """The paths directly in a directory."""
        yield from (f"{directory}/{name}" if directory else name for name in self._table.directories.get(directory, ()))
        yield from (path for path in self._reached if path.rpartition("/")[0] == directory)

    @property
    def is_ascii(self) -> bool:
        """Whether all paths are ASCII."""
        walked = all("".join(names).isascii() for names in self._table.directories.values())
        return walked and all(path.isascii() for path in self._reached)

    def directories_with(self, name: str) -> Iterator[str]:
        """The directories that have an entry of this name."""
        yield from (directory for directory, names in self._table.directories.items() if name in names)
        yield from (path.rpartition("/")[0] for path in self._reached if path.rpartition("/")[2] == name)

    @property
    def reals(self) -> Iterator[str]:
        """The paths without links of what is claimed below linked directories."""
        return (each.real for each in self._reached.values() if each.real is not None)

    def kind(self, path: str) -> PathKind | None:
        """`None`: the path does not exist."""
        if (row := self._rows.get(path)) is not None:
            return kind_of(self._modes[row]) or "file"
        observed = self._reached.get(path)
        return None if observed is None else observed.fingerprint.kind

    def suspects(self) -> list[str]:
        """The claimed paths that may differ from a claim; every other path is as promised."""
        absent = self._claims.keys() - self._rows.keys()
        wanted = {*absent, *self.noted, *self._claims.unusual(), *self._table.other}
        return self._claims.ordered(wanted)

    def __getitem__(self, path: str) -> Observed:
        if (noted := self.noted.get(path)) is not None:
            return noted
        row = self._rows[path]
        mode = self._modes[row]
        kind = kind_of(mode) or "file"
        if path not in self._claims:
            return _unclaimed(kind, stat.S_IMODE(mode))
        fingerprint = Fingerprint(
            kind=kind,
            sha256=self._claims.promise(path) if kind == "file" else None,
            size=self._sizes[row] if kind == "file" else None,
            mode=stat.S_IMODE(mode),
        )
        return Observed(fingerprint=fingerprint, links=self._table.links[row])

    def __contains__(self, path: object) -> bool:
        return path in self._rows or path in self._reached

    def __iter__(self) -> Iterator[str]:
        yield from self._rows
        yield from self._reached

    def __len__(self) -> int:
        return len(self._rows) + len(self._reached)


def kind_of(mode: int) -> PathKind | None:
    """`None`: a pipe, a socket or a device."""
    return _KINDS.get(stat.S_IFMT(mode))


@cache
def _unclaimed(kind: PathKind, mode: int) -> Observed:
    """Shared value for unclaimed paths, of which only the kind matters."""
    return Observed(fingerprint=Fingerprint(kind=kind, mode=mode))

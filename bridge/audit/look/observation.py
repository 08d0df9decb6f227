"""What was found at the paths of a prefix. Values only."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from bridge.audit.claims import ClaimTable
from bridge.audit.look.path_table import EMPTY_TABLE, PathTable
from bridge.model import Fingerprint, PathKind

__all__ = ["Observation", "Observed", "kind_of"]

_KINDS: Mapping[int, PathKind] = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What lies at one path.

    :param fingerprint: of the path itself; its size is there where some record claims the path. `sha256` is that of the
        content (for a link: of the file it leads to), and only there where some record promises one.
    :param is_dangling: a link that leads nowhere.
    :param problem: why it could not be read, or what it is if it is neither a file, a link nor a directory.
    :param links: how many names the inode has, where some record claims the path.
    :param real: the same path without linked directories (`lib64/…` → `lib/…`), where it differs.
    """

    fingerprint: Fingerprint
    is_dangling: bool = False
    problem: str = ""
    links: int = 1
    real: str | None = None


class Observation(Mapping[str, Observed]):
    """Path → what lies there. Most paths hold just what is promised of them: their value is made when it is looked at.

    Who goes through many paths takes them from `noted`, `names`, `below`, `plain` or `writable`, which make nothing.
    """

    def __init__(self, layout: PathTable, claims: ClaimTable, noted: Mapping[str, Observed]) -> None:
        """:param noted: what is not as promised or promised by nobody: links, pipes, what is reached through linked
        folders, what could not be read, and files with other bytes than some claim on them promises.
        """
        self._layout = layout
        self._rows, self._modes, self._sizes, self._links = layout.rows, layout.modes, layout.sizes, layout.links
        self._claims = claims
        self.noted = noted

    @classmethod
    def of(cls, observed: Mapping[str, Observed], claims: ClaimTable) -> Observation:
        """An observation that was made one by one."""
        if isinstance(observed, cls):
            return observed
        return cls(EMPTY_TABLE, claims, observed)

    @cached_property
    def files(self) -> int:
        """How many files and links there are; what is reached by two names counts once."""
        apart = (self.noted[path] for path in self._apart)
        within = sum(count for mode, count in self._kinds.items() if not stat.S_ISDIR(mode))
        return within + sum(found.fingerprint.kind != "directory" and found.real is None for found in apart)

    @cached_property
    def plain(self) -> Sequence[str]:
        """Every path that is no folder."""
        folders = {path for path in self._layout.other if stat.S_ISDIR(self._modes[self._rows[path]])}
        found = [path for path in self._rows if path not in folders]
        return [*found, *(path for path in self._apart if self.noted[path].fingerprint.kind != "directory")]

    @cached_property
    def _kinds(self) -> Mapping[int, int]:
        """`st_mode` → how many paths have it. There are few."""
        return Counter(self._modes)

    @property
    def writable(self) -> Iterator[str]:
        """The files that everybody may change."""
        modes = {mode for mode in self._kinds if mode & 0o002 and kind_of(mode) in {"file", None}}
        if modes:
            yield from (path for path, mode in zip(self._rows, self._modes, strict=True) if mode in modes)
        for path in self._apart:
            found = self.noted[path].fingerprint
            if found.kind == "file" and (found.mode or 0) & 0o002:
                yield path

    @cached_property
    def names(self) -> frozenset[str]:
        """The last part of every path."""
        within = (name for names in self._layout.folders.values() for name in names)
        return frozenset((*within, *(path.rpartition("/")[2] for path in self._apart)))

    def size(self, path: str) -> int | None:
        """The size of a file that holds what is promised; `None` for what is noted, and for what is not there."""
        row = None if path in self.noted else self._rows.get(path)
        return None if row is None or stat.S_IFMT(self._modes[row]) != stat.S_IFREG else self._sizes[row]

    def below(self, folder: str) -> Iterator[str]:
        """The paths directly in a folder."""
        yield from (f"{folder}/{name}" if folder else name for name in self._layout.folders.get(folder, ()))
        yield from (path for path in self._apart if path.rpartition("/")[0] == folder)

    @property
    def is_ascii(self) -> bool:
        """Whether all paths are."""
        within = all("".join(names).isascii() for names in self._layout.folders.values())
        return within and all(path.isascii() for path in self._apart)

    def folders_with(self, name: str) -> Iterator[str]:
        """The folders in which something has this name."""
        yield from (folder for folder, names in self._layout.folders.items() if name in names)
        yield from (path.rpartition("/")[0] for path in self._apart if path.rpartition("/")[2] == name)

    @cached_property
    def _apart(self) -> Sequence[str]:
        """What is noted and was not walked."""
        return [path for path in self.noted if path not in self._rows]

    def kind(self, path: str) -> PathKind | None:
        """What lies at a path; `None`: nothing."""
        if (row := self._rows.get(path)) is not None:
            return kind_of(self._modes[row]) or "file"
        found = self.noted.get(path)
        return None if found is None else found.fingerprint.kind

    def suspects(self) -> list[str]:
        """The claimed paths of which some claim may be broken; every other path holds what is promised."""
        gone = self._claims.keys() - self._rows.keys()
        wanted = {*gone, *self.noted, *self._claims.unusual(), *self._layout.other}
        return self._claims.ordered(wanted)

    def __getitem__(self, path: str) -> Observed:
        if (found := self.noted.get(path)) is not None:
            return found
        row = self._rows[path]
        mode = self._modes[row]
        kind = kind_of(mode) or "file"
        if path not in self._claims:
            return _alike(kind, stat.S_IMODE(mode))
        fingerprint = Fingerprint(
            kind=kind,
            sha256=self._claims.promise(path) if kind == "file" else None,
            size=self._sizes[row] if kind == "file" else None,
            mode=stat.S_IMODE(mode),
        )
        return Observed(fingerprint=fingerprint, links=self._links[row])

    def __contains__(self, path: object) -> bool:
        return path in self._rows or path in self.noted

    def __iter__(self) -> Iterator[str]:
        yield from self._rows
        yield from self._apart

    def __len__(self) -> int:
        return len(self._rows) + len(self._apart)


def kind_of(mode: int) -> PathKind | None:
    """`None`: a pipe, a socket or a device."""
    return _KINDS.get(stat.S_IFMT(mode))


@cache
def _alike(kind: PathKind, mode: int) -> Observed:
    """What nobody claims, of which only the kind will matter. Most files are alike, and share one value."""
    return Observed(fingerprint=Fingerprint(kind=kind, mode=mode))

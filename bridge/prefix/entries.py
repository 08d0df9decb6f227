"""The entries of one package in columns: a value of a few bytes a path, which gives each `Entry` when it is looked at.

An audit of 50,000 paths looks at few of them one by one; to make two objects for each path of each record would take
longer than to hash the files. Pure.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from bridge.model import Entry, Fingerprint

__all__ = ["Entries", "is_hashed", "paths_of"]

_WIDTH = 32  # bytes of a SHA-256
_NONE = bytes(_WIDTH)
_UNKNOWN = -1
_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entries(Sequence[Entry]):
    """A sequence of entries, each path once.

    :param paths: one for each entry, in order.
    :param digests: 32 bytes for each: the sha256 that is promised; without meaning for `bare` and `odd` rows.
    :param sizes: one for each, -1 where the record does not say.
    :param packed: empty, or 32 bytes for each: the sha256 in the archive; the same as promised: nothing else is said.
    :param bare: the rows that promise no sha256.
    :param odd: row → its entry, where the columns cannot hold it (links, directories).
    """

    paths: tuple[str, ...]
    digests: bytes
    sizes: array[int]
    packed: bytes = b""
    bare: frozenset[int] = frozenset()
    odd: Mapping[int, Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Entries:
        """Columns of entries that were made one by one."""
        rows = tuple(entries)
        odd = {row: entry for row, entry in enumerate(rows) if _is_odd(entry)}
        digests = [None if row in odd else entry.fingerprint.sha256 for row, entry in enumerate(rows)]
        packed = [None if row in odd else entry.packed for row, entry in enumerate(rows)]
        sizes = [None if row in odd else entry.fingerprint.size for row, entry in enumerate(rows)]
        return cls(
            paths=tuple(entry.path for entry in rows),
            digests=b"".join(bytes.fromhex(each) if each else _NONE for each in digests),
            sizes=array("q", [_UNKNOWN if size is None else size for size in sizes]),
            packed=b"".join(bytes.fromhex(a or b or "") or _NONE for a, b in zip(packed, digests, strict=True))
            if any(packed)
            else b"",
            bare=frozenset(row for row, digest in enumerate(digests) if digest is None and row not in odd),
            odd=odd,
        )

    def digest(self, row: int) -> bytes | None:
        """What is promised of a row that is not odd."""
        return None if row in self.bare else self.digests[row * _WIDTH : row * _WIDTH + _WIDTH]

    def hashed(self) -> Iterable[str]:
        """The paths for which some sha256 is promised: that of the file, or that of what a link leads to."""
        if not self.bare and not self.odd:
            return self.paths
        without = self.bare | {row for row, entry in self.odd.items() if not is_hashed(entry)}
        return (path for row, path in enumerate(self.paths) if row not in without)

    def changed(self) -> Iterator[str]:
        """The files that had another sha256 in their archive: the prefix was written into them."""
        if not self.packed:
            return
        digests, packed = memoryview(self.digests), memoryview(self.packed)
        for row, path in enumerate(self.paths):
            place = slice(row * _WIDTH, row * _WIDTH + _WIDTH)
            if digests[place] != packed[place] and row not in self.bare and row not in self.odd:
                yield path

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Entry]:
        return map(self._at, range(len(self.paths)))

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, row: int | slice) -> Entry | tuple[Entry, ...]:
        numbers = range(len(self.paths))[row]
        return self._at(numbers) if isinstance(numbers, int) else tuple(map(self._at, numbers))

    def _at(self, row: int) -> Entry:
        if (odd := self.odd.get(row)) is not None:
            return odd
        digest, size = self.digest(row), self.sizes[row]
        packed = self.packed[row * _WIDTH : row * _WIDTH + _WIDTH] if self.packed and digest is not None else digest
        return Entry(
            path=self.paths[row],
            fingerprint=Fingerprint(
                kind="file",
                sha256=None if digest is None else digest.hex(),
                size=None if size == _UNKNOWN else size,
            ),
            packed=None if packed is None or packed == digest else packed.hex(),
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled, the paths are one text: that takes a fifth of the time."""
        text = "\0".join(self.paths)
        paths = text if text and text.count("\0") == len(self.paths) - 1 else self.paths
        return _restored, (paths, self.digests, self.sizes.tobytes(), self.packed, self.bare, self.odd)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))


def _restored(
    paths: str | tuple[str, ...],
    digests: bytes,
    sizes: bytes,
    packed: bytes,
    bare: frozenset[int],
    odd: Mapping[int, Entry],
) -> Entries:
    return Entries(
        paths=tuple(paths.split("\0")) if isinstance(paths, str) else paths,
        digests=digests,
        sizes=array("q", sizes),
        packed=packed,
        bare=bare,
        odd=odd,
    )


def is_hashed(entry: Entry) -> bool:
    """Whether the sha256 of some file is promised: of this one, or of the one a link leads to."""
    return bool(entry.fingerprint.sha256 or entry.packed or entry.placed)


def paths_of(entries: Sequence[Entry]) -> Sequence[str]:
    """The paths of entries, without making these where they are columns."""
    return entries.paths if isinstance(entries, Entries) else [entry.path for entry in entries]


def _is_odd(entry: Entry) -> bool:
    promised, packed = entry.fingerprint, entry.packed
    if promised.kind != "file" or promised.mode is not None or promised.link is not None:
        return True
    if packed is not None and promised.sha256 in {None, packed}:  # It says nothing else, or nothing is promised.
        return True
    if any(digest is not None and not _HEX.match(digest) for digest in (promised.sha256, packed)):
        return True
    return promised.size is not None and not 0 <= promised.size < 1 << 63

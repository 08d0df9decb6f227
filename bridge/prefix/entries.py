"""The entries of one package in columns: a few bytes for each path. An `Entry` is made when it is looked at. Pure.

An audit of 50,000 paths looks at few of them one by one. Two objects for each path of each record would take longer to
make than the files take to hash.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from bridge.model import Entry, Fingerprint
from converters.deferred import regex

__all__ = ["NO_DIGEST", "UNKNOWN_SIZE", "Entries", "paths_of"]

_WIDTH = 32  # bytes of a SHA-256
NO_DIGEST = bytes(_WIDTH)
UNKNOWN_SIZE = -1
_HEX = regex(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Entries(Sequence[Entry]):
    """A sequence of entries with distinct paths.

    :param paths: one per entry, in order.
    :param digests: 32 bytes per entry: the promised sha256. Meaningless for rows in `bare` and `odd`.
    :param sizes: one per entry; `UNKNOWN_SIZE` where the record gives none.
    :param packed: empty, or 32 bytes per entry: the sha256 in the archive. Equal to `digests` where the record gives no
        other.
    :param bare: the rows that promise no sha256.
    :param odd: row → entry, where the columns cannot hold it (links, directories).
    """

    paths: tuple[str, ...]
    digests: bytes
    sizes: array[int]
    packed: bytes = b""
    bare: frozenset[int] = frozenset()
    odd: Mapping[int, Entry] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Entries:
        """Columns of entries that were made one by one. Columns are returned as they are."""
        if isinstance(entries, Entries):
            return entries
        rows = tuple(entries)
        blank = cls(
            paths=tuple(entry.path for entry in rows),
            digests=bytes(_WIDTH * len(rows)),
            sizes=array("q", [UNKNOWN_SIZE]) * len(rows),
        )
        return blank.with_rows(dict(enumerate(rows)))

    def with_rows(self, entries: Mapping[int, Entry]) -> Entries:
        """These columns with other entries in some rows."""
        if not entries:
            return self
        digests, packed, sizes = bytearray(self.digests), bytearray(self.packed or self.digests), self.sizes[:]
        bare, odd = set(self.bare).difference(entries), dict(self.odd)
        for row, entry in entries.items():
            odd.pop(row, None)
            promised = entry.fingerprint
            if _is_odd(entry):
                odd[row] = entry
            elif promised.sha256 is None:
                bare.add(row)
            place = slice(row * _WIDTH, row * _WIDTH + _WIDTH)
            is_plain = row not in odd and row not in bare
            digests[place] = bytes.fromhex(promised.sha256 or "") if is_plain else NO_DIGEST
            packed[place] = bytes.fromhex(entry.packed) if is_plain and entry.packed else digests[place]
            sizes[row] = UNKNOWN_SIZE if row in odd or promised.size is None else promised.size
        return Entries(
            paths=self.paths,
            digests=bytes(digests),
            sizes=sizes,
            packed=b"" if packed == digests else bytes(packed),
            bare=frozenset(bare),
            odd=odd,
        )

    def only(self, rows: Collection[int]) -> Entries:
        """The entries of these rows, in this order."""
        if len(rows) == len(self.paths) and all(map(int.__eq__, rows, range(len(rows)))):
            return self
        places = [slice(row * _WIDTH, row * _WIDTH + _WIDTH) for row in rows]
        return Entries(
            paths=tuple(self.paths[row] for row in rows),
            digests=b"".join(self.digests[place] for place in places),
            sizes=array("q", [self.sizes[row] for row in rows]),
            packed=b"".join(self.packed[place] for place in places),
            bare=frozenset(new for new, row in enumerate(rows) if row in self.bare),
            odd={new: self.odd[row] for new, row in enumerate(rows) if row in self.odd},
        )

    def digest(self, row: int) -> bytes | None:
        """The promised sha256 of a row that is not odd."""
        return None if row in self.bare else self.digests[row * _WIDTH : row * _WIDTH + _WIDTH]

    def hashed(self) -> Iterable[str]:
        """The paths for which some sha256 is promised: that of the file, or of a link's target."""
        if not self.bare and not self.odd:
            return self.paths
        return (path for row, path in enumerate(self.paths) if self.is_hashed(row))

    def is_hashed(self, row: int) -> bool:
        """Whether a row promises some sha256: that of the file, or of a link's target."""
        if row in self.odd:
            return _is_hashed(self.odd[row])
        return row not in self.bare

    def changed(self) -> Iterator[str]:
        """The files with another sha256 in their archive: the prefix was written into them."""
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
                size=None if size == UNKNOWN_SIZE else size,
            ),
            packed=None if packed is None or packed == digest else packed.hex(),
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the paths as one text, which takes a fifth of the time."""
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


def paths_of(entries: Sequence[Entry]) -> Sequence[str]:
    """The paths of entries, without making an entry where they are columns."""
    return entries.paths if isinstance(entries, Entries) else [entry.path for entry in entries]


def _is_hashed(entry: Entry) -> bool:
    """Whether the sha256 of some file is promised: of this one, or of a link's target."""
    return bool(entry.fingerprint.sha256 or entry.packed or entry.placed)


def _is_odd(entry: Entry) -> bool:
    promised, packed = entry.fingerprint, entry.packed
    if promised.kind != "file" or promised.mode is not None or promised.link is not None:
        return True
    if packed is not None and promised.sha256 in {None, packed}:  # It says nothing else, or nothing is promised.
        return True
    if any(digest is not None and not _HEX.match(digest) for digest in (promised.sha256, packed)):
        return True
    return promised.size is not None and not 0 <= promised.size < 1 << 63

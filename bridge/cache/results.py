"""Results of pure functions of texts, kept as plain data for later runs: most of what a solve asks `packaging`.

A table counts only for the same stamp (what its results depend on besides their keys), and for the versions of bridge,
`packaging` and python that wrote it. Anything else, and damage, is an empty table.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import packaging

from bridge import __version__
from bridge.cache.blobs import BlobStore
from bridge.fs.digests import sha256_hex

__all__ = ["Results", "Table", "digest"]

_DIRECTORY = "results"  # of the cache
_CONTEXT = repr((3, __version__, packaging.__version__, sys.version))
_MAX_ENTRIES = 4096  # of a table; a larger one begins again with what its last run added

Result = TypeVar("Result")


class Table:
    """Results by key: what JSON has. A tuple of this run is a list in later ones."""

    __slots__ = ("added", "entries")

    def __init__(self, entries: dict[str, Any] | None = None) -> None:
        self.entries = {} if entries is None else entries
        self.added: dict[str, Any] = {}

    def add(self, results: Mapping[str, Any]) -> None:
        """Add results that were computed elsewhere."""
        new = {key: result for key, result in results.items() if key not in self.entries}
        self.entries |= new
        self.added |= new

    def recall(self, key: str, compute: Callable[[], Result]) -> Result:
        """Return the result of a key; computed at its first use."""
        if key not in self.entries:
            self.entries[key] = self.added[key] = compute()
        result: Result = self.entries[key]
        return result


class Results:
    """The tables of one cache; without one they end with the process."""

    def __init__(self, cache: Path | None = None) -> None:
        self._blobs = None if cache is None else BlobStore(cache / _DIRECTORY, root=cache)
        self._tables: dict[str, tuple[str, Table]] = {}

    def table(self, name: str, stamp: str) -> Table:
        """Return the table of a name; an empty one if the kept one has another stamp."""
        known = self._tables.get(name)
        if known is None or known[0] != stamp:
            known = self._tables[name] = stamp, Table(self._stored(name, stamp))
        return known[1]

    def _stored(self, name: str, stamp: str) -> dict[str, Any]:
        packed = None if self._blobs is None else self._blobs.get(name)
        with suppress(ValueError, TypeError, RecursionError):
            context, kept, entries = json.loads(packed or b"")
            if context == _CONTEXT and kept == stamp and isinstance(entries, dict):
                return entries
        return {}

    def save(self) -> None:
        """Keep the tables that have new results."""
        for name, (stamp, table) in self._tables.items():
            if table.added and self._blobs is not None:
                entries = table.entries if len(table.entries) <= _MAX_ENTRIES else table.added
                with suppress(ValueError):  # an integer of more than 4,300 digits: 14,000 files
                    packed = json.dumps((_CONTEXT, stamp, entries), separators=(",", ":"))
                    self._blobs.set(name, packed.encode())
                table.added = {}


def digest(texts: Iterable[object]) -> str:
    """Return a stamp of values with unambiguous texts."""
    return sha256_hex(repr(tuple(texts)).encode("utf-8", "backslashreplace"))

"""Keep what the records of a prefix said when they were last read, so that an unchanged one is not parsed again.

One file of bridge's cache for each prefix. An item counts only as long as each file that it was read from, and the
directory of a dist-info, have the same inode, mode, size and times, and if these were settled when it was read
(`bridge.fs.unchanged`). What is damaged is not kept. A cache that is missing, stale, damaged or of another version is
made anew.
"""

from __future__ import annotations

import os
import time
import zlib
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack

from bridge import __version__
from bridge.errors import BridgeError
from bridge.fs import publish_file, read_regular
from bridge.fs.unchanged import Identity, cache_name, identity_of, is_settled
from bridge.model import EGGS, Distribution, Entry, Fingerprint, Installed
from bridge.prefix.entries import Entries
from bridge.prefix.records import Reader, ReadResult
from converters.record import Record

__all__ = ["Remembering"]

_FORMAT = 1
_MAX_SIZE = 256 << 20  # bytes of the file
_DIRECTORY = "records"  # of the cache
_CHECKSUM = 4  # bytes
# The files of a dist-info or an .egg-info of which the content is read.
_READ = (
    "METADATA",
    "PKG-INFO",
    "RECORD",
    "INSTALLER",
    "WHEEL",
    "direct_url.json",
    "requires.txt",
    "installed-files.txt",
)
_RECORD = tuple(Record.__annotations__)
_ENTRY = tuple(Entry.__annotations__)
_FINGERPRINT = tuple(Fingerprint.__annotations__)
_DISTRIBUTION = tuple(name for name in Distribution.__annotations__ if name != "entries")
_CONTEXT = repr((_FORMAT, __version__, _RECORD, _ENTRY, _FINGERPRINT, _DISTRIBUTION))

_Watched = tuple[tuple[str, Identity], ...]


class Remembering:
    """A reader of the records of one prefix that parses only what has changed; `keep` writes down what it parsed.

    :param cache: bridge's cache.
    """

    def __init__(self, reader: Reader, cache: Path) -> None:
        self._reader, self._root = reader, cache
        self._path = cache / _DIRECTORY / f"{cache_name(reader.prefix)}.msgpack"
        self._started = time.time_ns()
        self._known = self._read()
        self._kept: dict[str, tuple[_Watched, object]] = {}
        self._is_changed = False

    def record(self, path: str) -> ReadResult:
        """As `Reader.record`."""
        return self._remembered(path, (path,), lambda: self._reader.record(path))

    def distribution(self, path: str, *, is_covered: bool = False) -> ReadResult:
        """As `Reader.distribution`."""
        if path.endswith(EGGS):  # They name files elsewhere.
            return self._reader.distribution(path, is_covered=is_covered)
        key = path if is_covered else f"{path}/RECORD"
        return self._remembered(key, None, lambda: self._reader.distribution(path, is_covered=is_covered), path)

    def keep(self) -> None:
        """Write what was read, if it is not what the cache has. Errors are ignored: the next run is only slower."""
        if not self._is_changed and len(self._kept) == len(self._known):
            return
        with suppress(BridgeError, OSError, OverflowError, ValueError, TypeError):
            items = msgpack.packb((_CONTEXT, self._reader.prefix, self._kept), unicode_errors="surrogatepass")
            if len(items) <= _MAX_SIZE:
                publish_file(self._path, [zlib.crc32(items).to_bytes(_CHECKSUM, "big"), items], root=self._root)

    def _remembered(
        self, key: str, files: Sequence[str] | None, read: Callable[[], ReadResult], directory: str = ""
    ) -> ReadResult:
        known = self._known.get(key)
        if known is not None and self._is_same(known):
            with suppress(LookupError, TypeError, ValueError, AttributeError):
                result = _unpacked(known[1])
                self._kept[key] = known
                return result, ()
        watched = self._watched(files if files is not None else self._files_of(directory))
        found, defects = read()
        if found is not None and not defects and watched is not None:
            with suppress(OverflowError, ValueError, TypeError):
                self._kept[key] = watched, _packed(found)
                self._is_changed = True
        return found, defects

    def _files_of(self, directory: str) -> list[str]:
        """A dist-info and those of its files that are read; the directory's times tell whether there are others."""
        there = os.path.join(self._reader.prefix, directory)
        return [directory, *(f"{directory}/{name}" for name in _READ if os.path.exists(f"{there}/{name}"))]

    def _watched(self, files: Sequence[str]) -> _Watched | None:
        """What the files are now; `None` if one is gone, or too new to be told from its next version."""
        try:
            watched = tuple((path, self._identity(path)) for path in files)
        except (OSError, ValueError):
            return None
        return watched if all(is_settled(max(each[3:]), self._started) for _, each in watched) else None

    def _is_same(self, known: tuple[_Watched, object]) -> bool:
        try:
            return all(self._identity(path) == was for path, was in known[0])
        except (OSError, ValueError, TypeError):
            return False

    def _identity(self, path: str) -> Identity:
        return identity_of(f"{self._reader.prefix}/{path}")

    def _read(self) -> Mapping[str, tuple[_Watched, object]]:
        try:
            data = read_regular(self._path, root=self._root, limit=_MAX_SIZE)
            if zlib.crc32(data[_CHECKSUM:]) != int.from_bytes(data[:_CHECKSUM], "big"):
                return {}
            context, prefix, items = msgpack.unpackb(
                memoryview(data)[_CHECKSUM:], use_list=False, unicode_errors="surrogatepass"
            )
        except (OSError, ValueError, TypeError, msgpack.UnpackException):
            return {}
        is_ours = context == _CONTEXT and prefix == self._reader.prefix and isinstance(items, dict)
        return items if is_ours else {}


def _packed(found: Installed | Distribution) -> object:
    if isinstance(found, Distribution):
        values = [getattr(found, name) for name in _DISTRIBUTION]
        values[_DISTRIBUTION.index("direct_url")] = _free(found.direct_url)
        return values, None if found.entries is None else _columns(Entries.of(found.entries))
    record = [getattr(found.record, name) for name in _RECORD]
    record[_RECORD.index("others")] = _free(found.record.others)
    return record, _columns(Entries.of(found.entries)), found.meta_path, found.requested


def _unpacked(packed: Any) -> Installed | Distribution:  # noqa: ANN401 - what `_packed` returns, or garbage
    if len(packed) == 2:
        values = dict(zip(_DISTRIBUTION, packed[0], strict=True))
        values["direct_url"] = _of_free(values["direct_url"])
        return Distribution(**values, entries=None if packed[1] is None else _of_columns(packed[1]))
    record, entries, meta_path, requested = packed
    values = dict(zip(_RECORD, record, strict=True))
    values["others"] = tuple(map(tuple, _of_free(values["others"])))
    return Installed(record=Record(**values), meta_path=meta_path, entries=_of_columns(entries), requested=requested)


def _free(value: object) -> bytes:
    """A JSON value by itself: its lists stay lists, where all others become tuples."""
    packed: bytes = msgpack.packb(value, unicode_errors="surrogatepass")
    return packed


def _of_free(data: bytes) -> Any:  # noqa: ANN401 - any JSON value
    return msgpack.unpackb(data, unicode_errors="surrogatepass")


def _columns(entries: Entries) -> object:
    text = "\0".join(entries.paths)
    paths = text if text and text.count("\0") == len(entries.paths) - 1 else entries.paths
    odd = [
        (row, *(getattr(each, name) for name in _ENTRY if name != "fingerprint"),
         [getattr(each.fingerprint, name) for name in _FINGERPRINT])
        for row, each in entries.odd.items()
    ]  # fmt: skip
    return paths, entries.digests, entries.sizes.tobytes(), entries.packed, tuple(entries.bare), odd


def _of_columns(columns: Any) -> Entries:  # noqa: ANN401 - what `_columns` returns, or garbage
    paths, digests, sizes, packed, bare, odd = columns
    names = tuple(name for name in _ENTRY if name != "fingerprint")
    return Entries(
        paths=tuple(paths.split("\0")) if isinstance(paths, str) else paths,
        digests=digests,
        sizes=array("q", sizes),
        packed=packed,
        bare=frozenset(bare),
        odd={
            row: Entry(
                **dict(zip(names, values, strict=True)),
                fingerprint=Fingerprint(**dict(zip(_FINGERPRINT, promised, strict=True))),
            )
            for row, *values, promised in odd
        },
    )

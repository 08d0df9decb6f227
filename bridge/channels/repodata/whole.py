"""`repodata.json` and `repodata.json.zst` of network channels, cached and revalidated when stale.

The cache holds the plain JSON, which rattler maps into memory, and a note of its validator. Both are keyed by URL and
credential, so a private channel's records response nobody else's requests.
"""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import zstandard

from bridge import fs
from bridge.cache.blobs import BlobStore, cache_faults
from bridge.channels.repodata.base_urls import invalid
from bridge.errors import NetworkError, UnsafeInputError
from bridge.fetch.responses import Response, max_age, offline_error, status_error, truncated, validator
from bridge.secrets import masked
from converters.deferred import NamedTuple

if TYPE_CHECKING:
    from bridge.fetch.client import Client

__all__ = ["MAX_WHOLE", "WholeStore"]

MAX_WHOLE = 768 << 20  # bytes of JSON; conda-forge's largest has about 400 MiB
_NAMES = ("repodata.json.zst", "repodata.json")
_NOTHING = b"null"  # the note of a missing subdir
_BLOCK = 1 << 18
_MAX_WINDOW = 1 << 27
_ABSENT = frozenset({400, 403, 404, 405, 410})  # answers of file servers for a missing compressed form


class _Note(NamedTuple):
    """What is known of the cached copy: the file it came as, until when it is fresh, and its sha256."""

    name: str
    validator: str | None
    until: float
    sha256: str


class WholeStore:
    """Cached copies, fetched as needed. Thread-safe."""

    def __init__(self, directory: Path, client: Client) -> None:
        self._directory = directory
        self._root = directory.parent  # the cache; no symlink below it is followed
        self._client = client
        self._notes = BlobStore(directory / "notes", root=self._root)

    def get(self, url: str) -> Path | None:
        """The cached JSON of the subdir at `url` (no trailing slash), fetched if needed; `None` if it has none.

        Raises as `Client.get`, `UnsafeInputError` (`limit-size`, `repodata-invalid`), `FaultError`.
        """
        key = f"{url}\0{self._client.credential(url)}"
        name = hashlib.sha256(key.encode()).hexdigest()
        path = self._directory / "whole" / name[:2] / f"{name}.json"
        known = self._known(key, path)
        if known is not None and (self._client.settings.offline or time.time() < known.until):
            return path
        if self._client.settings.offline:
            if self._notes.get(key) == _NOTHING:
                return None
            raise offline_error(url)
        for name in sorted(_NAMES, key=lambda each: known is not None and each != known.name):
            attempt = partial(self._fetch, url, name, path, known if known and known.name == name else None)
            note = self._client.retrying(attempt)
            if note is not None:
                self._notes.set(key, json.dumps(note).encode())
                return path
        self._notes.set(key, _NOTHING)
        return None

    def _known(self, key: str, path: Path) -> _Note | None:
        try:
            name, tag, until, sha256 = json.loads(self._notes.get(key) or b"null")
            is_whole = fs.hash_regular(path, root=self._root) == sha256
            return _Note(str(name), tag if isinstance(tag, str) else None, float(until), sha256) if is_whole else None
        except (ValueError, TypeError, OSError):
            return None

    def _fetch(self, url: str, name: str, path: Path, known: _Note | None) -> _Note | None:
        """Fetch it once; `None` if the subdir has no such file."""
        place = f"{url}/{name}"
        headers = {"Accept-Encoding": "identity" if name.endswith(".zst") else "zstd, gzip"}
        if known is not None and known.validator is not None:
            headers["If-None-Match" if known.validator.startswith('"') else "If-Modified-Since"] = known.validator
        with self._client.exchange(place, headers) as response:
            until = time.time() + _age(response)
            if response.status == 304 and known is not None:
                return known._replace(until=until)
            if response.status == 404 or (response.status in _ABSENT and name != _NAMES[-1]):
                return None
            if response.status != 200:
                raise status_error(response)
            blocks = _decoded(response, place, is_zstd=name.endswith(".zst"))
            first = next(blocks, b"")
            if name.endswith(".zst") and not first:
                return None  # an HTML page, which some servers send instead of 404
            with cache_faults(), fs.publish_stream(path, mode=0o600, root=self._root) as stream:
                sha256 = _copy(first, blocks, stream.write, place)
            return _Note(name, validator(response.headers), until, sha256)


def _copy(first: bytes, blocks: Iterator[bytes], write: Callable[[bytes], int], url: str) -> str:
    digest, length, block = hashlib.sha256(), 0, first
    while block:
        length += len(block)
        if length > MAX_WHOLE:
            raise UnsafeInputError("limit-size", f"more than {MAX_WHOLE >> 20} MiB of repodata: {masked(url)}")
        digest.update(block)
        write(block)
        block = next(blocks, b"")
    return digest.hexdigest()


def _age(response: Response) -> float:
    policy = response.headers.get("cache-control", "").lower()
    age = max_age(policy)
    return 0.0 if age is None or "no-cache" in policy or "no-store" in policy else min(age, 86400.0)


def _decoded(response: Response, url: str, *, is_zstd: bool) -> Iterator[bytes]:
    """Yield the JSON of a response in blocks; nothing if it should be zstd and is not."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in {"gzip", "x-gzip"}:
        yield from _inflated(response, url)
    elif encoding == "zstd" or (is_zstd and encoding in {"", "identity"}):
        yield from _unpacked(response, url)
    elif encoding in {"", "identity"}:
        yield from response.blocks()
    else:
        shown = f"its Content-Encoding is {encoding[:60]!r}"
        raise NetworkError("encoding", f"unexpected encoding of the content: {masked(url)}", context=(shown,))


def _inflated(response: Response, url: str) -> Iterator[bytes]:
    decoder = zlib.decompressobj(31)
    try:
        for block in response.blocks():
            rest = block
            while rest and not decoder.eof:
                yield decoder.decompress(rest, _BLOCK)
                rest = decoder.unconsumed_tail
    except zlib.error as error:
        raise invalid(url, str(error)) from error
    if not decoder.eof:
        raise truncated(url, 0, None)


def _unpacked(response: Response, url: str) -> Iterator[bytes]:
    reader, has_started = _Reader(response.blocks()), False
    try:
        unpacked = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
            cast("BinaryIO", reader), read_across_frames=True
        )
        while block := unpacked.read(_BLOCK):
            has_started = True
            yield block
    except zstandard.ZstdError as error:
        if has_started:
            raise invalid(url, str(error)) from error
    finally:
        reader.close()


class _Reader:
    """Blocks as a readable file for `zstandard`."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._blocks, b"")
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return data

    def close(self) -> None:
        self._rest = b""

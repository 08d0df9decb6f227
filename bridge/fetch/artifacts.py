"""Artifacts by URL and hash: from the cache where they are whole, else downloaded, verified and then published.

The layout below the cache's `artifacts` folder:

* `sha256/ab/<sha256>/<name>`: what an index or a channel promised a hash for;
* `url/ab/<sha256 of the URL>/<name>`: what a person named by URL, without a hash;
* `partial/<sha256>`: the beginning of a download that broke off for good, for the next run to go on with.

Many processes may download the same artifact at the same time: each into a file of its own, published by one rename.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO

from bridge import fs
from bridge.cache.blobs import BlobStore, cache_faults, sha256_of
from bridge.errors import FaultError, IntegrityError, NetworkError
from bridge.faults import faults
from bridge.fetch.responses import Network, Progress, offline_error, status_error
from bridge.fetch.transfer import Transfer, check_hash, check_size
from bridge.fetch.urls import masked

__all__ = ["ArtifactStore"]

_BLOCK = 1 << 20
_WORTH_KEEPING = 1 << 20  # bytes of a download that broke off


class ArtifactStore:
    """The artifacts in the cache, and the way there. For many threads at once.

    :param network: what downloads; `None`: offline.
    :param root: the cache that `folder` lies in; from there on no symlink is followed.
    """

    def __init__(self, folder: Path, network: Network | None, *, root: Path | None = None) -> None:
        self._folder = folder
        self._root = root or folder
        self._network = network
        self._notes = BlobStore(folder / "notes", root=self._root)
        self._by_url: dict[tuple[str, str], Path] = {}  # (sha256, name) of what was asked for by URL in this run
        self._verified: dict[tuple[str, int, int, int], str] = {}

    def path(self, sha256: str, name: str) -> Path:
        """Where the artifact of that hash lies or is to lie."""
        return self._folder / "sha256" / sha256[:2] / sha256 / name

    def find(self, sha256: str, name: str) -> Path | None:
        """The artifact of that hash, where it lies in the cache and is whole."""
        for path in (self.path(sha256, name), self._by_url.get((sha256, name))):
            if path is not None and self._hash(path, root=self._root) == sha256:
                return path
        return None

    def local(self, path: Path, url: str, *, sha256: str | None, size: int | None, name: str) -> Path:
        """A local artifact, used where it lies. Raises `IntegrityError`; `NetworkError` (`file-missing`)."""
        with faults(path):
            if not path.is_file():
                raise NetworkError("file-missing", f"there is no file {path}", context=(masked(url),))
            check_size(name, url, size, path.stat().st_size)
            if sha256 is not None:
                check_hash(name, url, sha256, self._hash(path) or "")
        return path

    def by_hash(self, url: str, *, sha256: str, size: int | None, name: str, progress: Progress | None) -> Path:
        """The artifact of that hash. Raises as `Client.download`."""
        whole = self.find(sha256, name)
        if whole is not None:
            check_size(name, url, size, whole.stat().st_size)
            return whole
        path = self.path(sha256, name)
        found = self._hash(path, root=self._root)
        if self._network is None and found is not None:
            raise IntegrityError(
                "hash-mismatch",
                f"the copy of {name} in the cache is damaged, and offline it cannot be fetched again",
                context=(str(path), f"expected: {sha256}", f"found: {found}"),
                hint="run the command once without --offline",
            )
        network = self._online(url)
        unfinished = self._folder / "partial" / sha256
        with self._publishing(path) as stream:
            transfer = Transfer(network, url, stream, name=name, sha256=sha256, size=size, progress=progress)
            try:
                transfer.run(self._blocks_of(unfinished))
            except BaseException as error:
                if not isinstance(error, IntegrityError) and transfer.length >= _WORTH_KEEPING:
                    self._keep(stream, unfinished)
                raise
        with suppress(FaultError):
            fs.remove_regular(unfinished, root=self._root)
        self._hash(path, root=self._root, known=sha256)
        return path

    def by_url(self, url: str, *, size: int | None, name: str, progress: Progress | None) -> Path:
        """What a person named by its URL alone. It is asked for again each time, unless the server says "unchanged"."""
        key = hashlib.sha256(url.encode()).hexdigest()
        path = self._folder / "url" / key[:2] / key / name
        note: dict[str, object] = self._notes.read(url, dict) or {}
        found = self._hash(path, root=self._root)
        is_whole = found is not None and found == note.get("sha256")
        if is_whole and (self._network is None or self._is_unchanged(self._network, url, note.get("validator"))):
            self._by_url[str(found), name] = path
            return path
        network = self._online(url)
        with self._publishing(path) as stream:
            transfer = Transfer(network, url, stream, name=name, sha256=None, size=size, progress=progress)
            found = transfer.run()
        self._by_url[found, name] = path
        self._notes.set(url, json.dumps({"sha256": found, "validator": transfer.validator}).encode())
        return path

    @staticmethod
    def _is_unchanged(network: Network, url: str, known: object) -> bool:
        """Ask whether a copy is still good, by its validator."""
        if not isinstance(known, str):
            return False
        condition = "If-None-Match" if known.startswith('"') else "If-Modified-Since"

        def attempt() -> bool:
            with network.exchange(url, {condition: known, "Accept-Encoding": "identity"}) as answer:
                if answer.status not in {200, 304}:
                    raise status_error(answer)
                return answer.status == 304

        return network.retrying(attempt)

    def _online(self, url: str) -> Network:
        if self._network is None:
            raise offline_error(url)
        return self._network

    @contextmanager
    def _publishing(self, path: Path) -> Iterator[BinaryIO]:
        with cache_faults(), fs.publish_stream(path, root=self._root) as stream:
            yield stream

    def _keep(self, stream: BinaryIO, path: Path) -> None:
        """Keep what came so far; that it cannot be kept hides nothing of why it broke off."""
        with suppress(FaultError):
            stream.seek(0)
            fs.publish_file(path, stream, root=self._root)

    def _hash(self, path: Path, *, root: Path | None = None, known: str | None = None) -> str | None:
        """The sha256 of a file, computed again only where its size, time or inode changed; `None`: not there.

        :param root: the cache, for a file that lies there: what is no regular file of a trusted owner is not there.
        """
        try:
            found = path.stat() if root is None else fs.lstat_regular(path, root=root)
            stamp = (str(path), found.st_size, found.st_mtime_ns, found.st_ino)
            if stamp not in self._verified:
                hashes = sha256_of if root is None else partial(fs.hash_regular, root=root)
                self._verified[stamp] = known or hashes(path)
        except OSError:
            return None
        return self._verified[stamp]

    def _blocks_of(self, path: Path) -> Iterable[bytes]:
        try:
            with fs.open_regular(path, root=self._root) as stream:
                while block := stream.read(_BLOCK):
                    yield block
        except OSError:
            return

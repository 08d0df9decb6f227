"""Artifacts by hash or URL: from the cache if intact, else downloaded, verified and published.

The layout below the cache's `artifacts` directory:

* `sha256/ab/<sha256>/<name>`: artifacts with a promised hash;
* `url/ab/<sha256 of the URL>/<name>`: artifacts requested by URL without a hash;
* `partial/<sha256>`: the beginning of a failed download, which the next run resumes.

Several processes may download the same artifact: each writes its own file and publishes it by one rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from bridge import fs
from bridge.cache.blobs import BlobStore, cache_faults, sha256_of
from bridge.errors import FaultError, IntegrityError, NetworkError
from bridge.faults import faults
from bridge.fetch.responses import Network, Progress, offline_error, status_error
from bridge.fetch.transfer import Transfer, check_hash, check_size
from bridge.fs.unchanged import identity_of, is_settled
from bridge.secrets import masked

__all__ = ["ArtifactStore"]

_BLOCK = 1 << 20
_SMALL = 1 << 20  # bytes of a local file that is hashed each time
_WORTH_KEEPING = 1 << 20  # bytes of a failed download


class ArtifactStore:
    """Artifacts in the cache, downloaded as needed. Thread-safe.

    :param network: `None` when offline.
    :param root: the cache that contains `directory`; no symlink below it is followed.
    :param folders: of archives, in any subfolders, that are used in place if name and hash are right.
    """

    def __init__(
        self, directory: Path, network: Network | None, *, root: Path | None = None, folders: Sequence[Path] = ()
    ) -> None:
        self._folders = folders
        self._directory = directory
        self._root = root or directory
        self._network = network
        self._notes = BlobStore(directory / "notes", root=self._root)
        self._by_url: dict[tuple[str, str], Path] = {}  # (sha256, name) of this run's requests by URL
        self._verified: dict[tuple[str, int, int, int], str] = {}

    def path(self, sha256: str, name: str) -> Path:
        """The path of the artifact with that hash, which may not exist yet."""
        return self._directory / "sha256" / sha256[:2] / sha256 / name

    def find(self, sha256: str, name: str) -> Path | None:
        """The artifact of that hash, if the cache or one of the folders has it intact."""
        for path in (self.path(sha256, name), self._by_url.get((sha256, name))):
            if path is not None and self._hash(path, root=self._root) == sha256:
                return path
        there = (path for path in self._in_folders.get(name, ()) if path.is_file())
        return next((path for path in there if self._hash(path) == sha256), None)

    def stored(self, sha256: str, size: int | None, name: str) -> Path | None:
        """The artifact of that hash in the cache, if its size is right (if stated); its content is not verified."""
        path = self.path(sha256, name)
        try:
            return path if size in {None, fs.lstat_regular(path, root=self._root).st_size} else None
        except OSError:
            return None

    @cached_property
    def _in_folders(self) -> Mapping[str, Sequence[Path]]:
        """The files of the folders by name. The unpacked packages in a package cache of conda hold no archives."""
        paths: dict[str, list[Path]] = {}
        for folder in self._folders:
            for directory, names, files in os.walk(folder):
                if os.path.isfile(os.path.join(directory, "info", "index.json")):
                    names.clear()
                else:
                    for name in files:
                        paths.setdefault(name, []).append(Path(directory, name))
        return paths

    def local(self, path: Path, url: str, *, sha256: str | None, size: int | None, name: str) -> Path:
        """Verify a local artifact, which is used in place. Raises `IntegrityError`, `NetworkError` (`file-missing`)."""
        with faults(path):
            if not path.is_file():
                raise NetworkError("file-missing", f"there is no file {path}", context=(masked(url),))
            check_size(name, url, size, path.stat().st_size)
            if sha256 is not None:
                check_hash(name, url, sha256, self._hash(path) or "")
        return path

    def is_soon_hashed(self, path: Path) -> bool:
        """Whether a local artifact is small, or was hashed before and did not change since."""
        try:
            return path.stat().st_size <= _SMALL or self._remembered(path) is not None
        except OSError:
            return False

    def by_hash(self, url: str, *, sha256: str, size: int | None, name: str, progress: Progress | None) -> Path:
        """The artifact of that hash. Raises as `Client.download`."""
        cached = self.find(sha256, name)
        if cached is not None:
            check_size(name, url, size, cached.stat().st_size)
            return cached
        path = self.path(sha256, name)
        damaged = self._hash(path, root=self._root)
        if self._network is None and damaged is not None:
            raise IntegrityError(
                "hash-mismatch",
                f"the cached copy of {name} is damaged and cannot be fetched again offline",
                context=(str(path), f"expected: {sha256}", f"found: {damaged}"),
                hint="run the command once without --offline",
            )
        network = self._online(url)
        unfinished = self._directory / "partial" / sha256
        with cache_faults(), fs.publish_stream(path, root=self._root) as stream:
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
        """The artifact at a URL without a known hash; downloaded again unless the server answers "unchanged"."""
        key = hashlib.sha256(url.encode()).hexdigest()
        path = self._directory / "url" / key[:2] / key / name
        note: dict[str, object] = self._notes.read(url, dict) or {}
        digest = self._hash(path, root=self._root)
        is_intact = digest is not None and digest == note.get("sha256")
        if is_intact and (self._network is None or self._is_unchanged(self._network, url, note.get("validator"))):
            self._by_url[str(digest), name] = path
            return path
        network = self._online(url)
        with cache_faults(), fs.publish_stream(path, root=self._root) as stream:
            transfer = Transfer(network, url, stream, name=name, sha256=None, size=size, progress=progress)
            digest = transfer.run()
        self._by_url[digest, name] = path
        self._notes.set(url, json.dumps({"sha256": digest, "validator": transfer.validator}).encode())
        return path

    @staticmethod
    def _is_unchanged(network: Network, url: str, known: object) -> bool:
        """Revalidate a copy."""
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

    def _keep(self, stream: BinaryIO, path: Path) -> None:
        """Keep the partial download, if possible; an error here must not hide the original one."""
        with suppress(FaultError):
            stream.seek(0)
            fs.publish_file(path, stream, root=self._root)

    def _hash(self, path: Path, *, root: Path | None = None, known: str | None = None) -> str | None:
        """The sha256 of a file, recomputed only if its size, mtime or inode changed; `None` if absent.

        :param root: the cache, if the file is in it; only a regular file of a trusted owner then counts.
        """
        try:
            status = path.stat() if root is None else fs.lstat_regular(path, root=root)
            stamp = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
            if stamp not in self._verified:
                if known is None:
                    known = self._hash_local(path) if root is None else fs.hash_regular(path, root=root)
                self._verified[stamp] = known
        except OSError:
            return None
        return self._verified[stamp]

    def _hash_local(self, path: Path) -> str:
        """The sha256 of a local file, remembered by what `stat` says of it. Raises `OSError`."""
        if path.stat().st_size <= _SMALL:
            return sha256_of(path)
        known = self._remembered(path)
        if known is None:
            started, identity = time.time_ns(), identity_of(str(path))
            known = sha256_of(path)
            if is_settled(max(identity[-2:]), started):
                self._notes.set(f"file {path}", json.dumps([identity, known]).encode())
        return known

    def _remembered(self, path: Path) -> str | None:
        note = self._notes.read(f"file {path}", lambda value: (tuple(value[0]), str(value[1])))
        return note[1] if note is not None and note[0] == identity_of(str(path)) else None

    def _blocks_of(self, path: Path) -> Iterable[bytes]:
        try:
            with fs.open_regular(path, root=self._root) as stream:
                while block := stream.read(_BLOCK):
                    yield block
        except OSError:
            return

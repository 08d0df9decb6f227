"""The subdirs of network channels: sharded where the channel has shards, else whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from bridge.cache.blobs import BlobStore
from bridge.channels.repodata.base_urls import check_bases, invalid
from bridge.channels.repodata.shards import INDEX_NAME, MAGIC, MAX_INDEX, MAX_SHARD, ShardIndex, read_index, read_shard
from bridge.channels.repodata.whole import WholeStore
from bridge.errors import NetworkError
from bridge.fetch.urls import check_link
from bridge.secrets import SECRETS, public

if TYPE_CHECKING:
    from bridge.fetch.client import Client

__all__ = ["Shards", "open_shards", "whole_file"]

_ABSENT = frozenset({400, 401, 403, 405, 410})  # treated as "no shards"; the request for the whole repodata decides


def open_shards(url: str, client: Client, cache: Path) -> Shards | None:
    """The shards of the subdir at `url` (no trailing slash), if it has any. Raises as `Client.get` and `read_index`."""
    try:
        page = client.get(f"{url}/{INDEX_NAME}", max_bytes=MAX_INDEX)
    except NetworkError as error:
        if error.id == "offline" or error.objects.get("status") in _ABSENT:
            return None
        raise
    if page is None or not page.content.startswith(MAGIC):
        return None
    index = read_index(page.content, page.base or page.url, client.settings.trusted_hosts)
    return Shards(index, client, BlobStore(cache / "shards", root=cache.parent))


def whole_file(url: str, client: Client, cache: Path) -> Path | None:
    """The checked repodata.json of the subdir at `url`, if it has one. Raises as `WholeStore.get`."""
    path = WholeStore(cache, client).get(url)
    if path is not None:
        check_bases(path, f"{url}/", client.settings.trusted_hosts)
    return path


class Shards:
    """A subdir with sharded repodata."""

    def __init__(self, index: ShardIndex, client: Client, kept: BlobStore) -> None:
        self._index, self._client, self._kept = index, client, kept

    @property
    def names_file(self) -> str | None:
        """The name of the channel's name map, if it states one."""
        return self._index.names_file

    def load(self, name: str) -> Sequence[Mapping[str, object]]:
        digest = self._index.digests.get(name)
        if digest is None:
            return ()
        url = f"{self._index.shards}{digest.hex()}.msgpack.zst"
        content = self._kept.get(digest.hex())
        if content is None:
            page = self._client.get(url, max_bytes=MAX_SHARD, is_page=False)
            if page is None:
                raise NetworkError("channel-unreachable", f"the channel lists records of {name} that it does not have")
            records = list(read_shard(page.content, name, digest, url))
            self._kept.set(digest.hex(), page.content)
        else:
            records = list(read_shard(content, name, digest, url))
        base = self._index.base
        is_plain = public(base) == base and "?" not in base
        return [
            {**record, "fn": filename, "url": self._wheel_url(record, filename)}
            if filename.endswith(".whl")
            else {**record, "fn": filename, "url": base + filename if is_plain else self._url(filename)}
            for filename, record in records
        ]

    def _wheel_url(self, record: Mapping[str, object], filename: str) -> str:
        """The URL in a wheel's record (CEP 48), which may be relative; else that of the file beside the others."""
        given = record.get("url")
        if not isinstance(given, str):
            fn = record.get("fn")
            return self._url(fn if isinstance(fn, str) else filename)
        try:
            url = urljoin(self._index.base, given)
            check_link(self._index.base, url, self._client.settings.trusted_hosts)
        except ValueError as error:
            raise invalid(self._index.base, f"a wheel has no valid URL: {error}") from error
        return SECRETS.learn(url, is_typed=False)

    def _url(self, filename: str) -> str:
        base, question, query = self._index.base.partition("?")
        return SECRETS.learn(f"{base}{filename}{question}{query}", is_typed=False)

    def names(self) -> Iterable[str]:
        """The names of all packages, by the index of the shards."""
        return self._index.digests

    def close(self) -> None:
        """Nothing is held open."""

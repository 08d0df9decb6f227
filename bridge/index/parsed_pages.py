"""Keep what a page of an index lists, so that the page is parsed once and, while it is fresh, not even read.

An item has the hash of the page's content, for a page that the server confirms or sends again, and the moment until
which the page may be served without asking (RFC 9111: `max-age`, counted from `Date` and `Age`). A page that takes
credentials, or has secrets in its links, is not kept; the page cache serves it (`bridge.fetch.pages`).
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack

from bridge import __version__
from bridge.cache.blobs import BlobStore
from bridge.config import Settings
from bridge.fetch.responses import Page, contains_secret, max_age
from bridge.index.markup import Status
from bridge.index.simple_api import PageListing, Source
from bridge.model import FileSequence, IndexFile
from bridge.secrets import SECRETS
from converters.deferred import regex, replace

__all__ = ["ParsedPages"]

_DIRECTORY = "pages"  # of the cache
_FIELDS = tuple(name for name in IndexFile.__annotations__ if name not in {"project", "origin"})
_CONTEXT = repr((1, __version__, _FIELDS))
_ASKS = regex(r"no-store|no-cache|private|\bvary\b")


class ParsedPages:
    """The lists of pages of one run's indexes. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._blobs = BlobStore(settings.cache_dir / _DIRECTORY, root=settings.cache_dir)
        self._hosts = settings.trusted_hosts
        self._may_ask_for_users = settings.client_cert is not None or _has_netrc(os.environ)
        self._read: dict[str, tuple[Any, ...] | None] = {}

    def is_fresh(self, url: str) -> bool:
        """Whether `fresh` has the list of the page at `url`."""
        kept = self._kept(url)
        return kept is not None and 0 <= kept[1] - time.time() <= kept[2]

    def fresh(self, url: str, source: Source) -> PageListing | None:
        """The list of a page that may be served without asking."""
        return _listing(self._kept(url), source) if self.is_fresh(url) else None

    def parsed(self, url: str, page: Page, source: Source) -> PageListing | None:
        """The list of this page, if it was parsed before; it counts as fresh as the page says now."""
        kept = self._kept(url)
        if kept is None or kept[0] != _digest(page.content) or (listing := _listing(kept, source)) is None:
            return None
        lasts, age = _freshness(page.headers)
        if lasts > kept[1]:
            self._set(url, (kept[0], lasts, age, *kept[3:]))
        return listing

    def keep(self, url: str, page: Page, listing: PageListing) -> PageListing:
        """Keep what a page lists, if it may be kept; return it as a later run reads it."""
        is_redirected = page.base not in {"", url}
        if is_redirected or self._takes_credentials(url) or contains_secret(page.content):
            return listing
        rows = [[getattr(file, name) for name in _FIELDS] for file in listing.files]
        status = None if listing.status is None else (listing.status.word, listing.status.reason)
        content = _digest(page.content)
        self._set(url, (content, *_freshness(page.headers), rows, listing.dropped, status))
        files = FileSequence(len(listing.files), listing.files.__getitem__, content.hex())
        return replace(listing, files=files)

    def _set(self, url: str, item: tuple[Any, ...]) -> None:
        with suppress(ValueError, OverflowError, TypeError):
            packed = msgpack.packb((_CONTEXT, self._hosts, item), unicode_errors="surrogatepass")
            self._read[url] = item
            self._blobs.set(url, packed)

    def _kept(self, url: str) -> tuple[Any, ...] | None:
        if url not in self._read:
            self._read[url] = None if self._takes_credentials(url) else self._stored(url)
        return self._read[url]

    def _stored(self, url: str) -> tuple[Any, ...] | None:
        try:
            packed = self._blobs.get(url)
            if packed is None:
                return None
            context, hosts, item = msgpack.unpackb(packed, use_list=False, unicode_errors="surrogatepass")
            return item if context == _CONTEXT and hosts == self._hosts and len(item) == 6 else None
        except (ValueError, TypeError, msgpack.UnpackException):
            return None

    def _takes_credentials(self, url: str) -> bool:
        place = SECRETS.address(url)
        return self._may_ask_for_users or bool(place.user or place.bearer) or place.full != place.public


def _has_netrc(environ: Mapping[str, str]) -> bool:
    """Whether there is a netrc file, which may have a user for any host."""
    places = (environ.get("NETRC"), "~/.netrc", "~/_netrc")
    return any(place is not None and Path(os.path.expanduser(place)).exists() for place in places)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _freshness(headers: Mapping[str, str]) -> tuple[float, float]:
    """Until when a page is fresh, and for how many seconds at most; zeros if it must be asked for."""
    policy = headers.get("cache-control", "").lower()
    age = max_age(policy)
    if age is None or _ASKS.search(policy):
        return 0.0, 0.0
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - a run on fresh pages reads no date

    with suppress(ValueError, TypeError, OverflowError):
        now = time.time()
        sent = min(parsedate_to_datetime(headers["date"]).timestamp(), now) if "date" in headers else now
        return sent + age - float(headers.get("age", 0) or 0), age
    return 0.0, 0.0


def _listing(kept: tuple[Any, ...] | None, source: Source) -> PageListing | None:
    if kept is None or source.project is None:
        return None
    rows, dropped, status = kept[3:]
    with suppress(TypeError, ValueError):
        if any(len(row) != len(_FIELDS) for row in rows):
            return None
        project, origin = source.project, source.origin

        def make(place: int) -> IndexFile:
            return IndexFile(project=project, origin=origin, **dict(zip(_FIELDS, rows[place], strict=True)))

        named = None if status is None else Status(word=status[0], reason=status[1])
        return PageListing(files=FileSequence(len(rows), make, kept[0].hex()), dropped=dropped, status=named)
    return None

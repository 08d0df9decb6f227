"""Keep what a page of an index lists, so that the page is parsed once and, while it is fresh, not even read.

An item has the hash of the page's content, for a page that the server confirms or sends again, and the moment until
which the page may be served without asking (RFC 9111: `max-age`, counted from `Date` and `Age`). A page that takes
credentials, or has secrets in its links, is not kept; the page cache serves it (`bridge.fetch.pages`).

It is a line of JSON for the page and one for each file, which is parsed when the file is used: pages list thousands.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bridge import __version__
from bridge.cache.blobs import BlobStore
from bridge.config import Settings
from bridge.fetch.responses import Page, contains_secret, max_age
from bridge.index.markup import Status
from bridge.index.simple_api import PageListing, Source
from bridge.model import FileSequence, IndexFile
from bridge.secrets import SECRETS
from converters.deferred import NamedTuple, regex, replace

__all__ = ["ParsedPages"]

_DIRECTORY = "pages"  # of the cache
_FIELDS = tuple(name for name in IndexFile.__annotations__ if name not in {"project", "origin", "expected"})
_CONTEXT = repr((2, __version__, _FIELDS))
_ASKS = regex(r"no-store|no-cache|private|\bvary\b")


class _Kept(NamedTuple):
    """What a page lists, the files as lines of JSON."""

    content: str  # the sha256 of the page
    until: float  # when it is no longer fresh, in seconds since the epoch
    lasts: float  # for how many seconds at most it is fresh
    dropped: Sequence[tuple[str, str]]
    status: tuple[str, str] | None
    files: Sequence[str]


class ParsedPages:
    """The lists of pages of one run's indexes. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._blobs = BlobStore(settings.cache_dir / _DIRECTORY, root=settings.cache_dir)
        self._hosts = settings.trusted_hosts
        self._may_ask_for_users = settings.client_cert is not None or _has_netrc(os.environ)
        self._read: dict[str, _Kept | None] = {}

    def is_fresh(self, url: str) -> bool:
        """Whether `fresh` has the list of the page at `url`."""
        kept = self._kept(url)
        return kept is not None and 0 <= kept.until - time.time() <= kept.lasts

    def fresh(self, url: str, source: Source) -> PageListing | None:
        """The list of a page that may be served without asking."""
        return _listing(self._kept(url), source) if self.is_fresh(url) else None

    def parsed(self, url: str, page: Page, source: Source) -> PageListing | None:
        """The list of this page, if it was parsed before; it counts as fresh as the page says now."""
        kept = self._kept(url)
        if kept is None or kept.content != _digest(page.content) or (listing := _listing(kept, source)) is None:
            return None
        until, lasts = _freshness(page.headers)
        if until > kept.until:
            self._set(url, kept._replace(until=until, lasts=lasts))
        return listing

    def keep(self, url: str, page: Page, listing: PageListing) -> PageListing:
        """Keep what a page lists, if it may be kept; return it as a later run reads it."""
        is_redirected = page.base not in {"", url}
        if is_redirected or self._takes_credentials(url) or contains_secret(page.content):
            return listing
        status = None if listing.status is None else (listing.status.word, listing.status.reason)
        content, (until, lasts) = _digest(page.content), _freshness(page.headers)
        rows = [json.dumps([getattr(file, name) for name in _FIELDS]) for file in listing.files]
        kept = _Kept(content=content, until=until, lasts=lasts, dropped=listing.dropped, status=status, files=rows)
        self._set(url, kept)
        return replace(listing, files=FileSequence(len(rows), listing.files.__getitem__, content))

    def _set(self, url: str, kept: _Kept) -> None:
        self._read[url] = kept
        head = json.dumps((_CONTEXT, self._hosts, kept[:-1], len(kept.files)))
        self._blobs.set(url, "\n".join((head, *kept.files)).encode("ascii"))

    def _kept(self, url: str) -> _Kept | None:
        if url not in self._read:
            self._read[url] = None if self._takes_credentials(url) else self._stored(url)
        return self._read[url]

    def _stored(self, url: str) -> _Kept | None:
        with suppress(ValueError, TypeError, RecursionError):
            head, *files = (self._blobs.get(url) or b"").decode("ascii").split("\n")
            context, hosts, about, count = json.loads(head)
            if (context, tuple(hosts), count) == (_CONTEXT, self._hosts, len(files)):
                content, until, lasts, dropped, status = about
                named = tuple((name, reason) for name, reason in dropped)
                return _Kept(content=content, until=until, lasts=lasts, dropped=named, status=status, files=files)
        return None

    def _takes_credentials(self, url: str) -> bool:
        place = SECRETS.address(url)
        return self._may_ask_for_users or bool(place.user or place.bearer) or place.full != place.public


def _has_netrc(environ: Mapping[str, str]) -> bool:
    """Whether there is a netrc file, which may have a user for any host."""
    places = (environ.get("NETRC"), "~/.netrc", "~/_netrc")
    return any(place is not None and Path(os.path.expanduser(place)).exists() for place in places)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


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


def _listing(kept: _Kept | None, source: Source) -> PageListing | None:
    project, origin = source.project, source.origin
    if kept is None or project is None:
        return None
    lines = kept.files

    def make(place: int) -> IndexFile:
        return IndexFile(project=project, origin=origin, **dict(zip(_FIELDS, json.loads(lines[place]), strict=True)))

    status = None if kept.status is None else Status(word=kept.status[0], reason=kept.status[1])
    files = FileSequence(len(lines), make, kept.content)
    return PageListing(files=files, dropped=tuple(kept.dropped), status=status)

"""The page cache: CacheControl decides what may be stored and served, a `BlobStore` stores it by credential.

Pages requested with a user, token, signed URL or client certificate have keys that contain a hash of the secret under a
random key of this cache, so they answer nobody else's requests and files reveal nothing of the secret. A response that
contains a secret itself (signed links, a redirect to a signed URL) is not stored.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from collections.abc import Callable
from typing import TypeVar

import requests
import urllib3
from cachecontrol.cache import BaseCache
from cachecontrol.controller import CacheController

from bridge.cache.blobs import BlobStore
from bridge.fetch.responses import REDIRECTS, SERIAL, contains_secret
from bridge.secrets import Address, public

__all__ = ["PageCache", "PageEntry"]

Result = TypeVar("Result")

_SALT = "salt of the names of what was asked for with credentials"


class PageCache:
    """Pages by URL and credential. Thread-safe.

    :param client: the client certificate, which is part of the credential.
    """

    def __init__(self, blobs: BlobStore, client: str) -> None:
        self._blobs = blobs
        self._client = client
        self._lock = threading.Lock()
        self._salt: bytes | None = None

    def entry(self, request: requests.PreparedRequest, place: Address) -> PageEntry:
        """The entry for a request, stored with its public URL and without secret headers."""
        bare = request.copy()
        bare.url = place.public
        user = str(bare.headers.pop("Authorization", ""))
        return PageEntry(bare, _Blobs(self._blobs, self.credential(user, place)))

    def credential(self, user: str, place: Address) -> str:
        """A keyed hash of a request's secrets; `""` if it has none."""
        secret = (user, place.full if place.full != place.public else "", self._client)
        return self._key(secret) if any(secret) else ""

    def _key(self, secret: tuple[str, ...]) -> str:
        with self._lock:
            if self._salt is None:
                known = self._blobs.get(_SALT)
                if known is None:
                    self._blobs.set(_SALT, os.urandom(32))
                    known = self._blobs.get(_SALT) or os.urandom(32)  # the cache may be read-only
                self._salt = known
        return hmac.new(self._salt, "\0".join(secret).encode(), hashlib.sha256).hexdigest()


class PageEntry:
    """One page in the cache. A page that CacheControl cannot handle (odd header fields) counts as absent."""

    def __init__(self, request: requests.PreparedRequest, blobs: BaseCache) -> None:
        self._request = request
        self._rules = CacheController(blobs)

    def stored(self) -> urllib3.HTTPResponse | None:
        """The stored page, fresh or stale."""
        return _attempt(lambda: self._rules._load_from_cache(self._request))

    def fresh(self) -> urllib3.HTTPResponse | None:
        """The stored page, if it may be served without revalidation."""
        return _attempt(lambda: self._rules.cached_request(self._request)) or None

    def since(self, serial: str | None) -> urllib3.HTTPResponse | None:
        """The stored page, if it has this serial of the index or a later one; `None` for no serial."""
        stored = None if serial is None else self.stored()
        known = "" if stored is None else stored.headers.get(SERIAL, "")
        return stored if known.isdecimal() and serial is not None and int(known[:20]) >= int(serial) else None

    def conditions(self) -> dict[str, str]:
        """The header fields that revalidate the stored page."""
        return _attempt(lambda: self._rules.conditional_headers(self._request)) or {}

    def confirmed(self, raw: urllib3.HTTPResponse) -> urllib3.HTTPResponse:
        """The stored page with the header fields of a 304 response."""
        return _attempt(lambda: self._rules.update_cached_response(self._request, raw)) or raw

    def keep(self, raw: urllib3.HTTPResponse, body: bytes, content: bytes) -> None:
        """Store a response (404 and redirects too, for offline use) unless it contains a secret.

        :param body: as sent; `content` is without its Content-Encoding.
        """
        location = raw.headers.get("location", "")
        if public(location) != location or contains_secret(content):
            return
        # Store a permanent redirect as temporary: it may come from a network's login page.
        raw.status = 302 if raw.status in REDIRECTS else raw.status
        _attempt(lambda: self._rules.cache_response(self._request, raw, body, (200, 302, 404)))


def _attempt(ask: Callable[[], Result]) -> Result | None:
    """Catch whatever CacheControl raises: the cache must never fail a request."""
    try:
        return ask()
    except Exception:  # noqa: BLE001 - assertions, dates out of range, integers of 5,000 digits
        return None


class _Blobs(BaseCache):
    """CacheControl's cache over a `BlobStore`, which verifies what it reads and may be read-only."""

    def __init__(self, blobs: BlobStore, credential: str) -> None:
        self._blobs = blobs
        self._credential = credential

    def _key(self, key: str) -> str:
        return f"{key}\0{self._credential}" if self._credential else key

    def get(self, key: str) -> bytes | None:
        return self._blobs.get(self._key(key))

    def set(self, key: str, value: bytes, expires: object = None) -> None:  # noqa: ARG002 - CacheControl passes it
        self._blobs.set(self._key(key), value)

    def delete(self, key: str) -> None:
        """Keep it: a stale page is revalidated, and still serves offline."""

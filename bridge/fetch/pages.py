"""The cache of pages: CacheControl judges what may be stored and served, a `BlobStore` keeps it, by credential.

Pages that were asked for with a user, a token, a signed URL or a client certificate have keys of their own, of which
the secret is a part under a random key of this cache: nobody else's request is answered with them, and names and
contents of the files tell nothing of the secret. What bears a secret itself (a page whose links are signed, a redirect
to a signed URL) is not kept.
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
from bridge.fetch.responses import REDIRECTS, make_storable
from bridge.secrets import Address, has_secret, public

__all__ = ["PageCache", "PageEntry"]

Found = TypeVar("Found")

_SALT = "salt of the names of what was asked for with credentials"


class PageCache:
    """Pages by URL and credential. For many threads at once.

    :param client: what tells this client from others beside its credentials: the client certificate.
    """

    def __init__(self, blobs: BlobStore, client: str) -> None:
        self._blobs = blobs
        self._client = client
        self._lock = threading.Lock()
        self._salt: bytes | None = None

    def entry(self, request: requests.PreparedRequest, place: Address) -> PageEntry:
        """The entry for a request; its URL is stored in its public form, and no header that bears a secret."""
        bare = request.copy()
        bare.url = place.public
        user = str(bare.headers.pop("Authorization", ""))
        return PageEntry(bare, _Blobs(self._blobs, self.credential(user, place)))

    def credential(self, user: str, place: Address) -> str:
        """A keyed hash of all that is secret in a request; `""` where nothing is."""
        secret = (user, place.full if place.full != place.public else "", self._client)
        return self._key(secret) if any(secret) else ""

    def _key(self, secret: tuple[str, ...]) -> str:
        with self._lock:
            if self._salt is None:
                known = self._blobs.get(_SALT)
                if known is None:
                    self._blobs.set(_SALT, os.urandom(32))
                    known = self._blobs.get(_SALT) or os.urandom(32)  # a cache that cannot be written keeps nothing
                self._salt = known
        return hmac.new(self._salt, "\0".join(secret).encode(), hashlib.sha256).hexdigest()


class PageEntry:
    """One page in the cache. What CacheControl cannot make sense of (odd header fields) is not in the cache."""

    def __init__(self, request: requests.PreparedRequest, blobs: BaseCache) -> None:
        self._request = request
        self._rules = CacheController(blobs)

    def stored(self) -> urllib3.HTTPResponse | None:
        """What is there, fresh or stale."""
        return _attempt(lambda: self._rules._load_from_cache(self._request))

    def fresh(self) -> urllib3.HTTPResponse | None:
        """What is there, if it may be served without asking."""
        return _attempt(lambda: self._rules.cached_request(self._request)) or None

    def conditions(self) -> dict[str, str]:
        """The header fields that ask whether what is there is still good."""
        return _attempt(lambda: self._rules.conditional_headers(self._request)) or {}

    @staticmethod
    def prepare(raw: urllib3.HTTPResponse) -> None:
        """Make an answer's header fields those of what is stored (see `make_storable`)."""
        make_storable(raw.status, raw.headers)

    def confirmed(self, raw: urllib3.HTTPResponse) -> urllib3.HTTPResponse:
        """What is there, with the header fields of an answer that says it is still good."""
        return _attempt(lambda: self._rules.update_cached_response(self._request, raw)) or raw

    def keep(self, raw: urllib3.HTTPResponse, body: bytes, content: bytes) -> None:
        """Store an answer, also "not found" and redirects, which are wanted offline; not one that bears a secret.

        :param body: as it was sent; `content` is the same without its Content-Encoding.
        """
        location = raw.headers.get("location", "")
        if public(location) != location or _has_secret(content):
            return
        # A permanent redirect as well only until the next run: it may have come from a network's login page.
        raw.status = 302 if raw.status in REDIRECTS else raw.status
        _attempt(lambda: self._rules.cache_response(self._request, raw, body, (200, 302, 404)))


def _attempt(ask: Callable[[], Found]) -> Found | None:
    """The one place where what CacheControl raises is caught: a cache is never a reason to fail."""
    try:
        return ask()
    except Exception:  # noqa: BLE001 - assertions, dates out of range, integers of 5,000 digits
        return None


def _has_secret(content: bytes) -> bool:
    may = b"?" in content or b"@" in content or b"/t/" in content or b"\\/t" in content
    return may and has_secret(content.decode("utf-8", "replace"))


class _Blobs(BaseCache):
    """CacheControl's cache over a `BlobStore`, which checks what it reads back and may lie on a read-only disk."""

    def __init__(self, blobs: BlobStore, credential: str) -> None:
        self._blobs = blobs
        self._credential = credential

    def _key(self, key: str) -> str:
        return f"{key}\0{self._credential}" if self._credential else key

    def get(self, key: str) -> bytes | None:
        return self._blobs.get(self._key(key))

    def set(self, key: str, value: bytes, expires: object = None) -> None:  # noqa: ARG002 - CacheControl gives it
        self._blobs.set(self._key(key), value)

    def delete(self, key: str) -> None:
        """Keep it: what is stale is asked for again, and offline it is what there is."""

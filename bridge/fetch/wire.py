"""HTTP: the only module that speaks to the network by itself.

* Pages are cached by CacheControl, with its rules for freshness and revalidation.
* A server may not lead from https to http, or to a file.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import urljoin

import requests
import urllib3
from cachecontrol.cache import BaseCache
from cachecontrol.controller import CacheController
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bridge import __version__
from bridge.config import Settings
from bridge.errors import NetworkError, UnsafeInputError
from bridge.fetch.answers import (
    REDIRECTS,
    Again,
    Page,
    invalid_url,
    make_storable,
    offline_error,
    reason,
    status_error,
)
from bridge.fetch.cache import BlobStore
from bridge.fetch.pool import THREADS
from bridge.fetch.urls import Credentials, check_link, is_trusted, masked, split_credentials
from bridge.fetch.watchdog import Watchdog

__all__ = ["Wire"]

MAXREDIRECTS = 10
_BLOCK = 64 << 10


class Wire:
    """One session of HTTP, for many threads at once. `requests` counts what was sent, redirects and retries included.

    :param closed: set when all transfers are to be given up.
    """

    def __init__(self, settings: Settings, credentials: Credentials, closed: threading.Event) -> None:
        self.settings = settings
        self.requests = 0
        self._credentials, self._closed = credentials, closed
        self._counting = threading.Lock()
        self._watchdog = Watchdog(settings.timeout)
        self._cache = _Controller(PageCache(BlobStore(settings.cache_dir / "http")))
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"conda-bridge/{__version__}"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(self._watchdog))
        if settings.trusted_hosts:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it was asked for, by name

    def abort(self) -> None:
        """Give up what is under way."""
        self._watchdog.abort()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def page(self, url: str, headers: Mapping[str, str], max_bytes: int, is_page: bool) -> Page | None:
        """The content at a URL; `None` where there is none (404). Raises as `Client.get`, and `Again`."""
        with self.exchange(url, headers, is_page=is_page) as answer:
            if answer.status not in {200, 404}:
                raise status_error(answer)
            content = _limited(answer.blocks(), max_bytes, url)
            answer.keep(content)
        with _told(url):
            content = _limited(_decoded(content, answer.headers.get("content-encoding")), max_bytes, url)
        return None if answer.status == 404 else Page(url=answer.url, headers=answer.headers, content=content)

    @contextmanager
    def exchange(self, url: str, headers: Mapping[str, str], *, is_page: bool = False) -> Iterator[_Answer]:
        """Ask once, and the page cache first if it is for a page; see `bridge.fetch.answers.Network`."""
        with _told(url):
            answer = self._follow(url, headers, is_page)
        try:
            with self._watchdog.guard(getattr(answer.raw, "shutdown", answer.raw.close)) as answer.guard:
                yield answer
        finally:
            answer.raw.close()
            answer.raw.release_conn()

    def _follow(self, url: str, headers: Mapping[str, str], is_page: bool) -> _Answer:
        """Follow redirects by hand: requests would read their bodies without a limit, and follow them anywhere."""
        for _ in range(MAXREDIRECTS + 1):
            plain, typed = split_credentials(url)
            request = requests.Request("GET", plain, headers=headers, auth=typed or self._credentials.find(plain))
            answer = self._ask(self._session.prepare_request(request), is_page)
            location = answer.headers.get("location")
            if location is None or answer.status not in REDIRECTS:
                return answer
            answer.keep(b"")
            answer.raw.close()
            url = urljoin(plain, location.encode("latin-1").decode("utf-8", "replace"))
            check_link(plain, url, self.settings.trusted_hosts)
        raise UnsafeInputError("url-refused", f"more than {MAXREDIRECTS} redirects, the last to {masked(url)}")

    def _ask(self, request: requests.PreparedRequest, is_page: bool) -> _Answer:
        """The cache's answer where it is good enough, else the network's."""
        url = str(request.url)
        if is_page:
            known = self._cache.stored(request) if self.settings.offline else self._cache.cached_request(request)
            if known:
                return _Answer(url, known, self._closed)
            request.headers.update(self._cache.conditional_headers(request))
        if self.settings.offline:
            raise offline_error(url)
        raw = self._send(request)
        if not is_page:
            return _Answer(url, raw, self._closed)
        make_storable(raw.status, raw.headers)
        if raw.status == 304:
            known = self._cache.update_cached_response(request, raw)
            raw.close()
            return _Answer(url, known, self._closed)
        return _Answer(url, raw, self._closed, partial(self._cache.keep, request, raw))

    def _send(self, request: requests.PreparedRequest) -> urllib3.HTTPResponse:
        settings = self.settings
        with self._counting:
            self.requests += 1
        # Given by request, for what requests finds in the environment beats what a session has.
        proxies = dict.fromkeys(("http", "https"), settings.proxy) if settings.proxy else {}
        verify = False if is_trusted(str(request.url), settings.trusted_hosts) else settings.ca_bundle or True
        found = self._session.merge_environment_settings(request.url, proxies, True, verify, settings.client_cert)
        response = self._session.send(request, allow_redirects=False, timeout=settings.timeout, **found)
        return cast("urllib3.HTTPResponse", response.raw)


def _limited(blocks: Iterable[bytes], max_bytes: int, url: str) -> bytes:
    content = bytearray()
    for block in blocks:
        content += block
        if len(content) > max_bytes:
            raise UnsafeInputError("limit-size", f"more than {max_bytes} bytes: {masked(url)}")
    return bytes(content)


def _decoded(content: bytes, encoding: str | None) -> Iterator[bytes]:
    """The content without its Content-Encoding."""
    raw = urllib3.HTTPResponse(io.BytesIO(content), {"Content-Encoding": encoding or ""}, preload_content=False)
    return raw.stream(_BLOCK, decode_content=True)


class _Answer:
    """`bridge.fetch.answers.Answer` over urllib3's; `keep` stores its body in the page cache, if it is a page's."""

    def __init__(
        self,
        url: str,
        raw: urllib3.HTTPResponse,
        closed: threading.Event,
        keep: Callable[[bytes], None] | None = None,
    ) -> None:
        self.url = url
        self.raw = raw
        self.status = raw.status
        self.headers = {name.lower(): value for name, value in raw.headers.items()}
        self.keep = keep or (lambda _: None)
        self.guard: AbstractContextManager[None] = nullcontext()
        self._closed = closed

    def blocks(self) -> Iterator[bytes]:
        stream = self.raw.stream(_BLOCK, decode_content=False)
        while True:
            with _told(self.url), self.guard:
                block = next(stream, None)
            if block is None:
                return
            if self._closed.is_set():
                raise NetworkError("interrupted", f"the transfer was given up: {masked(self.url)}")
            yield block


@contextmanager
def _told(url: str) -> Iterator[None]:
    """What requests and urllib3 raise becomes `Again`, or an error that no retry mends."""
    shown = masked(url)
    try:
        yield
    except requests.exceptions.SSLError as error:
        hint = "if an authority of your own signs its certificate, name the bundle in BRIDGE_CA_BUNDLE (or pip's cert)"
        raise NetworkError("tls", f"no trusted connection to {shown}", context=(reason(error),), hint=hint) from error
    except ValueError as error:  # MissingSchema, InvalidSchema, InvalidURL and InvalidProxyURL are of them
        raise invalid_url(url, error) from error
    except urllib3.exceptions.DecodeError as error:
        raise NetworkError("encoding", f"the content is not encoded as the server says: {shown}") from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
        hint = "try again, or allow more time with BRIDGE_TIMEOUT (seconds)"
        late = NetworkError("timed-out", f"no answer in time from {shown}", context=(reason(error),), hint=hint)
        raise Again(late) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        hint = "check the URL, the network and the proxy settings"
        lost = NetworkError("not-reached", f"no connection to {shown}", context=(reason(error),), hint=hint)
        raise Again(lost) from error


class PageCache(BaseCache):
    """CacheControl's cache over a `BlobStore`, which checks what it reads back and may lie on a read-only disk."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs

    def get(self, key: str) -> bytes | None:
        return self._blobs.get(key)

    def set(self, key: str, value: bytes, expires: object = None) -> None:  # noqa: ARG002 - CacheControl gives it
        self._blobs.set(key, value)

    def delete(self, key: str) -> None:
        """Keep it: what is stale is asked for again, and offline it is what there is."""


class _Controller(CacheController):
    """CacheControl's judgement of what may be stored and served; who asks the network, and reads the body, is us."""

    def stored(self, request: requests.PreparedRequest) -> urllib3.HTTPResponse | None:
        """What is there, fresh or stale."""
        return self._load_from_cache(request)

    def keep(self, request: requests.PreparedRequest, raw: urllib3.HTTPResponse, body: bytes) -> None:
        """Store an answer, also "not found" and redirects, which are wanted offline."""
        # A permanent redirect as well only until the next run: it may have come from a network's login page.
        raw.status = 302 if raw.status in REDIRECTS else raw.status
        self.cache_response(request, raw, body, (200, 302, 404))


class _Adapter(HTTPAdapter):
    """An adapter that guards the wait for the head of an answer, which a server may send byte by byte."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        super().__init__(pool_connections=THREADS, pool_maxsize=THREADS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on as they came
        super().init_poolmanager(*args, **options)
        pools = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        self.poolmanager.pool_classes_by_scheme = {scheme: self._guarded(pool) for scheme, pool in pools.items()}

    def _guarded(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        watchdog = self._watchdog

        class Connection(pool.ConnectionCls):  # type: ignore[misc,name-defined]
            def getresponse(self) -> urllib3.HTTPResponse:
                with watchdog.guard(partial(self.sock.shutdown, socket.SHUT_RDWR)) as guard, guard:
                    return cast("urllib3.HTTPResponse", super().getresponse())

        return type("Pool", (pool,), {"ConnectionCls": Connection})

"""One HTTP client for indexes, channels and artifacts: the only module that speaks to the network by itself.

* Pages are cached by CacheControl, with its rules for freshness and revalidation; artifacts by their hash.
* A failing request is tried again where that can help (connection, timeout, 408, 429, 5xx), never after a TLS error.
* Credentials come from the URL of an index or from netrc, go to the host they are for, and are shown to nobody.
* A server may not lead from https to http, or to a file.
"""

from __future__ import annotations

import io
import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urljoin

import requests
import urllib3
from cachecontrol.cache import BaseCache
from cachecontrol.controller import CacheController
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bridge import __version__
from bridge.config import Settings
from bridge.errors import NetworkError, UnsafeInputError, UsageError
from bridge.faults import faults
from bridge.fetch.answers import REDIRECTS, Again, Progress, make_storable, offline_error, reason, status_error
from bridge.fetch.artifacts import ArtifactStore
from bridge.fetch.cache import BlobStore
from bridge.fetch.pool import THREADS, Pool
from bridge.fetch.ranged import open_ranged
from bridge.fetch.urls import (
    Credentials,
    check_file_name,
    check_link,
    is_trusted,
    local_path,
    masked,
    origin,
    split_credentials,
)
from bridge.fetch.watchdog import Watchdog

__all__ = ["Client", "Page", "Progress"]

MAXREDIRECTS = 10
MAX_WAIT = 60.0  # seconds that a Retry-After is obeyed for
_BLOCK = 64 << 10

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer with its content. `url`: after redirects, without credentials; `headers` has lower-case names."""

    url: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


class Client(Pool):
    """Fetches pages and artifacts. For many threads at once; close it, or use it in a `with` statement.

    `requests` counts what was sent over the network, redirects and retries included; `metadata` keeps small values
    between runs.

    :param settings: of them `cache_dir`, `offline`, `timeout`, `retries`, `ca_bundle`, `client_cert`, `proxy`,
        `trusted_hosts`, and the credentials in `index_urls` and `find_links`.
    :param backoff: seconds before the first retry; it doubles for each further one, give or take a half.

    Raises `UsageError` (`certificate-file`) where the CA bundle or the client certificate is not there.
    """

    def __init__(self, settings: Settings, *, backoff: float = 0.5) -> None:
        super().__init__()
        for path in (settings.ca_bundle, settings.client_cert):
            if path is not None and not Path(path).exists():
                hint = "see BRIDGE_CA_BUNDLE, BRIDGE_CLIENT_CERT and pip's cert and client-cert"
                raise UsageError("certificate-file", f"there is no certificate file {path}", hint=hint)
        self.settings = settings
        self.requests = 0
        self.metadata = BlobStore(settings.cache_dir / "metadata")
        self._backoff = backoff
        self._closed = threading.Event()
        self._counting = threading.Lock()
        self._credentials = Credentials()
        for url in (*settings.index_urls, *settings.find_links):
            if self._local(url) is None:
                self._learn(url)
        self._rangeless: set[tuple[str, str, int]] = set()
        self._watchdog = Watchdog(settings.timeout)
        self._cache = _Controller(PageCache(BlobStore(settings.cache_dir / "http")))
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"conda-bridge/{__version__}"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(self._watchdog))
        if settings.trusted_hosts:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it was asked for, by name
        self._artifacts = ArtifactStore(settings.cache_dir / "artifacts", None if settings.offline else self)

    def close(self) -> None:
        """Stop what is under way, wait for it, and close the connections."""
        self._closed.set()
        self._watchdog.abort()
        super().close()
        self._session.close()

    def get(
        self, url: str, *, accept: str | None = None, max_bytes: int, revalidate: bool = False, is_page: bool = True
    ) -> Page | None:
        """The content at a URL, a `file:` URL or a path; `None` where there is none (404).

        :param max_bytes: of the content, after Content-Encoding.
        :param revalidate: ask the server even where the cache has a copy that is fresh.
        :param is_page: keep it in the page cache; offline, what is there is served, fresh or stale, and nothing else.

        Raises `NetworkError` (`http-status`, `not-reached`, `timed-out`, `tls`, `encoding`, `offline`),
        `UnsafeInputError` (`limit-size`, `url-refused`), `UsageError` (`url-invalid`).
        """
        path = self._local(url)
        if path is not None:
            return _local_page(path, url, max_bytes)
        headers = {"Accept": accept} if accept else {}
        if revalidate:
            headers["Cache-Control"] = "max-age=0"
        return self.retrying(partial(self._page, self._learn(url), headers, max_bytes, is_page))

    def _page(self, url: str, headers: Mapping[str, str], max_bytes: int, is_page: bool) -> Page | None:
        with self.exchange(url, headers, is_page=is_page) as answer:
            if answer.status not in {200, 404}:
                raise status_error(answer)
            content = _limited(answer.blocks(), max_bytes, url)
            answer.keep(content)
        with _told(url):
            content = _limited(_decoded(content, answer.headers.get("content-encoding")), max_bytes, url)
        return None if answer.status == 404 else Page(url=answer.url, headers=answer.headers, content=content)

    def open_remote(self, url: str, size: int | None = None) -> BinaryIO | None:
        """Open a file for reading in any order, by Range requests; `None` where the server does not serve ranges.

        One request is made here, for the file's end; a wheel's METADATA costs one to three. `size`: where it is known.
        Raises as `get`, also when the file is read, and there also `NetworkError` (`range-refused`).
        """
        path = self._local(url)
        if path is not None:
            with faults(path):
                return open(path, "rb")
        url = self._learn(url)
        if origin(url) in self._rangeless:
            return None
        found = open_ranged(self, url, size)
        if found is None:
            self._rangeless.add(origin(url))
        return cast("BinaryIO | None", found)

    def download(
        self, url: str, *, sha256: str | None, size: int | None, name: str, on_progress: Progress | None = None
    ) -> Path:
        """The artifact at a URL, whole and verified, in the cache; a local one is verified and used where it lies.

        :param sha256: lower-case hex; `None` only for a URL that a person typed (its hash is then `cache.sha256_of`'s).
        :param name: the file name under which it is kept.

        Raises `IntegrityError` (`hash-mismatch`, `size-mismatch`; what came is not kept), `FaultError` where the cache
        cannot be written, `UnsafeInputError` (`path-escape`, `url-refused`), else as `get`.
        """
        check_file_name(name)
        path = self._local(url)
        if path is not None:
            return self._artifacts.local(path, url, sha256=sha256, size=size, name=name)
        url = self._learn(url)
        if sha256 is None:
            return self._artifacts.typed(url, size=size, name=name, progress=on_progress)
        return self._artifacts.promised(url, sha256=sha256, size=size, name=name, progress=on_progress)

    def cached(self, sha256: str | None, name: str) -> Path | None:
        """The artifact of that hash, where the cache holds it whole."""
        return None if sha256 is None else self._artifacts.find(sha256, name)

    def retrying(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it raises no `Again`; see `bridge.fetch.answers.Network`."""
        for number in itertools.count():
            try:
                return attempt()
            except Again as again:
                delay = self._backoff * 2**number * random.uniform(0.5, 1.5) if again.wait is None else again.wait
                if number >= self.settings.retries or delay > MAX_WAIT or self._closed.wait(delay):
                    raise again.error from again.__cause__
        raise AssertionError("unreachable")

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

    @staticmethod
    def _local(url: str) -> Path | None:
        with _told(url):
            path = local_path(url)
        return None if path is None else Path(path)

    def _learn(self, url: str) -> str:
        with _told(url):
            return self._credentials.learn(url)


def _local_page(path: Path, url: str, max_bytes: int) -> Page | None:
    with faults(path):
        if not path.is_file():
            return None
        if path.stat().st_size > max_bytes:
            raise UnsafeInputError("limit-size", f"more than {max_bytes} bytes: {path}")
        return Page(url=url, content=path.read_bytes())


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
        raise UsageError("url-invalid", f"not a URL to fetch from: {shown}", context=(reason(error),)) from error
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

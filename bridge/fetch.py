"""One HTTP client for indexes, channels and artifacts: the only module that speaks to the network by itself.

* Pages are cached by CacheControl, with its rules for freshness and revalidation; artifacts by their hash.
* A failing request is tried again where that can help (connection, timeout, 408, 429, 5xx), never after a TLS error.
* Credentials come from the URL of an index or from netrc, go to the host they are for, and are shown to nobody.
* A server may not lead from https to http, or to a file.
"""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeVar, cast
from urllib.parse import urljoin

import requests
import urllib3
from cachecontrol import CacheControlAdapter
from cachecontrol.cache import BaseCache
from cachecontrol.controller import CacheController
from cachecontrol.heuristics import BaseHeuristic
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bridge import __version__
from bridge.answers import Again, Answer, Progress, make_storable, offline_error, reason, status_error
from bridge.artifacts import ArtifactStore
from bridge.cache import BlobStore
from bridge.config import Settings
from bridge.errors import NetworkError, UnsafeInputError, UsageError
from bridge.faults import faults
from bridge.pool import THREADS, Pool
from bridge.ranged import open_ranged
from bridge.urls import (
    Credentials,
    check_file_name,
    check_link,
    is_trusted,
    local_path,
    masked,
    origin,
    split_credentials,
)
from bridge.watchdog import Guard, Watchdog

__all__ = ["Client", "Page", "Progress"]

MAX_REDIRECTS = 10
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
            if local_path(url) is None:
                self._learn(url)
        self._rangeless: set[tuple[str, str, int]] = set()
        self._watchdog = Watchdog(settings.timeout)
        self._pages = self._session(PageCache(BlobStore(settings.cache_dir / "http")))
        self._files = self._session(None)
        self._artifacts = ArtifactStore(settings.cache_dir / "artifacts", None if settings.offline else self)

    def close(self) -> None:
        """Stop what is under way, wait for it, and close the connections."""
        self._closed.set()
        super().close()
        self._pages.close()
        self._files.close()

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
        path = local_path(url)
        if path is not None:
            return _local_page(Path(path), url, max_bytes)
        headers = {"Accept": accept} if accept else {}
        if revalidate:
            headers["Cache-Control"] = "max-age=0"
        session = self._pages if is_page else self._files
        return self.retrying(partial(self._page, session, self._learn(url), headers, max_bytes))

    def _page(self, session: requests.Session, url: str, headers: Mapping[str, str], max_bytes: int) -> Page | None:
        with self.exchange(url, headers, session) as answer:
            if answer.status not in {200, 404}:
                raise status_error(answer)
            content = bytearray()
            for block in answer.blocks(decode=True):
                content += block
                if len(content) > max_bytes:
                    raise UnsafeInputError("limit-size", f"more than {max_bytes} bytes: {masked(url)}")
            return (
                None if answer.status == 404 else Page(url=answer.url, headers=answer.headers, content=bytes(content))
            )

    def open_remote(self, url: str, size: int | None = None) -> BinaryIO | None:
        """Open a file for reading in any order, by Range requests; `None` where the server does not serve ranges.

        One request is made here, for the file's end; a wheel's METADATA costs one to three. `size`: where it is known.
        Raises as `get`, also when the file is read, and there also `NetworkError` (`range-refused`).
        """
        path = local_path(url)
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
        path = local_path(url)
        if path is not None:
            return self._artifacts.local(Path(path), url, sha256=sha256, size=size, name=name)
        url = self._learn(url)
        if sha256 is None:
            return self._artifacts.typed(url, size=size, name=name, progress=on_progress)
        return self._artifacts.promised(url, sha256=sha256, size=size, name=name, progress=on_progress)

    def cached(self, sha256: str | None, name: str) -> Path | None:
        """The artifact of that hash, where the cache holds it whole."""
        return None if sha256 is None else self._artifacts.find(sha256, name)

    def retrying(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it raises no `Again`; see `bridge.answers.Network`."""
        for number in itertools.count():
            try:
                return attempt()
            except Again as again:
                delay = self._backoff * 2**number * random.uniform(0.5, 1.5) if again.wait is None else again.wait
                if number >= self.settings.retries or delay > MAX_WAIT or self._closed.wait(delay):
                    raise again.error from again.__cause__
        raise AssertionError("unreachable")

    @contextmanager
    def exchange(
        self, url: str, headers: Mapping[str, str], session: requests.Session | None = None
    ) -> Iterator[Answer]:
        """Ask once, past the page cache unless `session` is the pages' own; see `bridge.answers.Network`."""
        with _told(url):
            response = self._send(session or self._files, url, headers)
        try:
            with self._watchdog.guard(getattr(response.raw, "shutdown", response.close)) as guard:
                yield _Answer(response, guard, self._closed)
        finally:
            response.close()

    def _send(self, session: requests.Session, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Follow redirects by hand: requests would read their bodies without a limit, and follow them anywhere."""
        settings = self.settings
        for _ in range(MAX_REDIRECTS + 1):
            plain, typed = split_credentials(url)
            response = session.get(
                plain,
                headers=headers,
                auth=typed or self._credentials.find(plain),
                stream=True,
                allow_redirects=False,
                timeout=settings.timeout,
                # Given by request, for what requests finds in the environment beats what a session has.
                proxies=dict.fromkeys(("http", "https"), settings.proxy) if settings.proxy else None,
                verify=settings.ca_bundle or True,
                cert=settings.client_cert,
            )
            location = session.get_redirect_target(response)
            if location is None:
                return response
            response.close()
            url = urljoin(plain, location)
            check_link(plain, url, settings.trusted_hosts)
        raise UnsafeInputError("url-refused", f"more than {MAX_REDIRECTS} redirects, the last to {masked(url)}")

    def _learn(self, url: str) -> str:
        with _told(url):
            return self._credentials.learn(url)

    def _session(self, cache: BaseCache | None) -> requests.Session:
        base = _Offline if self.settings.offline else _Online
        options = (self._watchdog, self.settings.trusted_hosts, self._count)
        if self.settings.trusted_hosts:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it was asked for, by name
        if cache is None:
            adapter: HTTPAdapter = base(*options)
        else:
            controller = _OfflineController if self.settings.offline else CacheController
            adapter = type("Caching", (_Caching, base), {})(cache, controller, *options)
        session = requests.Session()
        session.headers["User-Agent"] = f"conda-bridge/{__version__}"
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def _count(self) -> None:
        with self._counting:
            self.requests += 1


def _local_page(path: Path, url: str, max_bytes: int) -> Page | None:
    with faults(path):
        if not path.is_file():
            return None
        if path.stat().st_size > max_bytes:
            raise UnsafeInputError("limit-size", f"more than {max_bytes} bytes: {path}")
        return Page(url=url, content=path.read_bytes())


class _Answer:
    """`bridge.answers.Answer` over a response of requests."""

    def __init__(self, response: requests.Response, guard: Guard, closed: threading.Event) -> None:
        self._response = response
        self._guard = guard
        self._closed = closed
        self.url = str(response.url)
        self.status = response.status_code
        self.headers = {name.lower(): value for name, value in response.headers.items()}

    def blocks(self, *, decode: bool) -> Iterator[bytes]:
        stream = self._response.raw.stream(_BLOCK, decode_content=decode)
        while True:
            with _told(self.url), self._guard:
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


class _Storable(BaseHeuristic):
    def apply(self, response: urllib3.HTTPResponse) -> urllib3.HTTPResponse:
        make_storable(response.status, response.headers)
        return response


class _OfflineController(CacheController):
    def cached_request(self, request: requests.PreparedRequest) -> urllib3.HTTPResponse | Literal[False]:
        return self._load_from_cache(request) or False


class _Caching(CacheControlAdapter):
    """CacheControl's adapter; the class that follows in the order of inheritance sends what the cache cannot answer."""

    def __init__(self, cache: BaseCache, controller: type[CacheController], *options: object) -> None:
        super().__init__(cache, True, controller, None, _Storable(), None, *options)
        self.controller.cacheable_status_codes = (*self.controller.cacheable_status_codes, 404)


class _Online(HTTPAdapter):
    """An adapter that counts, trusts whom it is told to trust, and guards the wait for the head of an answer."""

    def __init__(self, watchdog: Watchdog, trusted_hosts: tuple[str, ...], on_send: Callable[[], None]) -> None:
        self._watchdog = watchdog
        self._trusted_hosts = trusted_hosts
        self._on_send = on_send
        super().__init__(pool_connections=THREADS, pool_maxsize=THREADS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on as they came
        super().init_poolmanager(*args, **options)
        pools = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        self.poolmanager.pool_classes_by_scheme = {scheme: self._guarded(pool) for scheme, pool in pools.items()}

    def send(  # noqa: PLR0917 - as requests calls it
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        self._on_send()
        verify = False if is_trusted(str(request.url), self._trusted_hosts) else verify
        return super().send(request, stream, timeout, verify, cert, proxies)

    def _guarded(self, pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
        """The same pool, with connections whose wait for an answer's head has a deadline."""
        watchdog = self._watchdog

        class Connection(pool.ConnectionCls):  # type: ignore[misc,name-defined]
            def getresponse(self) -> HTTPResponse:
                with watchdog.guard(partial(self.sock.shutdown, socket.SHUT_RDWR)) as guard, guard:
                    return cast("HTTPResponse", super().getresponse())

        return type("Pool", (pool,), {"ConnectionCls": Connection})


class _Offline(_Online):
    """Stands where the network would be."""

    def send(self, request: requests.PreparedRequest, *_args: object, **_options: object) -> requests.Response:
        raise offline_error(str(request.url))

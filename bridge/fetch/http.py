"""HTTP: the only module that uses the network.

* Pages are cached (`bridge.fetch.pages`) by HTTP's rules.
* A server may not redirect from https to http, to a file, or from another host to this machine.
* Requests take secrets from `bridge.secrets`; responses have URLs without them.
"""

from __future__ import annotations

import io
import socket
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bridge import __version__
from bridge.cache.blobs import BlobStore
from bridge.config import Settings
from bridge.config.credentials import KEYRING_SERVICE, of_keyring
from bridge.errors import NetworkError, UnsafeInputError
from bridge.fetch.keyring import Keyring
from bridge.fetch.pages import PageCache
from bridge.fetch.pool import THREADS
from bridge.fetch.responses import (
    REDIRECTS,
    SERIAL,
    Page,
    RetryableError,
    invalid_url,
    make_storable,
    offline_error,
    reason,
    status_error,
)
from bridge.fetch.urls import check_link, is_trusted
from bridge.fetch.waiting import RequestLog
from bridge.fetch.watchdog import Watchdog
from bridge.secrets import SECRETS, Address, masked, origin
from converters.deferred import replace

__all__ = ["HttpSession"]

MAXREDIRECTS = 10
_BLOCK = 64 << 10
_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})  # only one at a time: nesting multiplies the size


class HttpSession:
    """An HTTP session. Thread-safe. `requests` counts the requests sent, redirects and retries included.

    :param closed: set to abort all transfers.
    :param log: is told of every request.
    """

    def __init__(self, settings: Settings, closed: threading.Event, log: RequestLog) -> None:
        self.settings = settings
        self.requests = 0
        self._closed = closed
        self._log = log
        self._counting = threading.Lock()
        self._watchdog = Watchdog(settings.timeout)
        self._keyring = Keyring(settings.keyring)
        blobs = BlobStore(settings.cache_dir / "http", root=settings.cache_dir)
        self._cache = PageCache(blobs, settings.client_cert or "")
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for proxy in (settings.proxy, *settings.conda.proxies.values()):
            with suppress(ValueError):  # requests reports a malformed URL
                SECRETS.learn(proxy or "", is_typed=False)
        self._session.headers["Accept-Encoding"] = "gzip, deflate"
        self._session.headers["User-Agent"] = f"conda-bridge/{__version__}"
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(self._watchdog))
        if settings.trusted_hosts:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # the user listed these hosts

    def abort(self) -> None:
        """Abort running transfers."""
        self._watchdog.abort()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def page(self, url: str, headers: Mapping[str, str], max_bytes: int, is_page: bool) -> Page | None:
        """The content at a URL; `None` for 404. Raises as `Client.get`, and `RetryableError`."""
        with self.exchange(url, headers, is_page=is_page) as answer:
            if answer.status not in {200, 404}:
                raise status_error(answer)
            content = body = _limited(answer.blocks(), max_bytes, url)
            encoding = answer.headers.get("content-encoding", "").strip().lower()
            if encoding not in {"", "identity"}:
                with _converting(url):
                    content = _limited(_decoded(body, encoding, url), max_bytes, url)
            answer.keep(body, content)
        if answer.status == 404:
            return None
        return Page(url=answer.url, base=answer.base, headers=answer.headers, content=content)

    @contextmanager
    def exchange(self, url: str, headers: Mapping[str, str], *, is_page: bool = False) -> Iterator[_Response]:
        """See `bridge.fetch.responses.Network`; a page is first looked up in the page cache."""
        with self._log.running(masked(url)):
            yield from self._exchanged(url, headers, is_page)

    def _exchanged(self, url: str, headers: Mapping[str, str], is_page: bool) -> Iterator[_Response]:
        with _converting(url):
            answer = self._follow(url, headers, is_page)
        try:
            with self._watchdog.guard(getattr(answer.raw, "shutdown", answer.raw.close)) as answer.guard:
                yield answer
        finally:
            answer.raw.close()
            answer.raw.release_conn()

    def credential(self, url: str) -> str:
        """See `Client.credential`."""
        place = SECRETS.address(url)
        user = place.user or (None if place.bearer else self._by_netrc(place, place))
        return self._cache.credential(":".join(user) if user else place.bearer or "", place)

    def _follow(self, url: str, headers: Mapping[str, str], is_page: bool) -> _Response:
        """Follow redirects here: requests would read their bodies without a limit and allow any target."""
        first = place = SECRETS.address(url)
        for _ in range(MAXREDIRECTS + 1):
            answer = self._ask(self._request(first, place, headers), place, is_page)
            if answer.status == 401 and (user := self._by_keyring(place)) is not None:
                answer.raw.close()
                place = replace(place, user=user)
                answer = self._ask(self._request(first, place, headers), place, is_page)
            if answer.status in {401, 403} and (known := self._by_rattler(place)) is not None:
                answer.raw.close()
                place = known
                answer = self._ask(self._request(first, place, headers), place, is_page)
            location = answer.headers.get("location")
            if location is None or answer.status not in REDIRECTS:
                return answer
            answer.keep(b"", b"")
            answer.raw.close()
            place = self._redirected(place, location.encode("latin-1", "replace").decode("utf-8", "replace"))
        raise UnsafeInputError("url-refused", f"more than {MAXREDIRECTS} redirects, the last to {place.public}")

    def _request(self, first: Address, place: Address, headers: Mapping[str, str]) -> requests.PreparedRequest:
        request = requests.Request("GET", place.full, headers=headers, auth=self._auth(first, place))
        return self._session.prepare_request(request)

    def _by_keyring(self, place: Address) -> tuple[str, str] | None:
        """Credentials from the keyring, for the index that was typed or for the host; kept for what is below it."""
        if place.user is not None and place.user[1]:
            return None
        name = place.user[0] if place.user is not None else None
        typed = SECRETS.place(place.public)
        host = urlsplit(place.public).netloc
        for service in (typed and f"{typed.rstrip('/')}/", typed and typed.rstrip("/"), host):
            if service and (user := self._keyring.find(service, name)) is not None:
                SECRETS.add_user(typed or place.public, user)
                return user
        return None

    def _by_rattler(self, place: Address) -> Address | None:
        """The place with what rattler and pixi keep in the keyring for its host; kept for all of the host."""
        parts = urlsplit(place.public)
        if place.user is not None or place.bearer is not None or place.full != place.public or not parts.hostname:
            return None
        labels = parts.hostname.split(".")
        names = (parts.netloc, parts.hostname, *(".".join(("*", *labels[at:])) for at in range(1, len(labels))))
        for name in dict.fromkeys(names):
            credential = self._keyring.find(KEYRING_SERVICE, name)
            if credential is not None and (known := of_keyring(credential[1])) is not None:
                if known.user is not None:
                    SECRETS.add_user(SECRETS.place(place.public) or place.public, known.user)
                    return replace(place, user=known.user)
                SECRETS.add_stored(f"{parts.scheme}://{parts.netloc}", bearer=known.bearer, token=known.token)
                return SECRETS.address(place.public)
        return None

    def _auth(self, first: Address, place: Address) -> tuple[str, str] | Callable[..., requests.PreparedRequest]:
        if place.bearer is not None and place.user is None:
            return partial(_with_bearer, place.bearer)
        return place.user or self._by_netrc(first, place) or _no_auth

    def _redirected(self, source: Address, location: str) -> Address:
        """A redirect's target, with its own credentials or the user's for its origin, and no token."""
        try:
            target = urljoin(source.full, location)
            check_link(source.full, target, self.settings.trusted_hosts)
            address = Address.of(target)
            SECRETS.learn(target, is_typed=False)
            return Address(public=address.public, full=address.full, user=address.user or SECRETS.user(address.public))
        except ValueError as error:
            message = f"{source.public} redirects to an invalid URL: {masked(location)[:200]!r}"
            raise UnsafeInputError("url-refused", message, context=(str(error),)) from error

    @staticmethod
    def _by_netrc(first: Address, place: Address) -> tuple[str, str] | None:
        """Credentials from netrc; none for a redirect to another port or scheme of the first host."""
        is_near = urlsplit(first.full).hostname == urlsplit(place.full).hostname
        if is_near and origin(first.full) != origin(place.full):
            return None
        user = requests.utils.get_netrc_auth(place.full)
        if user is not None:
            SECRETS.add_word(user[1])
        return user

    def _ask(self, request: requests.PreparedRequest, place: Address, is_page: bool) -> _Response:
        """The response from the cache if usable, else from the network."""
        serial = request.headers.pop(SERIAL, None)
        entry = self._cache.entry(request, place) if is_page else None
        if entry is not None:
            cached = entry.stored() if self.settings.offline else entry.fresh() or entry.since(serial)
            if cached is not None:
                self._log.cached(place.public)
                return _Response(place, cached, self._closed)
            request.headers.update(entry.conditions())
        if self.settings.offline:
            raise offline_error(place.public)
        with self._log.request(place.public) as answered:
            raw = self._send(request)
            answered(raw.status)
        if entry is None:
            return _Response(place, raw, self._closed)
        make_storable(raw.status, raw.headers)
        if raw.status == 304:
            cached = entry.confirmed(raw)
            raw.close()
            return _Response(place, cached, self._closed)
        return _Response(place, raw, self._closed, partial(entry.keep, raw))

    def _send(self, request: requests.PreparedRequest) -> urllib3.HTTPResponse:
        settings = self.settings
        with self._counting:
            self.requests += 1
        # Set per request: requests prefers the environment to the session's settings.
        proxies = dict.fromkeys(("http", "https"), settings.proxy) if settings.proxy else dict(settings.conda.proxies)
        verify = False if is_trusted(str(request.url), settings.trusted_hosts) else settings.ca_bundle or True
        options = self._session.merge_environment_settings(request.url, proxies, True, verify, settings.client_cert)
        # Bypass the session, which handles redirects and stores cookies.
        adapter = self._session.get_adapter(str(request.url))
        response = adapter.send(request, timeout=settings.timeout, **cast("dict[str, Any]", options))
        return cast("urllib3.HTTPResponse", response.raw)


def _limited(blocks: Iterable[bytes], max_bytes: int, url: str) -> bytes:
    content = bytearray()
    for block in blocks:
        content += block
        if len(content) > max_bytes:
            raise UnsafeInputError("limit-size", f"more than {max_bytes} bytes: {masked(url)}")
    return bytes(content)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Add no credentials; without an auth object requests would read netrc."""
    return request


def _with_bearer(token: str, request: requests.PreparedRequest) -> requests.PreparedRequest:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


def _decoded(content: bytes, encoding: str, url: str) -> Iterator[bytes]:
    """Undo the Content-Encoding. Raises `NetworkError` (`encoding`) for one that was not requested."""
    if encoding not in _ENCODINGS:
        shown = f"its Content-Encoding is {encoding[:60]!r}"
        raise NetworkError("encoding", f"unexpected encoding of the content: {masked(url)}", context=(shown,))
    if encoding != "deflate":
        return _unzipped(content)
    raw = urllib3.HTTPResponse(io.BytesIO(content), {"Content-Encoding": encoding}, preload_content=False)
    return raw.stream(_BLOCK, decode_content=True)


def _unzipped(content: bytes) -> Iterator[bytes]:
    """Decompress the members of a gzip file (RFC 1952) in small blocks. Raises `DecodeError`."""
    rest = content
    while rest.strip(b"\0"):
        decoder = zlib.decompressobj(31)
        while True:
            try:
                block = decoder.decompress(rest, _BLOCK)
            except zlib.error as error:
                raise urllib3.exceptions.DecodeError(str(error)) from error
            yield block
            if decoder.eof:
                break
            rest = decoder.unconsumed_tail
            if not block and not rest:
                raise urllib3.exceptions.DecodeError("the gzip data is truncated")
        rest = decoder.unused_data


class _Response:
    """`bridge.fetch.responses.Response` over urllib3's; `keep` stores a page's body in the page cache."""

    def __init__(
        self,
        place: Address,
        raw: urllib3.HTTPResponse,
        closed: threading.Event,
        keep: Callable[[bytes, bytes], None] | None = None,
    ) -> None:
        self.url, self.base = place.public, place.full
        self._is_idle = True
        self.raw = raw
        self.status = raw.status
        self.headers = {name.lower(): value for name, value in raw.headers.items()}
        self.keep = keep or (lambda *_: None)
        self.guard: AbstractContextManager[None] = nullcontext()
        self._closed = closed

    def blocks(self) -> Iterator[bytes]:
        stream = self.raw.stream(_BLOCK, decode_content=False)
        while True:
            with _converting(self.url, is_idle=self._is_idle), self.guard:
                block = next(stream, None)
            if block is None:
                return
            self._is_idle = False
            if self._closed.is_set():
                raise NetworkError("interrupted", f"the transfer was aborted: {masked(self.url)}")
            yield block


@contextmanager
def _converting(url: str, *, is_idle: bool = True) -> Iterator[None]:
    """Convert errors of requests and urllib3 into `RetryableError`, or the final error where a retry cannot help.

    :param is_idle: no part of the body was received before the block.
    """
    shown = masked(url)
    try:
        yield
    except requests.exceptions.SSLError as error:
        hint = "for a private certificate authority, name its bundle in BRIDGE_CA_BUNDLE (or pip's cert)"
        raise NetworkError("tls", f"no trusted connection to {shown}", context=(reason(error),), hint=hint) from error
    except (requests.exceptions.InvalidHeader, urllib3.exceptions.InvalidHeader) as error:
        message = f"the response of {shown} cannot be parsed"
        raise RetryableError(NetworkError("not-reached", message, context=(reason(error),))) from error
    except (ValueError, urllib3.exceptions.LocationValueError) as error:  # requests' URL errors are ValueErrors
        raise invalid_url(url, error) from error
    except urllib3.exceptions.DecodeError as error:
        raise NetworkError("encoding", f"the content does not match its encoding: {shown}") from error
    except (requests.Timeout, urllib3.exceptions.TimeoutError, TimeoutError) as error:
        hint = "try again, or allow more time with BRIDGE_TIMEOUT (seconds)"
        late = NetworkError("timed-out", f"no answer in time from {shown}", context=(reason(error),), hint=hint)
        raise RetryableError(late, is_idle=is_idle) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError) as error:
        hint = "check the URL, the network and the proxy settings"
        lost = NetworkError("not-reached", f"no connection to {shown}", context=(reason(error),), hint=hint)
        raise RetryableError(lost) from error


class _Adapter(HTTPAdapter):
    """Guards the wait for the head of a response, which a server may send byte by byte."""

    def __init__(self, watchdog: Watchdog) -> None:
        self._watchdog = watchdog
        super().__init__(pool_connections=THREADS, pool_maxsize=THREADS)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed through
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

"""The client for indexes, channels and artifacts: what is local, what is cached, what is retried, who is trusted.

* Artifacts are cached by their hash, pages by HTTP's rules (`bridge.fetch.http`).
* A failing request is tried again where that can help (connection, timeout, 408, 429, 5xx), never after a TLS error.
* Secrets come from URLs that a person gave or from netrc, go where they are for, and are shown to nobody (`secrets`).
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from bridge.cache.blobs import BlobStore
from bridge.config import Settings
from bridge.errors import UnsafeInputError, UsageError
from bridge.faults import faults
from bridge.fetch.artifacts import ArtifactStore
from bridge.fetch.pool import Pool
from bridge.fetch.ranged import open_ranged
from bridge.fetch.responses import Page, Progress, Response, RetryableError, invalid_url
from bridge.fetch.urls import check_file_name, local_path, origin
from bridge.secrets import SECRETS

if TYPE_CHECKING:
    from bridge.fetch.http import HttpSession

__all__ = ["Client"]

MAX_WAIT = 60.0  # seconds that a Retry-After is obeyed for
PATIENCE = 8.0  # seconds without a byte of content, after which a timeout is not followed by another attempt

Result = TypeVar("Result")


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
        self.metadata = BlobStore(settings.cache_dir / "metadata", root=settings.cache_dir)
        self._backoff = backoff
        self._closed = threading.Event()
        for url in (*settings.index_urls, *settings.find_links):
            if self._local(url) is None:
                self._learn(url)
        self._rangeless: set[tuple[str, str, int]] = set()
        self._opening = threading.Lock()
        self._opened: HttpSession | None = None
        self._artifacts = ArtifactStore(
            settings.cache_dir / "artifacts", None if settings.offline else self, root=settings.cache_dir
        )

    def close(self) -> None:
        """Stop what is under way, wait for it, and close the connections."""
        self._closed.set()
        wire = self._opened
        if wire is not None:
            wire.abort()
        super().close()
        if wire is not None:
            wire.close()

    @property
    def requests(self) -> int:
        return 0 if self._opened is None else self._opened.requests

    @property
    def _wire(self) -> HttpSession:
        """What speaks HTTP. It comes, with its libraries, for the first URL that is no local one."""
        with self._opening:
            if self._opened is None:
                from bridge.fetch.http import HttpSession  # noqa: PLC0415 - a run without a network starts without it

                self._opened = HttpSession(self.settings, self._closed)
            return self._opened

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
        return self.retrying(partial(self._wire.page, self._learn(url), headers, max_bytes, is_page))

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
            return self._artifacts.by_url(url, size=size, name=name, progress=on_progress)
        return self._artifacts.by_hash(url, sha256=sha256, size=size, name=name, progress=on_progress)

    def cached(self, sha256: str | None, name: str) -> Path | None:
        """The artifact of that hash, where the cache holds it whole."""
        return None if sha256 is None else self._artifacts.find(sha256, name)

    def retrying(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it raises no `RetryableError`; see `bridge.fetch.responses.Network`.

        A server that said nothing for `PATIENCE` is not asked again: it would take that long once more.
        """
        begun = time.monotonic()
        for number in itertools.count():
            try:
                return attempt()
            except RetryableError as again:
                delay = self._backoff * 2**number * random.uniform(0.5, 1.5) if again.wait is None else again.wait
                late = again.is_idle and time.monotonic() - begun >= PATIENCE
                if late or number >= self.settings.retries or delay > MAX_WAIT or self._closed.wait(delay):
                    raise again.error from again.__cause__
        raise AssertionError("unreachable")

    def exchange(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[Response]:
        """Ask once; see `bridge.fetch.responses.Network`."""
        return self._wire.exchange(url, headers)

    def credential(self, url: str) -> str:
        """What tells answers to this client's requests for `url` from those to others; `""`: there is no credential.

        It says nothing of the secret, and is the same in later runs with the same cache.
        """
        return self._wire.credential(self._learn(url))

    @staticmethod
    def _local(url: str) -> Path | None:
        with _readable(url):
            path = local_path(url)
        return None if path is None else Path(path)

    def _learn(self, url: str) -> str:
        with _readable(url):
            return SECRETS.learn(url)


@contextmanager
def _readable(url: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise invalid_url(url, error) from error


def _local_page(path: Path, url: str, max_bytes: int) -> Page | None:
    with faults(path):
        if not path.is_file():
            return None
        if path.stat().st_size > max_bytes:
            raise UnsafeInputError("limit-size", f"more than {max_bytes} bytes: {path}")
        return Page(url=url, content=path.read_bytes())

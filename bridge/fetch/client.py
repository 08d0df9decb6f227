"""The client for indexes, channels and artifacts: local files, caches, retries and trust.

* Artifacts are cached by hash, pages by HTTP's rules (`bridge.fetch.http`).
* Connection errors, timeouts, 408, 429 and 5xx are retried, TLS errors never.
* Secrets come from the user's URLs or netrc, go only to their origin, and are never shown (`bridge.secrets`).
"""

from __future__ import annotations

import itertools
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
from bridge.fetch.responses import SERIAL, Page, Progress, Response, RetryableError, invalid_url
from bridge.fetch.urls import check_file_name, local_path
from bridge.fetch.waiting import RequestLog
from bridge.secrets import SECRETS, origin, public

if TYPE_CHECKING:
    from bridge.fetch.http import HttpSession

__all__ = ["Client"]

MAX_WAIT = 60.0  # seconds that a Retry-After is obeyed for
PATIENCE = 8.0  # seconds without a byte of content after which a timeout is not retried

Result = TypeVar("Result")


class Client(Pool):
    """Fetches pages and artifacts. Thread-safe; close it, or use it in a `with` statement.

    `requests` counts network requests, redirects and retries included; `metadata` stores small values between runs.

    :param settings: uses `cache_dir`, `offline`, `timeout`, `retries`, `ca_bundle`, `client_cert`, `proxy`,
        `trusted_hosts`, and the credentials in `index_urls`, `project_indexes` and `find_links`.
    :param backoff: seconds before the first retry, ±50 %; doubles with each retry.
    :param log: is told of every request.

    Raises `UsageError` (`certificate-file`) if the CA bundle or the client certificate does not exist.
    """

    def __init__(self, settings: Settings, *, backoff: float = 0.5, log: RequestLog | None = None) -> None:
        super().__init__()
        for path in (settings.ca_bundle, settings.client_cert):
            if path is not None and not Path(path).exists():
                hint = "see BRIDGE_CA_BUNDLE, BRIDGE_CLIENT_CERT and pip's cert and client-cert"
                raise UsageError("certificate-file", f"there is no certificate file {path}", hint=hint)
        self.settings = settings
        self._log = log or RequestLog()
        self.metadata = BlobStore(settings.cache_dir / "metadata", root=settings.cache_dir)
        self._backoff = backoff
        self._closed = threading.Event()
        for url in (*settings.index_urls, *settings.project_indexes.values(), *settings.find_links):
            if self._local(url) is None:
                self._learn(url)
        self._rangeless: set[tuple[str, str, int]] = set()
        self._opening = threading.Lock()
        self._opened: HttpSession | None = None
        self._artifacts = ArtifactStore(
            settings.cache_dir / "artifacts",
            None if settings.offline else self,
            root=settings.cache_dir,
            folders=[Path(path) for path in settings.from_directories],
        )

    def close(self) -> None:
        """Abort running transfers, wait for them, and close the connections."""
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
        with self._opening:
            if self._opened is None:
                from bridge.fetch.http import HttpSession  # noqa: PLC0415 - slow to import; local runs need none

                self._opened = HttpSession(self.settings, self._closed, self._log)
            return self._opened

    def get(
        self,
        url: str,
        *,
        accept: str | None = None,
        max_bytes: int,
        revalidate: bool = False,
        is_page: bool = True,
        serial: int | None = None,
    ) -> Page | None:
        """The content at a URL or path; `None` if there is none (404).

        :param max_bytes: of the decoded content.
        :param revalidate: revalidate even a fresh copy in the cache.
        :param is_page: use the page cache; offline, serve it from there, fresh or stale.
        :param serial: of the page's last change, if known: a stored page with this or a later one is served unasked.

        Raises `NetworkError` (`http-status`, `not-reached`, `timed-out`, `tls`, `encoding`, `offline`),
        `UnsafeInputError` (`limit-size`, `url-refused`), `UsageError` (`url-invalid`).
        """
        path = self._local(url)
        if path is not None:
            return _local_page(path, url, max_bytes)
        headers = {"Accept": accept} if accept else {}
        if revalidate:
            headers["Cache-Control"] = "max-age=0"
        if serial is not None:
            headers[SERIAL] = str(serial)
        return self.retrying(partial(self._wire.page, self._learn(url), headers, max_bytes, is_page))

    def note_cached(self, url: str) -> None:
        """Note that a page was served without being read again."""
        self._log.cached(public(url))

    def open_remote(self, url: str, size: int | None = None) -> BinaryIO | None:
        """Open a file for random access by Range requests; `None` if the server does not serve ranges.

        The first request, for the file's end, is sent now; a wheel's METADATA takes one to three. Raises as `get`, also
        on reading, where also `NetworkError` (`range-refused`).
        """
        path = self._local(url)
        if path is not None:
            with faults(path):
                return open(path, "rb")
        url = self._learn(url)
        if origin(url) in self._rangeless:
            return None
        from bridge.fetch.ranged import open_ranged  # noqa: PLC0415 - most METADATA has a file of its own, or is kept

        remote = open_ranged(self, url, size)
        if remote is None:
            self._rangeless.add(origin(url))
        return cast("BinaryIO | None", remote)

    def download(
        self, url: str, *, sha256: str | None, size: int | None, name: str, on_progress: Progress | None = None
    ) -> Path:
        """The verified artifact at a URL, in the cache; a local one is verified and used in place.

        :param sha256: lower-case hex; `None` only for a URL that the user gave.
        :param name: the file name in the cache.

        Raises `IntegrityError` (`hash-mismatch`, `size-mismatch`; the download is dropped), `FaultError` if the cache
        cannot be written, `UnsafeInputError` (`path-escape`, `url-refused`), else as `get`.
        """
        check_file_name(name)
        path = self._local(url)
        if path is not None:
            # A folder that is gone may be in the cache, or in another place.
            stored = self.cached(sha256, name) if not path.exists() else None
            return stored or self._artifacts.local(path, url, sha256=sha256, size=size, name=name)
        url = self._learn(url)
        if sha256 is None:
            return self._artifacts.by_url(url, size=size, name=name, progress=on_progress)
        return self._artifacts.by_hash(url, sha256=sha256, size=size, name=name, progress=on_progress)

    def cached(self, sha256: str | None, name: str) -> Path | None:
        """The artifact of that hash, if the cache has it intact."""
        return None if sha256 is None else self._artifacts.find(sha256, name)

    def stored(self, url: str, sha256: str, size: int | None, name: str) -> Path | None:
        """The artifact on this machine, for a caller that has it unpacked: the one of the cache is not hashed again.

        `None` for a local one that takes a while to hash. Raises as `download`.
        """
        check_file_name(name)
        path = self._local(url)
        if path is None:
            self._learn(url)
            return self._artifacts.stored(sha256, size, name)
        if not self._artifacts.is_soon_hashed(path):
            return None
        return self._artifacts.local(path, url, sha256=sha256, size=size, name=name)

    def has(self, url: str, sha256: str | None, name: str) -> bool:
        """Whether an artifact is on this machine, going by its path alone: only `cached` reads it."""
        if self._local(url) is not None:
            return True
        return sha256 is not None and self._artifacts.path(sha256, name).is_file()

    def retrying(self, attempt: Callable[[], Result]) -> Result:
        """See `bridge.fetch.responses.Network`. A server silent for `PATIENCE` is not retried: it would be again."""
        begun = time.monotonic()
        for number in itertools.count():
            try:
                return attempt()
            except RetryableError as again:
                import random  # noqa: PLC0415 - most requests succeed

                delay = self._backoff * 2**number * random.uniform(0.5, 1.5) if again.wait is None else again.wait
                late = again.is_idle and time.monotonic() - begun >= PATIENCE
                if late or number >= self.settings.retries or delay > MAX_WAIT or self._closed.wait(delay):
                    raise again.error from again.__cause__
        raise AssertionError("unreachable")

    def exchange(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[Response]:
        """See `bridge.fetch.responses.Network`."""
        return self._wire.exchange(url, headers)

    def credential(self, url: str) -> str:
        """A cache key for this client's credentials at `url`, `""` without any.

        It reveals nothing of the secret, and is the same in later runs with the same cache.
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

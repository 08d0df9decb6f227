"""HTTP responses: the port that reads them, and the errors and delays that follow from them (RFC 9110)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import field
from typing import Protocol, TypeVar

from bridge.errors import NetworkError, UsageError
from bridge.secrets import has_secret, hidden, masked
from converters.deferred import dataclass, regex

__all__ = [
    "REDIRECTS",
    "SERIAL",
    "Network",
    "Page",
    "Progress",
    "Response",
    "RetryableError",
    "contains_secret",
    "content_range",
    "invalid_url",
    "make_storable",
    "max_age",
    "offline_error",
    "reason",
    "status_error",
    "truncated",
    "validator",
]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
SERIAL = "X-PyPI-Last-Serial"  # of a page of an index: the number of its last change

Result = TypeVar("Result")

_HINTS = {
    401: "give a user and a password in the URL (https://USER:PASSWORD@HOST/…), in your netrc file or in the keyring",
    403: "the server refuses access: check the URL and the credentials (in the URL or in netrc)",
    404: "the server no longer has this file; the index may be out of date: try again, or choose another version",
    407: "the proxy requires a user and a password: give them in its URL (HTTPS_PROXY, or pip's proxy)",
    429: "the server limits requests: try again later",
}
_SERVER_HINT = "the server failed: try again later, or use another index or channel"
_RETRYABLE = frozenset({408, 429})
_SECONDS = regex(r"[0-9]{1,18}\Z", re.ASCII)
_MAX_AGE = regex(r"(?:\A|[\s,])max-age=([0-9]{1,9})(?:\Z|[\s,])")
_FRESH = regex(r"max-age=0*[1-9]", re.ASCII)
_CONTENT_RANGE = regex(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})\Z", re.ASCII)


class Progress(Protocol):
    """Shows the progress of transfers; `task` is the file's name. Called from any thread."""

    def start(self, task: str, total: int | None) -> None:
        """A task of `total` bytes (if known) starts."""

    def advance(self, task: str, n: int) -> None:
        """`n` more bytes arrived; negative when a task starts over."""

    def finish(self, task: str) -> None:
        """The task succeeded or failed."""


class Response(Protocol):
    """A response with an unread body. `headers` has lower-case names; `url` has no credentials."""

    url: str
    status: int

    @property
    def headers(self) -> Mapping[str, str]: ...

    def blocks(self) -> Iterator[bytes]:
        """The body as sent. Raises `RetryableError` if it breaks off or is too slow."""


class Network(Protocol):
    """What a transfer needs of the client."""

    def exchange(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[Response]:
        """Send one request and follow redirects.

        Raises `RetryableError`, `NetworkError`, `UnsafeInputError` (`url-refused`).
        """

    def retrying(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it raises no `RetryableError`; after the last retry raise the error it carries."""


class RetryableError(Exception):
    """A failed attempt that may succeed when repeated.

    `wait`: seconds the server asks for; `is_idle`: nothing was received within the timeout.
    """

    def __init__(self, error: NetworkError, wait: float | None = None, *, is_idle: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait
        self.is_idle = is_idle


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A response with its content. `headers` has lower-case names.

    :param url: after redirects, without secrets; `base` is the same with secrets, to resolve links.
    """

    url: str
    base: str = field(default="", repr=False)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


def contains_secret(content: bytes) -> bool:
    """Whether a page contains a URL with a secret."""
    may = b"?" in content or b"@" in content or b"/t/" in content or b"\\/t" in content
    return may and has_secret(content.decode("utf-8", "replace"))


def invalid_url(url: str, error: Exception) -> UsageError:
    """The error for text that is not a URL."""
    return UsageError("url-invalid", f"not a URL to fetch from: {masked(url)}", context=(reason(error),))


def status_error(answer: Response) -> Exception:
    """The error for a failed status: `RetryableError` for 408, 429 and 5xx, else `NetworkError`."""
    from http import HTTPStatus  # noqa: PLC0415 - most answers are no errors

    status = answer.status
    name = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "unknown status"
    hint = _HINTS.get(status, _SERVER_HINT if status >= 500 else None)
    url = masked(answer.url)
    error = NetworkError("http-status", f"{status} {name}: {url}", hint=hint, objects={"status": status, "url": url})
    if status in _RETRYABLE or status >= 500:
        return RetryableError(error, retry_after(answer.headers.get("retry-after")))
    return error


def retry_after(text: str | None) -> float | None:
    """The seconds of a Retry-After field, given as a number or a date; `None` if invalid."""
    if text is None:
        return None
    if _SECONDS.match(text.strip()):
        return float(text)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - slow to import; a run on fresh pages reads no date

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError, OSError, IndexError):  # `email` raises all of them for bad dates
        return None


def truncated(url: str, got: int, expected: int | None) -> RetryableError:
    """The error for a body that ended early."""
    of = "" if expected is None else f" of {expected}"
    return RetryableError(NetworkError("truncated", f"the transfer broke off after {got}{of} bytes: {masked(url)}"))


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int] | None:
    """(start, stop, total) of a 206 response with one range, stop exclusive; `None` for any other."""
    match = _CONTENT_RANGE.match(headers.get("content-range", "").strip())
    if match is None:
        return None
    first, last, total = (int(part) for part in match.groups())
    return (first, last + 1, total) if first <= last < total else None


def validator(headers: Mapping[str, str]) -> str | None:
    """A value for If-Range: a strong ETag, else Last-Modified."""
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') else headers.get("last-modified")


def offline_error(url: str) -> NetworkError:
    """The error for a URL that is not in the cache."""
    url = masked(url)
    message = f"not in the cache, and --offline forbids fetching it: {url}"
    return NetworkError("offline", message, hint="run the command once without --offline", objects={"url": url})


def make_storable(status: int, headers: MutableMapping[str, str]) -> None:
    """Change a response's header fields so that a cache may store it, without serving it longer unrevalidated.

    RFC 9111 requires a date and an expiry. Pages without them, redirects and 404 are needed offline too; the latter two
    lose all fields that would make them fresh or valid.
    """
    from email.utils import formatdate  # noqa: PLC0415

    headers.pop("set-cookie", None)
    # Pages are stored by credential, so Vary need not name credentials, and CacheControl would store them for it.
    if "vary" in headers:
        varied = [name.strip() for name in headers["vary"].split(",")]
        headers["vary"] = ", ".join(name for name in varied if name.lower() not in {"authorization", "cookie"})
    for name in ("date", "expires"):
        if name in headers and not _is_date(headers[name]):
            del headers[name]
    headers.setdefault("date", formatdate(usegmt=True))
    policy = headers.get("cache-control", "")
    if status == 304 or "no-store" in policy:
        return
    if status == 404 or status in REDIRECTS:
        for name in ("etag", "last-modified", "cache-control", "expires"):
            headers.pop(name, None)
    if "etag" not in headers and not _FRESH.search(headers.get("cache-control", "")):
        headers.setdefault("expires", headers["date"])


def max_age(policy: str) -> float | None:
    """The seconds that a Cache-Control header, in lower case, lets an answer be served without asking (RFC 9111)."""
    match = _MAX_AGE.search(policy)
    return None if match is None else float(match[1])


def _is_date(text: str) -> bool:
    import calendar  # noqa: PLC0415
    from email.utils import parsedate_tz  # noqa: PLC0415

    fields = parsedate_tz(text)
    try:
        return fields is not None and calendar.timegm(fields[:6]) >= 0
    except (ValueError, OverflowError):
        return False


def reason(error: BaseException) -> str:
    """The message of the innermost exception: requests wraps it several times."""
    while isinstance(inner := getattr(error, "reason", None) or (error.args or (None,))[-1], BaseException):
        error = inner
    return hidden(" ".join(str(error).split()))[:300]

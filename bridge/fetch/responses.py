"""What an HTTP answer means: the port through which answers are read, and the errors and delays that follow from them.

Source: RFC 9110 (status codes, Retry-After, Content-Range, validators).
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime, parsedate_tz
from http import HTTPStatus
from typing import Protocol, TypeVar

from bridge.errors import NetworkError, UsageError
from bridge.secrets import hidden, masked

__all__ = [
    "REDIRECTS",
    "Network",
    "Page",
    "Progress",
    "Response",
    "RetryableError",
    "content_range",
    "invalid_url",
    "make_storable",
    "offline_error",
    "reason",
    "status_error",
    "truncated",
    "validator",
]

REDIRECTS = frozenset({301, 302, 303, 307, 308})

Result = TypeVar("Result")

_HINTS = {
    401: "give a user and a password: in the URL (https://USER:PASSWORD@HOST/…) or in your netrc file",
    403: "the server knows the request and refuses it: check the credentials (in the URL, or in netrc) and the URL",
    404: "the server no longer has this file; the index may be out of date: try again, or choose another version",
    407: "the proxy wants a user and a password: give them in its URL (HTTPS_PROXY, or pip's proxy)",
    429: "the server wants fewer requests: try again later",
}
_SERVER_HINT = "the fault is the server's: try again later, or name another index or channel"
_AGAIN = frozenset({408, 429})
_SECONDS = re.compile(r"[0-9]{1,18}\Z", re.ASCII)
_FRESH = re.compile(r"max-age=0*[1-9]", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})\Z", re.ASCII)


class Progress(Protocol):
    """Who shows how far long tasks are. `task` is the file's name; a call may come from any thread."""

    def start(self, task: str, total: int | None) -> None:
        """A task of `total` bytes begins; `None`: not known."""

    def advance(self, task: str, n: int) -> None:
        """`n` more bytes are there; negative where a task starts over."""

    def finish(self, task: str) -> None:
        """The task has ended, well or not."""


class Response(Protocol):
    """One answer, whose body was not read yet. `headers` has lower-case names; `url` is free of credentials."""

    @property
    def url(self) -> str: ...

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    def blocks(self) -> Iterator[bytes]:
        """The body as it was sent. Raises `RetryableError` where it breaks off or comes too slowly."""


class Network(Protocol):
    """What a transfer needs of the client."""

    def exchange(self, url: str, headers: Mapping[str, str]) -> AbstractContextManager[Response]:
        """Send one request and follow redirects.

        Raises `RetryableError`, `NetworkError`, `UnsafeInputError` (`url-refused`).
        """

    def retrying(self, attempt: Callable[[], Result]) -> Result:
        """Call `attempt` until it raises no `RetryableError`; after the last retry raise the error it carries."""


class RetryableError(Exception):
    """An attempt failed in a way that another may not.

    `wait`: seconds that the server asks for; `is_idle`: nothing came in the time that was allowed for it.
    """

    def __init__(self, error: NetworkError, wait: float | None = None, *, is_idle: bool = False) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait
        self.is_idle = is_idle


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer with its content. `headers` has lower-case names.

    :param url: after redirects, without secrets; `base` is the same with them, against which links are resolved.
    """

    url: str
    base: str = field(default="", repr=False)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""


def invalid_url(url: str, error: Exception) -> UsageError:
    """What a text is that no URL can be read from."""
    return UsageError("url-invalid", f"not a URL to fetch from: {masked(url)}", context=(reason(error),))


def status_error(answer: Response) -> Exception:
    """What to raise for a status that is no success: `RetryableError` for 408, 429 and 5xx, else `NetworkError`."""
    status = answer.status
    name = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "unknown status"
    hint = _HINTS.get(status, _SERVER_HINT if status >= 500 else None)
    url = masked(answer.url)
    error = NetworkError("http-status", f"{status} {name}: {url}", hint=hint, objects={"status": status, "url": url})
    if status in _AGAIN or status >= 500:
        return RetryableError(error, retry_after(answer.headers.get("retry-after")))
    return error


def retry_after(text: str | None) -> float | None:
    """The seconds a Retry-After field asks for, given as a number or as a date; `None` where it says nothing."""
    if text is None:
        return None
    if _SECONDS.match(text.strip()):
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError, TypeError, OSError, IndexError):  # what `email` makes of dates that are none
        return None


def truncated(url: str, got: int, expected: int | None) -> RetryableError:
    """The body ended early."""
    of = "" if expected is None else f" of {expected}"
    return RetryableError(NetworkError("truncated", f"the transfer broke off after {got}{of} bytes: {masked(url)}"))


def content_range(headers: Mapping[str, str]) -> tuple[int, int, int] | None:
    """(start, stop, total) of a 206 answer that holds one range, stop exclusive; `None` where it does not say."""
    match = _CONTENT_RANGE.match(headers.get("content-range", "").strip())
    if match is None:
        return None
    first, last, total = (int(part) for part in match.groups())
    return (first, last + 1, total) if first <= last < total else None


def validator(headers: Mapping[str, str]) -> str | None:
    """What If-Range may carry: a strong ETag, else Last-Modified."""
    tag = headers.get("etag", "")
    return tag if tag.startswith('"') else headers.get("last-modified")


def offline_error(url: str) -> NetworkError:
    """What was asked for is not in the cache."""
    url = masked(url)
    message = f"not in the cache, and --offline forbids to fetch it: {url}"
    return NetworkError("offline", message, hint="run the command once without --offline", objects={"url": url})


def make_storable(status: int, headers: MutableMapping[str, str]) -> None:
    """Change the header fields of an answer so that a cache may store it, but serves it no longer without asking.

    RFC 9111 lets a cache store what has a date and an expiry. An index without either, redirects, and "there is no such
    project" are wanted offline too. Of the last two nothing is left by which they would be fresh, or be confirmed.
    """
    headers.pop("set-cookie", None)
    # Pages are kept by credential, so a Vary by credentials says nothing more, and would have them kept.
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


def _is_date(text: str) -> bool:
    fields = parsedate_tz(text)
    try:
        return fields is not None and calendar.timegm(fields[:6]) >= 0
    except (ValueError, OverflowError):
        return False


def reason(error: BaseException) -> str:
    """What the innermost exception says, for the context of an error: requests wraps several times."""
    while isinstance(inner := getattr(error, "reason", None) or (error.args or (None,))[-1], BaseException):
        error = inner
    return hidden(" ".join(str(error).split()))[:300]

"""URLs and local paths as texts: what they point to, whom they may point to, and what of them may be shown."""

from __future__ import annotations

import os
import posixpath
import re
import threading
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from bridge.errors import UnsafeInputError

__all__ = [
    "Credentials",
    "check_file_name",
    "check_link",
    "file_name",
    "host_url",
    "is_trusted",
    "local_path",
    "masked",
    "origin",
    "split_credentials",
]

_USER_INFORMATION = re.compile(r"(?<=://)[^/?#\s]*@")
_PORTS = {"http": 80, "https": 443}
_MAX_COMPONENT = 255  # bytes


def host_url(cache: Path) -> str:
    """The URL of the channel `host`, which lies in bridge's cache (`bridge.host.HostChannel`)."""
    return (cache / "host").absolute().as_uri()


def masked(text: str) -> str:
    """`text` with the user information of every URL in it hidden, for messages, records and logs."""
    return _USER_INFORMATION.sub("***@", text)


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """The URL without its user information and fragment, and the (user, password) it had, percent-decoded."""
    parts = urlsplit(url)
    information, at, host = parts.netloc.rpartition("@")
    if not at:
        return urlunsplit(parts._replace(fragment="")), None
    user, _, password = information.partition(":")
    return urlunsplit(parts._replace(netloc=host, fragment="")), (unquote(user), unquote(password))


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port). Raises `ValueError` where the URL has no host, or a port that is none."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"a URL without a host: {masked(url)}")
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme, 0)


def local_path(location: str) -> str | None:
    """The path that a `file:` URL or a path stands for; `None` for any other URL.

    Raises `UnsafeInputError` (`url-refused`) for a `file:` URL that names another host.
    """
    parts = urlsplit(location)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"} and os.name != "nt":
            raise UnsafeInputError("url-refused", f"a file: URL that names a host: {location}")
        return _path_of(parts.path)
    # One letter before the colon is a drive, not a scheme.
    return location if len(parts.scheme) <= 1 and not location.startswith("//") else None


def _path_of(path: str) -> str:
    if os.name != "nt":
        return unquote(path)
    from urllib.request import url2pathname  # noqa: PLC0415 - it brings all of HTTP, for the drives of Windows

    return url2pathname(path)


def file_name(url: str) -> str:
    """The last segment of the URL's path, percent-decoded once."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def is_trusted(url: str, hosts: tuple[str, ...]) -> bool:
    """Whether the person trusts the URL's host without TLS, as pip's `trusted-host`: `HOST` or `HOST:PORT`."""
    parts: SplitResult = urlsplit(url)
    host = parts.hostname or ""
    return any(entry.lower() in {host, f"{host}:{parts.port}"} for entry in hosts)


def check_link(source: str, target: str, trusted_hosts: tuple[str, ...]) -> None:
    """Raise `UnsafeInputError` (`url-refused`) where a page or a redirect at `source` may not point to `target`.

    What came over the network may only lead to the network, and what came over TLS only to TLS, unless the target's
    host is trusted.
    """
    was, goes = urlsplit(source).scheme, urlsplit(target).scheme
    if was not in _PORTS:
        if goes in {*_PORTS, "file"}:
            return
        reason = f"the scheme {goes!r} is not one that files are fetched by"
    elif goes not in _PORTS:
        reason = f"a server may not lead to the scheme {goes!r}"
    elif was == "https" and goes == "http" and not is_trusted(target, trusted_hosts):
        reason = "it leads from https to http, where anybody on the way can change what is sent"
    else:
        return
    raise UnsafeInputError(
        "url-refused",
        f"refused to follow a link to {masked(target)}",
        context=(f"from: {masked(source)}", reason),
        hint="if you run that host and know the way to it, list it in BRIDGE_TRUSTED_HOST (or pip's trusted-host)"
        if goes == "http"
        else None,
        objects={"url": masked(target), "source": masked(source)},
    )


def check_file_name(name: str) -> None:
    """Raise `UnsafeInputError` (`path-escape`) unless `name` is one plain path component, also when decoded again."""
    decoded = name
    for _ in range(4):
        if not decoded or decoded in {".", ".."} or re.search(r"[/\\\x00-\x1f\x7f]", decoded):
            raise UnsafeInputError("path-escape", f"not a plain file name: {name!r}", objects={"name": name})
        if (again := unquote(decoded)) == decoded:
            break
        decoded = again
    if len(os.fsencode(name)) > _MAX_COMPONENT:
        raise UnsafeInputError("limit-name", f"a file name of {len(name)} characters: {name[:60]!r}…")


class Credentials:
    """What was typed in URLs: users and passwords, each for one scheme, host and port. For many threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str, int], dict[str, tuple[str, str]]] = {}

    def learn(self, url: str) -> str:
        """Remember the credentials in `url`, if there are any, and return it without them. Raises `ValueError`."""
        plain, typed = split_credentials(url)
        if typed is not None:
            with self._lock:
                self._known.setdefault(origin(plain), {})[plain] = typed
        return plain

    def find(self, url: str) -> tuple[str, str] | None:
        """Those typed for the URL's host; of several, those whose URL has the longest beginning in common with it."""
        with self._lock:
            known = self._known.get(origin(url), {})
            best = max(known, key=lambda typed: len(posixpath.commonpath([typed, url])), default=None)
            return None if best is None else known[best]

"""URLs and local paths: what they refer to, and which links between them are allowed."""

from __future__ import annotations

import os
import re
from urllib.parse import SplitResult, unquote, urlsplit

from bridge.errors import UnsafeInputError
from bridge.secrets import masked
from converters.deferred import regex

__all__ = ["check_file_name", "check_link", "file_name", "is_trusted", "local_path"]

_NEAR_HOST = regex(r"(?:127\.|0\.0\.0\.0\Z|169\.254\.|::1\Z|::\Z|::ffff:127\.|fe80:)")
_PORTS = {"http": 80, "https": 443}
_MAX_COMPONENT = 255  # bytes


def local_path(location: str) -> str | None:
    """The path of a `file:` URL or a path; `None` for any other URL.

    Raises `UnsafeInputError` (`url-refused`) for a `file:` URL with another host.
    """
    parts = urlsplit(location)
    if parts.scheme == "file":
        if parts.netloc not in {"", "localhost"}:
            raise UnsafeInputError("url-refused", f"a file: URL that names a host: {masked(location)}")
        return unquote(parts.path)
    # One letter before the colon is a drive.
    return location if len(parts.scheme) <= 1 and not location.startswith("//") else None


def file_name(url: str) -> str:
    """The last segment of the URL's path, percent-decoded once."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def is_trusted(url: str, hosts: tuple[str, ...]) -> bool:
    """Whether `hosts` (`HOST` or `HOST:PORT`, as pip's `trusted-host`) has the URL's host: trusted without TLS."""
    parts: SplitResult = urlsplit(url)
    host = parts.hostname or ""
    return any(entry.lower() in {host, f"{host}:{parts.port}"} for entry in hosts)


def check_link(source: str, target: str, trusted_hosts: tuple[str, ...]) -> None:
    """Raise `UnsafeInputError` (`url-refused`) if a page or redirect at `source` may not link to `target`.

    A network source may link only to the network, and a TLS source only to TLS unless the target's host is trusted.
    """
    was, goes = urlsplit(source).scheme, urlsplit(target).scheme
    if was not in _PORTS:
        if goes in {*_PORTS, "file"}:
            return
        reason = f"bridge does not fetch by the scheme {goes!r}"
    elif goes not in _PORTS:
        reason = f"a server may not link to the scheme {goes!r}"
    elif _is_this_machine(target) and not (_is_this_machine(source) or is_trusted(target, trusted_hosts)):
        reason = "it links from another host to a loopback or link-local address"
    elif was == "https" and goes == "http" and not is_trusted(target, trusted_hosts):
        reason = "it links from https to http, where the content can be changed on the way"
    else:
        return
    raise UnsafeInputError(
        "url-refused",
        f"refused to follow a link to {masked(target)}",
        context=(f"from: {masked(source)}", reason),
        hint="if you trust that host, list it in BRIDGE_TRUSTED_HOST (or pip's trusted-host)"
        if goes == "http"
        else None,
        objects={"url": masked(target), "source": masked(source)},
    )


def _is_this_machine(url: str) -> bool:
    """Whether a URL names a loopback or link-local host literally; names are not resolved."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    return host == "localhost" or host.endswith(".localhost") or _NEAR_HOST.match(host) is not None


def check_file_name(name: str) -> None:
    """Raise `UnsafeInputError` (`path-escape`) unless `name` is one plain path component, however often decoded."""
    decoded = name
    for _ in range(4):
        if not decoded or decoded in {".", ".."} or re.search(r"[/\\\x00-\x1f\x7f]", decoded):
            raise UnsafeInputError("path-escape", f"not a plain file name: {name!r}", objects={"name": name})
        if (again := unquote(decoded)) == decoded:
            break
        decoded = again
    if len(os.fsencode(name)) > _MAX_COMPONENT:
        raise UnsafeInputError("limit-name", f"a file name of {len(name)} characters: {name[:60]!r}…")

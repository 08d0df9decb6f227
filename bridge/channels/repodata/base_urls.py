"""URLs and file names in repodata: `base_url` (CEP 15) and the packages' names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import urljoin

from bridge.errors import UnsafeInputError
from bridge.fetch.urls import check_file_name, check_link
from bridge.secrets import SECRETS, masked, origin
from converters.deferred import regex

__all__ = ["check_base", "check_bases", "invalid", "is_plain"]

_PLAIN = regex(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]{0,200}\Z", re.ASCII)  # no `%`: nothing to decode
_BASE = regex(rb'"base_url"\s*:\s*("(?:[^"\\]|\\.){0,4096}")')


def check_base(given: object, url: str, trusted_hosts: tuple[str, ...]) -> str:
    """Return the `base_url` of a document at `url` (CEP 15), absolute, with a trailing slash.

    Raises `UnsafeInputError`: `url-refused` for a forbidden target, `repodata-invalid` for an invalid URL.
    """
    if given is not None and not isinstance(given, str):
        raise invalid(url, "its base_url is not a string")
    try:
        base = urljoin(url, given or "./").partition("#")[0]
        if "://" in url and not url.startswith("file:"):
            check_link(url, base, trusted_hosts)
            origin(base)
    except ValueError as error:
        raise invalid(url, f"its base_url is not a URL: {error}") from error
    path, question, query = base.partition("?")
    return f"{path.rstrip('/')}/{question}{query}"


def check_bases(path: Path, url: str, trusted_hosts: tuple[str, ...]) -> None:
    """Check each `base_url` in a repodata file from `url` before rattler, which panics on some, reads it.

    Raises `UnsafeInputError` (`url-refused`, `repodata-invalid`).
    """
    import mmap  # noqa: PLC0415 - small directories are not read by rattler

    with open(path, "rb") as stream:
        if stream.seek(0, 2) == 0:
            return
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
            for match in _BASE.finditer(view):
                try:
                    given = json.loads(match[1])
                except ValueError:
                    continue  # rattler reports what is wrong with the file
                check_base(given, SECRETS.address(url).full if "://" in url else url, trusted_hosts)


def is_plain(filename: str) -> bool:
    """Whether a file name is one plain path component."""
    if _PLAIN.match(filename):
        return True
    try:
        check_file_name(filename)
    except UnsafeInputError:
        return False
    return True


def invalid(url: str, reason: str) -> UnsafeInputError:
    """The error for unreadable repodata."""
    message = f"the channel's repodata cannot be read: {masked(url)}"
    return UnsafeInputError("repodata-invalid", message, context=(reason[:300],))

"""URLs and paths of options, without the secrets in the URLs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bridge.secrets import SECRETS, masked
from converters.deferred import regex

if TYPE_CHECKING:
    from bridge.config.lookup import Lookup

__all__ = ["public_locations"]

_SCHEME = regex(r"[A-Za-z][A-Za-z0-9+.-]+:")


def public_locations(ask: Lookup, key: str, urls: Iterable[str]) -> tuple[str, ...]:
    """Return the values of an option without secrets, which `bridge.secrets` keeps for requests.

    Raises `UsageError` (`option-value`) for a malformed URL.
    """
    locations = []
    for url in urls:
        try:
            if "://" in url or (key != "channel" and _SCHEME.match(url) and not os.path.exists(url)):
                url = SECRETS.learn(url)  # noqa: PLW2901 - finds passwords that make a URL malformed
                _check_place(url)
                SECRETS.add_place(url)
            locations.append(url)
        except ValueError as error:
            raise ask.wrong(key, masked(url), f"a URL: {error}") from error
    return tuple(locations)


def _check_place(url: str) -> None:
    """Raise `ValueError` for a URL without a host or with an invalid port."""
    parts = urlsplit(url)
    if parts.scheme != "file" and not parts.hostname:
        raise ValueError("it has no host")
    try:
        _ = parts.port  # The property validates.
    except ValueError:
        raise ValueError("its port is invalid") from None  # The text may contain part of a password.

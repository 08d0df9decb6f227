"""Which channels texts name: origins, which are URLs, and the built-in `host`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from bridge.config.channel_names import VENDOR_PATH, ChannelNames, is_path
from bridge.errors import UsageError
from bridge.secrets import SECRETS, masked, origin
from converters.deferred import regex

__all__ = ["HOST", "channel_url", "local", "located", "origins_of"]

HOST = "host"
"""The channel of the interpreter that runs bridge; the origin of its records, since its directory may move."""

# URLs that rattler returns as they are, but for slashes at the end.
_PLAIN = regex(
    r"(?:https?://(?:(?:[a-z0-9]+\.)+[a-z]+|127\.0\.0\.1)(?::[1-9]\d{3})?|file://(?=/))"
    r"(?:/[A-Za-z0-9_-][A-Za-z0-9._~-]*)*/*"
)


def located(texts: Iterable[str], names: ChannelNames, subdir: str) -> dict[str, str]:
    """Return the channels that texts name: origin → text, in order. `host` is its own origin, all others are URLs.

    Raises `UsageError` (`invalid-channel`).
    """
    locations: dict[str, str] = {}
    for text in texts:
        for place in names.expand(SECRETS.kept_public(text), subdir):
            shown = SECRETS.kept_public(place)
            locations.setdefault(HOST if place == HOST else channel_url(shown), shown)
    _check_allowed(locations, names, subdir)
    return locations


def origins_of(text: str, names: ChannelNames, subdir: str) -> tuple[str, ...]:
    """Return the origins of the channels that a name means; `()` if it means none. Nothing forbids one here."""
    return tuple(HOST if place == HOST else channel_url(place) for place in names.expand(text, subdir))


def local(texts: Iterable[str], names: ChannelNames) -> list[str]:
    """Return the URLs of those channels that are directories; the other texts are not checked."""
    places = [SECRETS.kept_public(place) for text in texts for place in names.expand(text)]
    kept = [place for place in places if place != HOST and (_is_directory(place) or place.startswith("file:"))]
    return list(dict.fromkeys(map(channel_url, kept)))


def _is_directory(text: str) -> bool:
    return is_path(text) or Path(text).is_dir()


def _check_allowed(places: Mapping[str, str], names: ChannelNames, subdir: str) -> None:
    """Raise `UsageError` (`channel-denied`) for a channel that conda is configured not to use."""
    allowed, denied = (
        {channel_url(place) for text in texts for place in names.expand(text, subdir)}
        for texts in (names.allowed, names.denied)
    )
    for place, text in places.items():
        if place != HOST and (place in denied or (allowed and place not in allowed)):
            raise UsageError(
                "channel-denied",
                f"conda's configuration does not allow the channel {masked(text)}",
                context=(f"its URL is {masked(place)}",),
                hint="see allowlist_channels and denylist_channels in the .condarc files",
            )


def channel_url(text: str) -> str:
    """Return the URL of a channel given by name, URL or directory. Raises `UsageError` (`invalid-channel`).

    A plain name is below rattler's default alias; names of conda's vendor (`pkgs/main`) are on the vendor's own host.
    """
    if not text.strip():
        raise UsageError("invalid-channel", "a channel without a name", hint="see -c in: bridge resolve --help")
    if _is_directory(text):
        return Path(text).expanduser().resolve().as_uri()
    if _PLAIN.fullmatch(text):
        return text.rstrip("/")

    def invalid(reason: str) -> UsageError:
        return UsageError("invalid-channel", f"not a channel: {masked(text)!r}", context=(reason,))

    if "://" in text:
        try:
            origin(text) if not text.startswith("file:") else None
        except ValueError as error:
            raise invalid(str(error)) from error
    from bridge.channels._rattler import base_url  # noqa: PLC0415 - rattler is slow to import

    url = base_url(text, invalid)
    return _on_vendor_host(url, text) if text.startswith(VENDOR_PATH) else url


def _on_vendor_host(url: str, name: str) -> str:
    """Return the URL of a vendor's channel: its host is `repo` below the commercial domain of the alias's owner."""
    owner = (urlsplit(url).hostname or "").split(".")[-2]
    return f"https://repo.{owner}.com/{name}"

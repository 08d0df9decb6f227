"""Names of conda channels, expanded as conda's configuration says (`conda.models.channel`, conda's documentation of
`channel_alias`, `custom_channels`, `custom_multichannels` and `default_channels`). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import field

from converters.deferred import dataclass, regex
from converters.target import SUBDIRS

__all__ = ["VENDOR_PATH", "ChannelNames", "ends_with", "is_path", "without_subdir"]

VENDOR_PATH = "pkgs/"
"""Names below it are channels of conda's vendor, on a host of their own (conda's `DEFAULT_CHANNELS`)."""

_DEFAULTS = ("pkgs/main", "pkgs/r")
_DEFAULTS_OF_WINDOWS = (*_DEFAULTS, "pkgs/msys2")
_DRIVE = regex(r"[A-Za-z]:[\\/]")
_MAX_DEPTH = 8  # multichannels that name multichannels
_SUBDIRS = frozenset((*SUBDIRS, "noarch"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelNames:
    """What the names of channels mean.

    :param alias: the URL below which a plain name is looked up; `None`: the default of the client's library.
    :param custom: the first parts of a name → the URL below which that name is.
    :param multi: names that stand for several channels. `defaults`: those of the name `defaults`, if configured.
    :param local: the URLs of the directories where conda-build puts packages, for the name `local`.
    :param host: the URL of the folder where the packages of `host` are kept; their URLs name it.
    :param allowed: the only channels that may be used, if any are named. `denied`: channels that may not.
    """

    alias: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)
    multi: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    defaults: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    host: str | None = None
    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()

    def expand(self, text: str, subdir: str = "") -> tuple[str, ...]:
        """Return the channels that a text names: URLs, paths, and plain names that no setting changes.

        `()` for a name of several channels of which there is none (`local` without a directory of packages).

        :param subdir: the target's; `defaults` has one more channel on Windows.
        """
        return tuple(dict.fromkeys(self._expanded(text, subdir, 0)))

    def _expanded(self, text: str, subdir: str, depth: int) -> Iterator[str]:
        name = text.strip().rstrip("/") or text
        group = self._group(name, subdir) if depth < _MAX_DEPTH else None
        if group is not None:
            for each in group:
                # An entry that repeats the name is a channel of that name.
                yield from (self._place(each),) if each == name else self._expanded(each, subdir, depth + 1)
        else:
            yield self._place(name)

    def _group(self, name: str, subdir: str) -> tuple[str, ...] | None:
        if name in self.multi:
            return self.multi[name]
        if name == "defaults":
            return self.defaults or (_DEFAULTS_OF_WINDOWS if subdir.startswith("win-") else _DEFAULTS)
        return self.local if name == "local" else None

    def _place(self, name: str) -> str:
        if "://" in name:
            channel = without_subdir(name)
            return "host" if channel == self.host else channel
        if is_path(name):
            return name
        first = name
        while first:
            if first in self.custom:
                return f"{self.custom[first].rstrip('/')}/{name}"
            first = first.rpartition("/")[0]
        for url in self.defaults:  # conda knows the default channels by the ends of their URLs
            if url.rstrip("/").endswith(f"/{name}") and name.startswith(VENDOR_PATH):
                return url.rstrip("/")
        if self.alias is None or name == "host" or name.startswith(VENDOR_PATH):
            return name
        return f"{self.alias.rstrip('/')}/{name}"


def is_path(text: str) -> bool:
    """Whether a text is written as a path, and not as the name of a channel."""
    return (
        text.startswith(("./", "../", "/", "~")) or text in {".", ".."} or re.match(r"[A-Za-z]:[\\/]", text) is not None
    )


def without_subdir(url: str) -> str:
    """Return the URL of a channel without the platform at its end."""
    channel, _, last = url.rstrip("/").rpartition("/")
    return channel.rstrip("/") if last in _SUBDIRS else url.rstrip("/")


def ends_with(origin: str, channel: str) -> bool:
    """Whether a channel's URL is `channel`, or ends with it: `conda-forge`, `owner/label/name`."""
    return f"/{origin.rstrip('/')}".endswith(f"/{channel.rstrip('/')}")

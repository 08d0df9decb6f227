"""Find the channel of a conda-meta record. Pure.

conda and micromamba 1 write the channel's URL with the record's subdir (`CHANNEL/linux-64`, `CHANNEL/noarch`), mamba 2,
rattler and pixi without it, some of them with a slash at the end; conda 4.2 and older wrote a name and, as `schannel`,
another. If only a name is known, the package's URL identifies the channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from bridge.model import UNKNOWN_CHANNEL, Installed
from converters.deferred import regex

__all__ = ["channel_of", "channels_of", "is_channel", "place_of", "subdir_of"]

_SUBDIR = regex(
    r"(?:noarch|(?:linux|osx|win|freebsd|openbsd|netbsd|emscripten|wasi|zos)-"
    r"(?:32|64|aarch64|armv6l|armv7l|arm64|ppc64|ppc64le|riscv32|riscv64|s390x|wasm32|z))\Z"
)
_UNKNOWN = frozenset({"", UNKNOWN_CHANNEL, "unknown", "None"})  # conda's values for a package without a channel
_OURS = "host"
_OUR_BUILDS = regex(r"host_[0-9a-f]{8}_0_cp\d+t?\Z|0_cp\d+t?\Z")
_NAME = regex(r"[A-Za-z0-9_][\w.-]*(?:/[\w.-]+)*\Z", re.ASCII)
NO_CHANNELS = frozenset({"pypi", "local", "defaults"})  # names of something else, or of several channels


def channel_of(document: Mapping[str, object]) -> str:
    """The URL of the record's channel without a subdir, else its name; empty if the record has neither.

    A package that bridge fetched outside channels has none, whatever its URL looks like: other clients know the channel
    of a URL on a server.
    """
    if _text(document, "channel") == UNKNOWN_CHANNEL and _text(document, "url").startswith("http"):
        return ""
    written = next((text for key in ("channel", "schannel") if (text := _text(document, key)) not in _UNKNOWN), "")
    if "://" not in written and written != _OURS:
        parent, _, subdir = _parent(document).rpartition("/")
        if "://" in parent and _SUBDIR.match(subdir):
            return parent
    channel, _, subdir = written.rpartition("/")
    channel = channel.rstrip("/") if channel and _SUBDIR.match(subdir) else written
    return _OURS if _is_old_host(channel, document) else channel


def _is_old_host(channel: str, document: Mapping[str, object]) -> bool:
    """Whether the channel is the directory of `host` in a cache, which bridge recorded before it recorded the name."""
    is_there = channel.startswith("file:") and channel.endswith(f"/{_OURS}")
    is_ours = _text(document, "name") in {"python", "python_abi"} and _OUR_BUILDS.match(_text(document, "build"))
    return is_there and bool(is_ours)


def place_of(url: str, subdir: str) -> tuple[str, str]:
    """Return (channel, subdir) by the URL of a package; of one in no channel conda's word for that, and `subdir`."""
    channel, _, last = url.partition("#")[0].rpartition("/")[0].rpartition("/")
    return (channel, last) if _SUBDIR.match(last) else (UNKNOWN_CHANNEL, subdir)


def is_channel(origin: str) -> bool:
    """Whether a record's origin identifies one channel, by URL or by name."""
    return "://" in origin or (_NAME.match(origin) is not None and origin not in NO_CHANNELS)


def subdir_of(document: Mapping[str, object]) -> str | None:
    """The record's subdir, else that of its URL or its channel; `None` if there is none."""
    texts = (_text(document, "subdir"), _parent(document), _text(document, "channel"))
    ends = [text.rpartition("/")[2] for text in texts]
    return ends[0] or next((end for end in ends[1:] if _SUBDIR.match(end)), None)


def _parent(document: Mapping[str, object]) -> str:
    return _text(document, "url").partition("#")[0].rpartition("/")[0]


def _text(document: Mapping[str, object], key: str) -> str:
    value = document.get(key)
    return value.rstrip("/") if isinstance(value, str) else ""


def channels_of(packages: Iterable[Installed]) -> tuple[str, ...]:
    """The channels that installed packages came from: the ones of most packages first, `host` last."""
    counted: dict[str, int] = {}
    for each in packages:
        origin = each.record.origin
        if (each.record.ecosystem == "conda" or each.record.is_of_channel) and is_channel(origin):
            counted[origin] = counted.get(origin, 0) + 1
    return tuple(sorted(counted, key=lambda origin: (origin == "host", -counted[origin], origin)))

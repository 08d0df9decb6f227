"""Where packages come from, as a policy names it: channels, indexes and folders. Pure, but for symbolic links."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bridge.config.channel_names import is_path, without_subdir
from converters.deferred import dataclass, replace

__all__ = ["Place", "normal_place"]

_PORTS = {"https": 443, "http": 80}
_LEAVES = re.compile(r"(?:^|/)(?:\.|%2e){2}(?:/|$)|\\", re.IGNORECASE)  # a path that may lead elsewhere
_PARTS = re.compile(r"[?#].*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A channel, an index or a folder of a policy.

    :param text: as written. `urls`: its normalised URLs, and those of the channels that it names.
    """

    text: str
    urls: tuple[str, ...]

    @classmethod
    def of(cls, text: str, folder: Path, default_index: Callable[[], str]) -> Place:
        """Read a place; paths start from `folder`, and `pypi` is the default index. Raises `ValueError`."""
        text = text.strip()
        if not text or any(character.isspace() for character in text):
            raise ValueError(f"{text!r} is not a channel, an index or a folder")
        if is_path(text):
            return cls(text=text, urls=(normal_place(os.path.abspath(folder / os.path.expanduser(text))),))
        if text == "pypi":
            return cls(text=text, urls=(normal_place(default_index()),))
        return cls(text=text, urls=(normal_place(text),))

    @property
    def is_name(self) -> bool:
        """Whether it is the name of a channel, which configuration may give a meaning."""
        return "://" not in self.text and not is_path(self.text) and self.text not in {"host", "pypi"}

    def located(self, expand: Callable[[str], Iterable[str]]) -> Place:
        """Return the place with the URLs of the channels that its name means."""
        if not self.is_name:
            return self
        return replace(self, urls=tuple(dict.fromkeys((*self.urls, *map(normal_place, expand(self.text))))))

    def has(self, url: str) -> bool:
        """Return whether a normalised URL is this place, or below it."""
        for own in self.urls:
            if url == own:
                return True
            if url.startswith(f"{own}/") and "://" in own and not _LEAVES.search(url[len(own) :]):
                return True
        return False


def normal_place(text: str) -> str:
    """Return a URL, path or name for comparison: without credentials, query, platform, default port and end slash."""
    if is_path(text) or text.startswith("file:"):
        path = unquote(urlsplit(text).path) if text.startswith("file:") else os.path.expanduser(text)
        return without_subdir(Path(os.path.realpath(path)).as_uri())
    if "://" not in text:
        return text.rstrip("/")
    text = _PARTS.sub("", text).removeprefix("git+")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return text
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    suffix = "" if port is None or port == _PORTS.get(parts.scheme) else f":{port}"
    return without_subdir(f"{parts.scheme}://{host}{suffix}{parts.path}").rstrip("/")

"""Make foreign texts and long lists fit for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bridge.secrets import masked

__all__ = ["few", "safe", "short", "size"]


def short(origin: str) -> str:
    """The name of a channel or the host of an index; `--json` has the whole URL."""
    url = masked(origin).rstrip("/")
    last = url.rsplit("/", 1)[-1]
    return urlsplit(url).netloc or url if last == "simple" else last


def few(items: Sequence[str], most: int = 3) -> str:
    """The first `most` items and the number of the others."""
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def safe(text: str) -> str:
    """Escape markup, control characters and direction characters in foreign text."""
    text = masked(text)
    shown = "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)
    from rich.markup import escape

    return escape(shown)


def size(count: int) -> str:
    """A number of bytes in decimal units: `1.2 MB`."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"

"""Texts of strangers and long lists, made fit for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from bridge.secrets import masked

__all__ = ["few", "safe", "short"]


def short(origin: str) -> str:
    """A channel by its name, an index by its host: the whole URL is in the document of `--json`."""
    url = masked(origin).rstrip("/")
    last = url.rsplit("/", 1)[-1]
    return urlsplit(url).netloc or url if last == "simple" else last


def few(items: Sequence[str], most: int = 3) -> str:
    """The first `most` items, and how many there are besides."""
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def safe(text: str) -> str:
    """Foreign text for a terminal: markup escaped, control and direction characters shown as escapes (W19)."""
    text = masked(text)
    shown = "".join(char if char.isprintable() or char == "\n" else f"\\x{ord(char):02x}" for char in text)
    from rich.markup import escape

    return escape(shown)

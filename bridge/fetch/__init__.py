"""HTTP for indexes, channels and artifacts. `Client` brings the HTTP library, and comes with its first mention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.lazy import lazily

if TYPE_CHECKING:
    from bridge.fetch.answers import Progress
    from bridge.fetch.client import Client, Page

__all__ = ["Client", "Page", "Progress"]

__getattr__ = lazily(__name__, {"Client": ".client", "Page": ".client", "Progress": ".answers"})

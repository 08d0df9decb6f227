"""Pages and artifacts of indexes and channels: `client` is what others use, `wire` speaks HTTP.

The client comes with its first mention, and the HTTP library with the first URL that is no local one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.lazy import lazily

if TYPE_CHECKING:
    from bridge.fetch.answers import Page, Progress
    from bridge.fetch.client import Client

__all__ = ["Client", "Page", "Progress"]

__getattr__ = lazily(__name__, {"Client": ".client", "Page": ".answers", "Progress": ".answers"})

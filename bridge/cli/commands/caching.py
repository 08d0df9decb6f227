"""`bridge cache`."""

from __future__ import annotations

import time

from bridge.cache import prune as caches
from bridge.config import Settings, parse_cutoff
from bridge.errors import UsageError

__all__ = ["cache"]


def cache(
    settings: Settings, *, verifies: bool = False, prunes: bool = False, older_than: str = ""
) -> caches.Inspection:
    """Inspect the caches; with `prunes`, remove old and damaged entries first.

    Raises `UsageError` (`option-value`) for an invalid duration, and what `caches.prune` raises.
    """
    if not prunes:
        return caches.inspect(settings.cache_dir, verifies=verifies)
    now = time.time()
    try:
        before = parse_cutoff(older_than, now) / 1000
    except ValueError as error:
        raise UsageError("option-value", f"--older-than: {older_than!r} is not {error}") from error
    return caches.prune(settings.cache_dir, before=before, now=now)

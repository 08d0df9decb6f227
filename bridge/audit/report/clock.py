"""The time that the page and the bills of materials state."""

from __future__ import annotations

import os
from datetime import datetime, timezone

from bridge.errors import UsageError
from bridge.transaction.journal import now

__all__ = ["stated_time"]


def stated_time() -> datetime:
    """Return the time that the document states: `SOURCE_DATE_EPOCH` (reproducible builds) if it is set, else `now`."""
    text = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return datetime.fromtimestamp(int(text) if text else now(), timezone.utc)
    except (ValueError, OverflowError, OSError):
        message = f"SOURCE_DATE_EPOCH is {text!r}, and must be a number of seconds since 1970"
        hint = "unset it, or set it as in: export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)"
        raise UsageError("clock-invalid", message, hint=hint) from None

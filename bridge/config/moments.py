"""Parse points in time: RFC 3339 date-times, dates, durations before now."""

from __future__ import annotations

import re

from converters.deferred import regex

__all__ = ["parse_cutoff", "parse_timestamp"]

_TIMESTAMP = regex(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:([Zz])|([+-]\d\d:\d\d))\Z", re.ASCII)
_DATE = regex(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_UNITS = {"s": 1, "sec": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hr": 3600, "hour": 3600}
_UNITS |= {"d": 86400, "day": 86400, "w": 604800, "week": 604800}
_AMOUNT = regex(r"\s*(\d{1,9})\s*([a-z]+)\s*,?", re.ASCII)
_ISO_DURATION = regex(
    r"P(?=.)(?:(\d{1,9})W)?(?:(\d{1,9})D)?(?:T(?=.)(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})S)?)?\Z", re.ASCII
)


def parse_timestamp(text: str) -> int:
    """An RFC 3339 date-time as milliseconds since the epoch, truncated. Raises `ValueError`."""
    from datetime import datetime  # noqa: PLC0415 - 2 ms, and few settings name a moment

    match = _TIMESTAMP.match(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 date-time: {text!r}")
    date, clock, fraction, _, offset = match.groups()
    moment = datetime.fromisoformat(f"{date}T{clock}{offset or '+00:00'}")
    return int(moment.timestamp()) * 1000 + int((fraction or "0")[:3].ljust(3, "0"))


def parse_cutoff(text: str, now: float) -> int:
    """The value of `--exclude-newer` as milliseconds since the epoch.

    A date-time follows RFC 3339. A date is the start of that day in UTC, as in pixi (uv: the end of the local day). A
    duration (`7d`, `2 weeks`, `1 day 12 hours`, `P7D`) counts back from `now` (seconds since the epoch); a day has 24
    hours and, as in uv, there are no months or years. Raises `ValueError` with what was expected.
    """
    text = text.strip()
    try:
        if _DATE.match(text):
            return parse_timestamp(f"{text}T00:00:00Z")
        if text[:4].isdigit() and text[4:5] == "-":
            return parse_timestamp(text)
    except (ValueError, OverflowError):
        raise ValueError("a date, or a date-time with its offset, as in 2026-01-31T12:00:00Z") from None
    seconds = _duration(text)
    if seconds is None:
        raise ValueError("a date (2026-01-31), a date-time (2026-01-31T12:00:00Z) or a duration (7d, 2 weeks, P7D)")
    return int(now * 1000) - seconds * 1000


def _duration(text: str) -> int | None:
    """Seconds; `None` where the text is no duration."""
    if match := _ISO_DURATION.match(text.upper()):
        return sum(
            int(part or 0) * unit for part, unit in zip(match.groups(), (604800, 86400, 3600, 60, 1), strict=True)
        )
    total, position = 0, 0
    text = text.lower()
    while position < len(text):
        amount = _AMOUNT.match(text, position)
        unit = _UNITS.get(amount[2]) or _UNITS.get(amount[2].removesuffix("s")) if amount else None
        if amount is None or unit is None:
            return None
        total += int(amount[1]) * unit
        position = amount.end()
    return total if text else None

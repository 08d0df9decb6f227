"""The name in the text of a requirement, without parsing the rest: for texts that are read by the hundred thousand."""

from __future__ import annotations

from functools import lru_cache

from converters.deferred import regex

__all__ = ["name_of"]

_NAME = regex(r"\s*(?:[^\s\[]*::)?([^\s=<>!~\[;(@]*)")


@lru_cache(maxsize=1 << 18)
def name_of(text: str) -> str:
    """Return the name in a MatchSpec or PEP 508 text as it is written, without a channel before it; `""` for none."""
    match = _NAME.match(text)
    return match[1] if match else ""

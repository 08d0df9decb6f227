"""JSON from untrusted sources: what two parsers could read differently is refused (RFC 8259, I-JSON in RFC 7493)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

from bridge.errors import UnsafeInputError

__all__ = ["MAX_DEPTH", "parse_json"]

MAX_DEPTH = 64
_CONTAINERS = (dict, list)


def parse_json(data: bytes, source: str) -> object:
    """Parse a JSON document; `source` names it in errors.

    Raises `UnsafeInputError`: `json-invalid` for invalid JSON or UTF-8, a duplicate key in an object, NaN or an
    infinity, or trailing data; `limit-size` if it is nested more than 64 deep.
    """
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_constant)
    except RecursionError:
        raise _too_deep(source) from None
    except ValueError as error:  # also invalid UTF-8, and numbers with more digits than python converts
        raise UnsafeInputError("json-invalid", f"not valid JSON: {source}", context=(str(error)[:300],)) from error
    if _depth_exceeds(document, MAX_DEPTH):
        raise _too_deep(source)
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"duplicate key {twice[:100]!r} in one object")
    return members


def _constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")


def _depth_exceeds(document: object, limit: int) -> bool:
    """Return whether containers are nested more than `limit` deep; level by level, without recursion."""
    level = [document] if type(document) in _CONTAINERS else []
    for _ in range(limit):
        level = [part for value in level for part in _parts(value) if type(part) in _CONTAINERS]
        if not level:
            return False
    return bool(level)


def _parts(value: object) -> Iterable[object]:
    return value.values() if type(value) is dict else cast("list[object]", value)


def _too_deep(source: str) -> UnsafeInputError:
    return UnsafeInputError("limit-size", f"nested more than {MAX_DEPTH} deep: {source}")

"""JSON from strangers: what two readers could read differently is refused (RFC 8259, I-JSON in RFC 7493)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import cast

from bridge.errors import UnsafeInputError

__all__ = ["MAX_DEPTH", "parse_json"]

MAX_DEPTH = 64
_CONTAINERS = (dict, list)  # what `json` makes of them, and nothing else


def parse_json(data: bytes, source: str) -> object:
    """Parse a JSON document; `source` names it in errors.

    Raises `UnsafeInputError`: `json-invalid` for what is no JSON, is not UTF-8, has a key twice in one object, NaN or
    an infinity, or something after its end; `limit-size` where it is nested more than 64 deep.
    """
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_constant)
    except RecursionError:
        raise _too_deep(source) from None
    except ValueError as error:  # also what cannot be decoded, and numbers beyond what Python converts
        raise UnsafeInputError("json-invalid", f"not valid JSON: {source}", context=(str(error)[:300],)) from error
    if _depth_exceeds(document, MAX_DEPTH):
        raise _too_deep(source)
    return document


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:100]!r} stands twice in one object")
    return found


def _constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON number")


def _depth_exceeds(document: object, limit: int) -> bool:
    """Whether containers are nested more than `limit` deep; level by level, without recursion."""
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

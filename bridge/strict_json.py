"""JSON from strangers: what two readers could read differently is refused (RFC 8259, I-JSON in RFC 7493)."""

from __future__ import annotations

import json

from bridge.errors import UnsafeInputError

__all__ = ["MAX_DEPTH", "parse_json"]

MAX_DEPTH = 64
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


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
    if _may_be_deep(data) and _depth_exceeds(document, MAX_DEPTH):
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


def _may_be_deep(data: bytes) -> bool:
    """Whether brackets, those in strings included, could be nested more than `MAX_DEPTH` deep; `False` is certain.

    Each round takes at least one level away, so that nearly every document is judged without looking at its values.
    """
    rest = data.translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        rest = rest.replace(b"{}", b"").replace(b"[]", b"")
        if not rest:
            return False
    return True


def _depth_exceeds(document: object, limit: int) -> bool:
    """Whether containers are nested more than `limit` deep; level by level, without recursion."""
    level = [document]
    for _ in range(limit + 1):
        inner: list[object] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(part for part in value.values() if isinstance(part, (dict, list)))
            elif isinstance(value, list):
                inner.extend(part for part in value if isinstance(part, (dict, list)))
        if not inner:
            return False
        level = inner
    return True


def _too_deep(source: str) -> UnsafeInputError:
    return UnsafeInputError("limit-size", f"nested more than {MAX_DEPTH} deep: {source}")

"""JSON from an archive, parsed strictly (RFC 8259) and bounded in depth and number of values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from bridge.archive.limits import Limits
from bridge.archive.refusal import refused

__all__ = ["parse_object"]

_VALUES_PER_ENTRY = 20  # a path entry of paths.json has at most nine values
_LONGEST_NUMBER = 40  # digits; int() takes quadratic time


def parse_object(data: bytes, archive: str, member: str, limits: Limits) -> Mapping[str, object]:
    """Parse a JSON object.

    Raises `UnsafeInputError`: `conda-layout` (not UTF-8, not JSON, NaN, a duplicate key, not an object), `limit-size`.
    """
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    if values > _VALUES_PER_ENTRY * limits.entries:
        raise refused("limit-size", archive, f"JSON with {values} values", member=member)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_int=_bounded_int,
            parse_float=_bounded_float,
        )
        _check_depth(value, limits.json_depth)
    except RecursionError as error:
        problem = f"JSON nested more than {limits.json_depth} deep"
        raise refused("limit-size", archive, problem, member=member) from error
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise refused("conda-layout", archive, f"not JSON: {error}", member=member) from error
    if not isinstance(value, dict):
        raise refused("conda-layout", archive, "not a JSON object", member=member)
    return value


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a duplicate key")
    return document


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")


def _bounded_int(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number with too many digits")
    return int(text)


def _bounded_float(text: str) -> float:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("a number with too many digits")
    return float(text)


def _check_depth(value: object, depth: int) -> None:
    """Raise `RecursionError` for containers nested more than `depth` deep."""
    layer: Sequence[object] = [value]
    for _ in range(depth + 1):
        layer = [
            inner
            for outer in layer
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, (dict, list))
        ]
        if not layer:
            return
    raise RecursionError

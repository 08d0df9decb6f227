"""Masks with the same meaning for every variable: bit 0 is "absent", bit i+1 the i-th candidate, best first."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bridge.model import IndexFile
from converters.record import Record

__all__ = ["ABSENT", "ON", "PRESENT", "mask_of", "meeting"]

ABSENT = 1
PRESENT = -2  # every bit except "absent", for any number of candidates
ON = 2  # the single candidate of an extra


def mask_of(holds: Iterable[bool]) -> int:
    """Return the bits of the candidates for which a condition holds."""
    return sum(2 << position for position, is_met in enumerate(holds) if is_met)


def meeting(candidates: Iterable[Record | IndexFile], accepts: Callable[[str], bool]) -> int:
    """Return the bits of the candidates with an accepted version; each distinct version is matched once."""
    verdicts: dict[str, bool] = {}
    mask = 0
    for position, candidate in enumerate(candidates):
        version = candidate.version
        verdict = verdicts.get(version)
        if verdict is None:
            verdict = verdicts[version] = accepts(version)
        if verdict:
            mask |= 2 << position
    return mask

"""What the records of one conda name state, and each MatchSpec text as a requirement, read once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from bridge.algebra import Requirement, parse_conda
from bridge.resolve.provides import is_python_text

__all__ = ["Need", "needs", "read"]


class Need(NamedTuple):
    """One text among `depends`, or among `constrains` (`is_optional`), and the bits of the records that state it."""

    text: str
    bits: int
    is_optional: bool
    is_python: bool


def needs(depends: Mapping[str, int], constrains: Mapping[str, int]) -> tuple[Need, ...]:
    """All that is stated, what the records depend on first."""
    return (
        *(Need(text, bits, False, is_python_text(text)) for text, bits in depends.items()),
        *(Need(text, bits, True, is_python_text(text)) for text, bits in constrains.items()),
    )


@lru_cache(maxsize=1 << 18)
def read(text: str) -> Requirement:
    """A record's MatchSpec as a requirement. Raises `UsageError` (`invalid-matchspec`)."""
    spec = parse_conda(text)
    return Requirement(
        text=text,
        name=spec.name,
        kind="matchspec",
        bound="conda" if spec.names_a_build else None,
        conda=spec,
    )

"""The requirements that the records of one conda name state; each MatchSpec text is parsed once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, parse_conda
from bridge.resolve.candidates.provides import is_python_text
from converters.deferred import NamedTuple

__all__ = ["Need", "needs", "plain", "read"]


class Need(NamedTuple):
    """One text of `depends`, or of `constrains` (`is_optional`), and the bits of the records that state it."""

    text: str
    bits: int
    is_optional: bool


def needs(depends: Mapping[str, int], constrains: Mapping[str, int]) -> tuple[tuple[Need, ...], tuple[Need, ...]]:
    """Return the requirements on python, and all others; in each, `depends` come before `constrains`."""
    stated = [
        *(Need(text, bits, False) for text, bits in depends.items()),
        *(Need(text, bits, True) for text, bits in constrains.items()),
    ]
    of_python = tuple(need for need in stated if is_python_text(need.text))
    return of_python, tuple(need for need in stated if not is_python_text(need.text))


@lru_cache(maxsize=1 << 18)
def plain(text: str) -> Requirement | None:
    """Return a text as a requirement; `None` if it is unreadable, conditional (CEP 43) or names a virtual package."""
    try:
        spec = parse_conda(text)
    except UsageError:
        return None
    return read(text) if spec.condition is None and not spec.name.startswith("__") else None


@lru_cache(maxsize=1 << 18)
def read(text: str) -> Requirement:
    """Return a record's MatchSpec as a requirement. Raises `UsageError` (`invalid-matchspec`)."""
    spec = parse_conda(text)
    return Requirement(
        text=text,
        name=spec.name,
        kind="matchspec",
        bound="conda" if spec.names_a_build else None,
        conda=spec,
    )

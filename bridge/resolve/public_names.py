"""What bridge ships of public names: popular projects, aliases, and projects that are seldom the one that is meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypedDict

    class _PublicNames(TypedDict):
        """What bridge ships of public names. A placeholder is a project that only refers to the one that is meant."""

        aliases: Mapping[str, Sequence[str]]  # import name or other spelling → names
        placeholders: Sequence[str]
        popular: Sequence[str]


__all__ = ["public_names", "seldom_meant"]

_SHIPPED = Path(__file__).parents[1] / "data" / "similar_names.json"


@cache
def public_names() -> _PublicNames:
    """Return the names; read once."""
    names: _PublicNames = json.loads(_SHIPPED.read_bytes())
    return names


def seldom_meant(projects: Iterable[str]) -> Iterator[str]:
    """Yield a warning for each project that only refers to the one that is meant, or is little known."""
    public = public_names()
    for project in projects:
        if project in public["placeholders"]:
            names = " or ".join(f"`{name}`" for name in public["aliases"].get(project, ()))
            yield f"{project} is seldom the project that is meant: did you mean {names}?"

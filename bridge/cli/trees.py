"""A tree of dependencies as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.audit.tree import TreeLine

__all__ = ["drawn"]

_MARKS = {False: ("│   ", "    ", "├── ", "└── "), True: ("|   ", "    ", "|-- ", "`-- ")}


def drawn(lines: Iterable[TreeLine], *, is_ascii: bool) -> Iterator[str]:
    """Draw the lines of a tree: name, version, ecosystem, and the requirement that led there."""
    through, none, branch, last = _MARKS[is_ascii]
    has_repeated = False
    for line in lines:
        *above, is_last = line.lasts or (None,)
        lead = "".join(none if each else through for each in above)
        mark = "" if is_last is None else last if is_last else branch
        row = line.row
        requires = f" [requires: {line.requires}]" if line.requires else ""
        repeated = " (*)" if line.is_repeated else ""
        has_repeated = has_repeated or line.is_repeated
        yield f"{lead}{mark}{row.name} {row.version} ({row.source}){requires}{repeated}"
    if has_repeated:
        yield "(*) shown in full above"

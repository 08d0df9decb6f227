"""A tree of dependencies as lines of text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from bridge.cli.tables import cut, width_of

if TYPE_CHECKING:
    from bridge.audit.tree import TreeLine

__all__ = ["drawn"]

_LEAST = len(" [requires: python]")
_MARKS = {False: ("│   ", "    ", "├── ", "└── "), True: ("|   ", "    ", "|-- ", "`-- ")}


def drawn(lines: Iterable[TreeLine], *, is_ascii: bool, width: int | None = None) -> Iterator[str]:
    """Draw the lines of a tree: name, version, ecosystem, and the requirement that led there.

    :param width: of the terminal; the requirement is shortened to it, the rest never.
    """
    through, none, branch, last = _MARKS[is_ascii]
    has_repeated = False
    for line in lines:
        *above, is_last = line.lasts or (None,)
        lead = "".join(none if each else through for each in above)
        mark = "" if is_last is None else last if is_last else branch
        row = line.row
        known = f"{lead}{mark}{row.name} {row.version} ({row.source})"
        repeated = " (*)" if line.is_repeated else ""
        requires = f" [requires: {line.requires}]" if line.requires else ""
        if width is not None and requires:
            requires = _shortened(requires, width - width_of(known + repeated), "~" if is_ascii else "…")
        has_repeated = has_repeated or line.is_repeated
        yield f"{known}{requires}{repeated}"
    if has_repeated:
        yield "(*) shown in full above"


def _shortened(requires: str, width: int, mark: str) -> str:
    """The requirement, shortened; nothing where not even a name would remain."""
    if width_of(requires) <= width:
        return requires
    return cut(requires[:-1], width - 1, mark) + "]" if width >= _LEAST else ""

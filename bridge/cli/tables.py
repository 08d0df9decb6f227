"""Lay out tables for a terminal of a given width. Pure.

What tells a package from another one (name, version, origin) is kept at any width and folded if it must be; other
columns are shortened, and left out where nothing readable would remain of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import zip_longest

from converters.deferred import dataclass

__all__ = ["Layout", "cut", "fit", "width_of"]

_GAP = 2  # spaces between columns
_LEAST_SHORT = 6  # a shortened column below this width says nothing
_LEAST_KEPT = 10  # below this width, the terminal wraps


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A table that fits.

    :param titles: of the columns that are left.
    :param head: the lines of the titles, as padded cells; folded cells make several lines of one row.
    :param lines: the same for the rows.
    :param omitted: the titles of the columns that did not fit.
    """

    titles: tuple[str, ...]
    head: tuple[tuple[str, ...], ...]
    lines: tuple[tuple[str, ...], ...]
    omitted: tuple[str, ...]


def width_of(text: str) -> int:
    """The columns that a terminal needs for a text: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def cut(text: str, width: int, mark: str = "…") -> str:
    """The text, shortened to `width` columns."""
    return text if width_of(text) <= width else _head(text, width - width_of(mark)) + mark


def fit(
    titles: Sequence[str], rows: Sequence[Sequence[str]], width: int, short: Collection[str] = (), mark: str = "…"
) -> Layout:
    """Lay a table out.

    :param short: titles of the columns that may be shortened, and left out from the right.
    :param mark: stands for what was cut off.
    """
    shown = [at for at, title in enumerate(titles) if title not in short or any(row[at] for row in rows)]
    natural = [max(map(width_of, (title, *(row[at] for row in rows)))) for at, title in enumerate(titles)]
    least = [min(max(len(title), _LEAST_SHORT), natural[at]) for at, title in enumerate(titles)]
    omitted: list[str] = []

    def needed(widths: Sequence[int]) -> int:
        return sum(widths[at] for at in shown) + _GAP * (len(shown) - 1)

    while True:
        widths = list(natural)
        shrinkable = [at for at in shown if titles[at] in short]
        _shrink(widths, shrinkable, least, needed(widths) - width)
        if needed(widths) <= width or not shrinkable:
            break
        shown.remove(shrinkable[-1])
        omitted.insert(0, titles[shrinkable[-1]])
    kept = [at for at in shown if titles[at] not in short and not _is_last_path(at, shown, rows)]
    hanging = sum(max(widths[at] - _LEAST_KEPT, 0) for at in shown[-1:] if at not in kept and titles[at] not in short)
    _shrink(widths, kept, [_LEAST_KEPT] * len(titles), needed(widths) - hanging - width)

    def cell(row: Sequence[str], at: int) -> list[str]:
        if titles[at] in short:
            return [cut(row[at], widths[at], mark)]
        return list(_folded(row[at], widths[at])) if at in kept else [row[at]]

    def lines(row: Sequence[str]) -> Iterator[tuple[str, ...]]:
        for parts in zip_longest(*(cell(row, at) for at in shown), fillvalue=""):
            yield tuple(_padded(part, widths[at]) for part, at in zip(parts, shown, strict=True))

    return Layout(
        titles=tuple(titles[at] for at in shown),
        head=tuple(lines(titles)),
        lines=tuple(line for row in rows for line in lines(row)),
        omitted=tuple(omitted),
    )


def _is_last_path(at: int, shown: Sequence[int], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a column has only paths up to the edge: the terminal wraps these, so that they can be copied."""
    return at == shown[-1] and bool(rows) and all(row[at].startswith("/") for row in rows)


def _shrink(widths: list[int], columns: Collection[int], least: Sequence[int], excess: int) -> None:
    """Take `excess` from the widest of the columns, as far as `least` allows."""
    while excess > 0:
        wide = [at for at in columns if widths[at] > least[at]]
        if not wide:
            return
        widths[max(wide, key=lambda at: widths[at])] -= 1
        excess -= 1


def _folded(text: str, width: int) -> Iterator[str]:
    """The lines of a cell: broken at spaces, else anywhere."""
    while width_of(text) > width:
        head = _head(text, width)
        at = len(head) if text[len(head) :].startswith(" ") else head.rfind(" ")
        at = at if at > 0 else max(len(head), 1)
        yield text[:at].rstrip()
        text = text[at:].lstrip()
    yield text


def _head(text: str, width: int) -> str:
    """The longest beginning that fits."""
    if text.isascii():
        return text[: max(width, 0)]
    end = len(text)
    while end and width_of(text[:end]) > width:
        end -= 1
    return text[:end]


def _padded(text: str, width: int) -> str:
    return text + " " * (width - width_of(text))

"""Make foreign texts and long lists fit for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from bridge.cli.tables import width_of
from bridge.errors import escaped
from bridge.secrets import masked
from converters.deferred import regex

__all__ = ["aligned", "coloured", "counted", "printable", "safe", "short", "size", "unmarked"]


_SOURCES = {"conda": "green", "wheel": "blue", "unmanaged": "yellow", "source": "blue"}
_TAG = regex(r"(\\*)(\[[a-z#/@][^\[]*?\])")  # after an odd number of backslashes it is text
_MARKS = {"+": "green", "-": "red", "=": "cyan", "~": "yellow"}


def short(origin: str) -> str:
    """The name of a channel or the host of an index; `--json` has the whole URL."""
    url = masked(origin).rstrip("/")
    last = url.rsplit("/", 1)[-1]
    return urlsplit(url).netloc or url if last == "simple" else last


def counted(count: int, noun: str) -> str:
    """A number and its noun: `1 package`, `2 packages`."""
    return f"{count} {noun}{'s' * (count != 1)}"


def printable(text: str) -> str:
    """Return foreign text as one line: line breaks, control and direction characters escaped, secrets masked."""
    return escaped(masked(text))


def safe(text: str) -> str:
    """The same for text with markup of rich, which is escaped as rich does."""
    text = _TAG.sub(r"\1\1\\\2", printable(text))
    return f"{text}\\" if text.endswith("\\") and not text.endswith("\\\\") else text


def unmarked(markup: str) -> str:
    """The text of markup, as rich prints it where nothing has a style."""
    return _TAG.sub(lambda tag: "\\" * (len(tag[1]) // 2) + (tag[2] if len(tag[1]) % 2 else ""), markup)


def coloured(title: str, cell: str) -> str:
    """A cell as markup: ecosystems and the marks of a plan have colours."""
    word, space, rest = cell.partition(" ")
    color = _SOURCES.get(word.rstrip(",")) if title == "from" else _MARKS.get(word) if not title else None
    return f"[{color}]{word}[/]{space}{safe(rest)}" if color else safe(cell)


def aligned(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines with columns of equal width, two spaces apart; wide characters count twice."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(width_of, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell + " " * (width - width_of(cell)) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def size(count: int) -> str:
    """A number of bytes in decimal units: `1.2 MB`."""
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"

"""Tell a person what a run over many wheels found, each kind once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bridge.errors import few
from converters.notes import SUMMARIES, Note

__all__ = ["warnings_of"]

_MOST_SHOWN = 20  # wheels
_MOST_DETAILS = 3  # of one wheel


def warnings_of(notes: Mapping[str, Iterable[Note]]) -> Iterator[str]:
    """Yield a warning for each kind of note. `notes`: name of a wheel → the notes of its packages."""
    notes_by_text: dict[str, dict[str, list[Note]]] = {}
    for wheel, known in notes.items():
        for note in dict.fromkeys(known):
            if note.is_warning:
                notes_by_text.setdefault(note.kind, {}).setdefault(wheel, []).append(note)
    for kind, summary in SUMMARIES.items():
        wheels = notes_by_text.get(kind, {})
        ((wheel, first), *_) = wheels.items() or [("", [])]
        if len(wheels) == 1 and len(first) == 1:
            yield f"{wheel}: {first[0].text}"
        elif wheels:
            yield f"{summary}: {few([_shown(name, each) for name, each in wheels.items()], _MOST_SHOWN)}"


def _shown(wheel: str, notes: Sequence[Note]) -> str:
    details = list(dict.fromkeys(note.detail for note in notes if note.detail))
    return f"{wheel} ({few(details, _MOST_DETAILS)})" if details else wheel

"""What each construct of a requirement file gets, as tables that the readers check their input against.

A construct is `honoured`, `refused` by name, or `ignored` (a warning: it cannot change what is installed). `describes`
marks standard metadata, such as the description of a project, which is about something else than its requirements.
The tables are the single place that says so: `docs/requirement-files.md` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from bridge.requirements.files.fields import Field
from converters.deferred import dataclass

__all__ = ["Construct", "Fate", "Section", "describes", "honoured", "ignored", "refused"]

Fate = Literal["honoured", "refused", "ignored", "describes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Construct:
    """:param note: what bridge makes of it, why it has no effect, or what to do instead."""

    fate: Fate
    note: str


def honoured(note: str) -> Construct:
    return Construct(fate="honoured", note=note)


def refused(note: str) -> Construct:
    return Construct(fate="refused", note=note)


def ignored(note: str) -> Construct:
    return Construct(fate="ignored", note=note)


def describes(note: str) -> Construct:
    return Construct(fate="describes", note=note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The keys of one mapping in a file.

    :param name: as the documentation shows it; `keys`: by their names.
    :param unknown: what other keys get: `refused` where a key may say where a package comes from, else `ignored`.
    """

    name: str
    keys: Mapping[str, Construct]
    unknown: Literal["refused", "ignored"] = "ignored"

    def check(self, field: Field, warnings: list[str]) -> Field:
        """Return a table whose keys are checked; add a warning for each key that has no effect.

        Raises `UsageError` (`requirement-file`) for a value that is no table, and for a key that is refused.
        """
        if not isinstance(field.value, dict):
            raise field.wrong("a table was expected")
        for key in field.value:
            construct = self.keys.get(key)
            fate = self.unknown if construct is None else construct.fate
            if fate == "refused":
                known = ", ".join(name for name, each in self.keys.items() if each.fate == "honoured")
                hint = f"known here: {known}" if construct is None else construct.note
                problem = "bridge does not know this key" if construct is None else "bridge does not support this"
                raise field[key].wrong(problem, hint=hint)
            if fate == "ignored":
                note = construct.note if construct is not None else "bridge does not know this key"
                warnings.append(f"{field.path}: {field[key].where} has no effect: {note}")
        return field

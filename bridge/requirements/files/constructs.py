"""What each construct of a requirement file gets, as tables that the readers check their input against.

A construct is `honoured`, `refused` by name, or `ignored` (a warning: it cannot change what is installed). `describes`
marks standard metadata, such as the description of a project, which is about something else than its requirements.
The tables are the single place that says so: `docs/requirement-files.md` shows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from bridge.requirements.files.values import wrong
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

    def check(self, value: object, path: Path, where: str, warnings: list[str]) -> Mapping[str, object]:
        """Return `value` as a mapping, its keys checked; add a warning for each key that has no effect.

        Raises `UsageError` (`requirement-file`) for a value that is no mapping, and for a key that is refused.

        :param where: the name of the section in this file; `""` for the top.
        """
        if not isinstance(value, dict):
            raise wrong(path, where or None, "a table was expected")
        for key in value:
            place = f"{where}.{key}" if where else str(key)
            construct = self.keys.get(key)
            fate = self.unknown if construct is None else construct.fate
            if fate == "refused":
                known = ", ".join(name for name, each in self.keys.items() if each.fate == "honoured")
                hint = f"known here: {known}" if construct is None else construct.note
                problem = "bridge does not know this key" if construct is None else "bridge does not support this"
                raise wrong(path, place, problem, hint=hint)
            if fate == "ignored":
                note = construct.note if construct is not None else "bridge does not know this key"
                warnings.append(f"{path}: {place} has no effect: {note}")
        return value

"""Clauses on earlier builds of a version: the bounds that its last build adds (`candidates/rebuilds.py`)."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.resolve.candidates.rebuilds import corrections
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.facts import Corrected
from bridge.resolve.encode.variables import VariableId

__all__ = ["Corrections"]


class Corrections:
    """What later builds correct of the records that a search decides.

    Each is an assumption that is dropped if there is no solution with it. An installed record stays as it is.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._read: dict[VariableId, int] = {}  # the records whose later builds were read

    def load(self, required: Iterable[VariableId]) -> bool:
        """Add the corrections of decided records; returns whether there were any. Costs no requests."""
        space, store, has_loaded = self._encoder.space, self._encoder.space.store, False
        for variable in required:
            conda, chosen = space.meanings[variable].conda, store.domains[variable]
            if conda is None or not chosen & conda.everything or not store.is_decided(variable):
                continue
            read = self._read.get(variable, 0)
            if chosen & (read | space.kept.get(conda.name, 0)):
                continue
            self._read[variable] = read | chosen
            for each in corrections(conda, chosen.bit_length() - 2, space.catalog.conda):
                fact, assumption = Corrected(each.text, variable, chosen), self._encoder.assumptions.guess()
                source = ((variable, chosen),)
                self._encoder.demand_conda(source, each.bound, fact, is_optional=True, assumption=assumption)
                has_loaded = True
        return has_loaded

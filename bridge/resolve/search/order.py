"""What a search decides next, without looking at all that is undecided in each round."""

from __future__ import annotations

from collections.abc import Container, Iterable
from heapq import heapify, heappop, heappush

from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import VariableId
from bridge.resolve.search.preference import Rank, rank

__all__ = ["Order"]


class Order:
    """The required variables by their rank. A rank that has changed is entered again; the old one is passed over."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._heap: list[tuple[Rank, int, VariableId]] = []
        self._current: dict[VariableId, tuple[Rank, int]] = {}
        self._count = 0
        self._has_python = False

    def restart(self, required: Iterable[VariableId]) -> None:
        """Begin anew with these variables: after a conflict many domains and all activities may be others."""
        self._space.store.reordered.clear()
        self._has_python = self._space.store.is_decided(self._space.python)
        self._current = {each: (rank(self._space, each), place) for place, each in enumerate(required)}
        self._count = len(self._current)
        self._heap = [(*entry, variable) for variable, entry in self._current.items()]
        heapify(self._heap)

    def add(self, variable: VariableId) -> None:
        """Add a variable that is required from now on."""
        self._count += 1
        self._enter(variable, self._count)

    def first(self, pinned: Container[VariableId]) -> VariableId | None:
        """Return the variable of the lowest rank that is not pinned; of equals that which was required first."""
        self._update()
        heap, current = self._heap, self._current
        while heap:
            known, place, variable = heap[0]
            if variable not in pinned and current[variable] == (known, place):
                return variable
            heappop(heap)
        return None

    def _update(self) -> None:
        """Enter the variables whose domain has changed; with python, the builds of requests are open or not."""
        space, changed = self._space, self._space.store.reordered
        if space.store.is_decided(space.python) != self._has_python:
            self._has_python = not self._has_python
            changed.update(space.requested)
        for variable in changed:
            if variable in self._current:
                self._enter(variable, self._current[variable][1])
        changed.clear()

    def _enter(self, variable: VariableId, place: int) -> None:
        entry = (rank(self._space, variable), place)
        if self._current.get(variable) != entry:
            self._current[variable] = entry
            heappush(self._heap, (*entry, variable))

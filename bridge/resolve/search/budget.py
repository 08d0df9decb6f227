"""How long a search may go on: in rounds, and in seconds of its own work."""

from __future__ import annotations

import time

from resolvelib import ResolutionTooDeep

from bridge.resolve.candidates.catalog import Catalog

__all__ = ["Budget"]

_FOR_EXPLANATION = 0.25  # of the seconds; the searches that reduce a refuted request get them in any case


class Budget:
    """Ends a search. What the catalog waits for channels and builds does not count: it is bounded elsewhere."""

    def __init__(self, catalog: Catalog, *, rounds: int, seconds: float) -> None:
        self.rounds = rounds
        self.seconds = seconds
        self._catalog = catalog
        self._started = self._now()

    def _now(self) -> float:
        return time.monotonic() - self._catalog.waited

    @property
    def left(self) -> float:
        """The seconds that are left; negative after the end."""
        return self.seconds - (self._now() - self._started)

    def check(self, rounds: int = 0) -> None:
        """Raise resolvelib's `ResolutionTooDeep` if the budget is used up, and what the check of the run raises."""
        self._catalog.check()
        if rounds >= self.rounds or self.left <= 0:
            raise ResolutionTooDeep(rounds)

    def for_explanation(self) -> Budget:
        """Return the budget of all further searches that reduce a refuted request."""
        seconds = max(self.left, self.seconds * _FOR_EXPLANATION)
        return Budget(self._catalog, rounds=self.rounds, seconds=seconds)

    def at_most(self, rounds: int) -> Budget:
        """Return a budget of fewer rounds with what is left of the seconds."""
        return Budget(self._catalog, rounds=min(rounds, self.rounds), seconds=self.left)

"""Examples that differ from run to run, within a time budget, and reproducible: each has a seed of its own."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

__all__ = ["fresh_seeds"]

VARIABLE = "BRIDGE_SEED"


def fresh_seeds(seconds: float) -> Iterator[int]:
    """Seeds of one run until its time is up; with `BRIDGE_SEED=N` in the environment that one alone."""
    given = os.environ.get(VARIABLE)
    if given:
        yield int(given)
        return
    first = random.SystemRandom().randrange(1 << 48)
    until = time.monotonic() + seconds
    place = 0
    while time.monotonic() < until or not place:
        yield first + place
        place += 1

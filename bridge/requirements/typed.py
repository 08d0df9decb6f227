"""What `packaging` makes of the requirements that people type, kept for later runs: most are the same again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bridge.cache.results import Results
from bridge.requirements.algebra import Requirement, known_parts, learn_parts, split_binding

__all__ = ["typed"]


@contextmanager
def typed(results: Results) -> Iterator[list[Requirement]]:
    """Parse requirements in the block without what was parsed before. What the block adds to the list is kept."""
    table = results.table("requests", "")
    learn_parts(table.entries)
    read: list[Requirement] = []
    yield read
    table.add(known_parts(split_binding(each.text)[1] for each in read))
    results.save()

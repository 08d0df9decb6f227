"""A refutation in one step: the facts alone, where they are few enough to see the contradiction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.resolve.encode.facts import Fact, Requested
from bridge.resolve.encode.space import Space

__all__ = ["narrowed"]


def narrowed(space: Space, facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts that a refutation needs, each only about candidates that the requests admit.

    What other candidates state is no reason: the request on their name excludes them already. Requests come first, then
    what their candidates state, and so on.
    """
    admitted = dict(_admitted(space, facts))
    lines = []
    for fact in _from_requests(space, facts):
        if fact.subject is None or fact.subject not in admitted:
            lines.append(fact)
        elif bits := fact.bits & admitted[fact.subject]:
            lines.append(fact._replace(bits=bits))
    return lines


def _from_requests(space: Space, facts: Sequence[Fact]) -> Iterator[Fact]:
    """Yield facts after those on their subjects, as far as there are any."""
    left = sorted(facts, key=lambda fact: not isinstance(fact, Requested))
    known: set[int | None] = set()
    while left:
        place = next((place for place, fact in enumerate(left) if fact.subject is None or fact.subject in known), 0)
        fact = left.pop(place)
        known.add(fact.target)
        if fact.target is not None:
            known.update((space.meanings[fact.target].wheels, *space.meanings[fact.target].providers))
        yield fact


def _admitted(space: Space, facts: Sequence[Fact]) -> Iterator[tuple[int, int]]:
    """Yield the names that the requests among these facts are about, and their candidates that meet all of them."""
    masks: dict[int, int] = {}
    for fact in facts:
        if isinstance(fact, Requested) and fact.target is not None:
            for demand in space.onto[fact.target]:
                if space.demands[demand].fact is fact and not space.demands[demand].source:
                    masks[fact.target] = masks.get(fact.target, -1) & space.allowed[demand]
    yield from masks.items()

"""A refutation in one step: the facts alone, where they are few enough to see the contradiction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.resolve.encode.facts import Fact, Requested, RequestedEarlier
from bridge.resolve.encode.space import Space

__all__ = ["narrowed"]


def narrowed(space: Space, facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts that a refutation needs, requests first, each only about candidates that the requests admit.

    What other candidates state is no reason: the request on their name excludes them already.
    """
    admitted = dict(_admitted(space, facts))
    lines = []
    for fact in sorted(facts, key=lambda fact: not isinstance(fact, (Requested, RequestedEarlier))):
        if fact.subject is None or fact.subject not in admitted:
            lines.append(fact)
        elif bits := fact.bits & admitted[fact.subject]:
            lines.append(fact._replace(bits=bits))
    return lines


def _admitted(space: Space, facts: Sequence[Fact]) -> Iterator[tuple[int, int]]:
    """Yield the names that the requests among these facts are about, and their candidates that meet all of them."""
    masks: dict[int, int] = {}
    for fact in facts:
        if isinstance(fact, (Requested, RequestedEarlier)) and fact.target is not None:
            for demand in space.onto[fact.target]:
                if space.demands[demand].fact is fact and not space.demands[demand].source:
                    masks[fact.target] = masks.get(fact.target, -1) & space.allowed[demand]
    yield from masks.items()

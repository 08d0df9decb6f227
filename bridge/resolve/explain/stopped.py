"""The explanation of a search that its budget ended: what it has learned, and what narrows the request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.errors import NoSolutionError
from bridge.requirements.algebra import Requirement
from bridge.resolve.encode.space import Space
from bridge.resolve.explain.ranges import listed
from bridge.resolve.explain.sentences import Sentences

__all__ = ["search_stopped"]

_MOST_LEARNED = 5
_MOST_NAMES = 5
_LONGER = 5  # times


def search_stopped(space: Space, requests: Sequence[Requirement], *, rounds: int, seconds: float) -> NoSolutionError:
    """Return the error for a search without a verdict.

    :param seconds: the budget that was used up.
    """
    sentences, store = Sentences(space), space.store
    disputed = _disputed(space, sentences)
    conflicts = f"{store.conflicts} conflicts" + (f", most of them about {listed(disputed)}" if disputed else "")
    context = [f"the search made {rounds} decisions and met {conflicts}"]
    context += [f"it is certain that {text}" for text in _learned(space, sentences)]
    longer = f"search longer with --patience {max(1, round(seconds * _LONGER))}"
    named = [
        f"`{each.text}`" for each in requests if each.name in disputed or (each.conda and each.conda.name in disputed)
    ]
    narrower = f"ask for fewer versions of {' or '.join(named or disputed)}" if named or disputed else ""
    spent = f"{seconds:g} second{'s' * (seconds != 1)}"
    return NoSolutionError(
        "search-stopped",
        f"the search has found no solution in {spent}, and has not shown that there is none",
        context=context,
        hint=", or ".join(filter(None, (longer, narrower))),
        objects={"derivation": [], "requests": [each.text for each in requests]},
    )


def _disputed(space: Space, sentences: Sentences) -> list[str]:
    """Return the names that most conflicts were about, the most frequent first."""
    activity = space.store.activity
    ordered = sorted((v for v in range(len(activity)) if activity[v] > 0), key=lambda v: -activity[v])
    return list(dict.fromkeys(map(sentences.name, ordered)))[:_MOST_NAMES]


def _learned(space: Space, sentences: Sentences) -> Iterator[str]:
    """Yield what was learned for good, the most general first: it rests on no decision and on no assumption."""
    clauses = sorted(space.store.learned(), key=lambda clause: len(clause.terms))
    said = dict.fromkeys(sentences.consequence(clause) for clause in clauses if 0 < len(clause.terms) <= 2)
    yield from list(said)[:_MOST_LEARNED]

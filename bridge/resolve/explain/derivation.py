"""The explanation of a request without a solution.

The refutation is a tree: its leaves are facts (a record depends on, you ask for, a wheel runs on), its inner nodes the
clauses learned from them. The requests are first reduced to a minimal conflicting set; then each learned clause is a
step (*because* these facts, *so* this), and the last step is the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.errors import BuildError, NoSolutionError
from bridge.requirements.algebra import Requirement
from bridge.resolve.encode.facts import (
    Depends,
    Fact,
    KeptForeign,
    Requested,
    RequestedEarlier,
    RequestedPython,
    Tags,
    Unreadable,
)
from bridge.resolve.encode.space import Space
from bridge.resolve.explain.availability import Availability
from bridge.resolve.explain.direct import narrowed
from bridge.resolve.explain.hints import hint_of
from bridge.resolve.explain.ranges import listed
from bridge.resolve.explain.sentences import ONE_OF, Sentences, plain
from bridge.resolve.store import Clause

__all__ = ["facts_of", "no_solution"]

_MAX_STEPS = 12
_MAX_LINES = 8  # of one build's output
_MAX_DIRECT = 5  # facts of a refutation that is told in one step
_MAX_FACTS = 8  # of one step; real proofs rarely have more, and nobody reads further


@dataclass(frozen=True, slots=True)
class _Step:
    because: tuple[str, ...]
    so: str


def no_solution(
    space: Space, proof: Clause, requests: Sequence[Requirement], instead: Sequence[str] = ()
) -> NoSolutionError:
    """Return the error for a refuted request. `requests` are a minimal conflicting set; `instead` is of `hint_of`."""
    sentences = Sentences(space)
    steps = [step for clause in _lemmas(proof) if (step := _step(sentences, clause, is_last=clause is proof))]
    facts = list(facts_of(proof))
    if (direct := _direct(sentences, facts, space)) is not None:
        steps = [direct]
    availability = Availability(space, sentences)
    available = availability.of(facts)
    if available and len(steps) == 1:
        steps = [_Step((*steps[0].because, *available), steps[0].so)]
    elif available:
        steps.insert(0, _Step(tuple(available), "there are no other candidates"))
    if len(steps) > _MAX_STEPS:
        left = len(steps) - _MAX_STEPS
        steps = [*steps[: _MAX_STEPS - 1], _Step((f"{left} more steps",), "…"), steps[-1]]
    earlier = {fact.text for fact in facts if isinstance(fact, RequestedEarlier)}
    texts = [f"`{each.text}`" + (" (requested earlier)" if each.text in earlier else "") for each in requests]
    texts += dict.fromkeys(f"`{fact.text}` (Requires-Python)" for fact in facts if isinstance(fact, RequestedPython))
    message = f"{texts[0]} cannot be met" if len(texts) == 1 else f"{listed(texts)} cannot be met together"
    context = [f"because {_joined(step.because)}: {step.so}" for step in steps]
    context += _build_output(facts, space)
    derivation = [{"because": list(step.because), "so": step.so} for step in steps]
    objects = {
        "derivation": derivation,
        "requests": [request.text for request in requests],
        "foreign": [*(fact.text for fact in facts if isinstance(fact, KeptForeign)), *availability.foreign],
        "unmet": tuple(availability.unmet.values()),
    }
    hint = hint_of(facts, space, availability, instead)
    return NoSolutionError("no-solution", message, context=context, hint=hint, objects=objects)


def _joined(sentences: Sequence[str]) -> str:
    """Join sentences: by semicolons if one of them has a comma."""
    if len(sentences) == 1 or not any(", " in sentence for sentence in sentences):
        return listed(sentences)
    return f"{'; '.join(sentences[:-1])}; and {sentences[-1]}"


def _direct(sentences: Sentences, facts: Sequence[Fact], space: Space) -> _Step | None:
    """Return the whole refutation as one step; `None` if it takes too many facts to see through them."""
    needed = [fact for fact in narrowed(space, facts) if sentences.says(fact)]
    because = list(dict.fromkeys(map(sentences.of, _alternatives(needed))))
    return _Step(tuple(because), "there is no solution") if len(because) <= _MAX_DIRECT else None


def _step(sentences: Sentences, clause: Clause, *, is_last: bool) -> _Step | None:
    """Return a learned clause as a step; `None` if it adds nothing to its name."""
    facts = [p.fact for p in clause.parents if isinstance(p.fact, Fact) and sentences.says(p.fact)]
    facts.sort(key=lambda fact: not isinstance(fact, Requested))
    because = list(dict.fromkeys(map(sentences.of, _alternatives(facts))))
    if not because and not is_last:
        return None
    shown = because[:_MAX_FACTS]
    if len(because) > _MAX_FACTS:
        shown.append(f"{len(because) - _MAX_FACTS} more facts of this kind")
    return _Step(tuple(shown), "there is no solution" if is_last else sentences.consequence(clause))


def _build_output(facts: Sequence[Fact], space: Space) -> list[str]:
    """Return the last output lines of failed builds; their messages hold only one line."""
    lines: list[str] = []
    for fact in facts:
        error = space.failures.get(fact.text) if isinstance(fact, Unreadable) else None
        if isinstance(error, BuildError) and error.context and len(lines) < _MAX_STEPS:
            lines.append(f"last output of the build of {fact.text}:")
            lines += [f"  {line}" for line in error.context[-_MAX_LINES:]]
    return lines


def _lemmas(proof: Clause) -> list[Clause]:
    """Return the learned clauses of a proof in topological order, parents first."""
    ordered: list[Clause] = []
    seen: set[int] = set()
    agenda: list[tuple[Clause, bool]] = [(proof, False)]
    while agenda:
        clause, is_done = agenda.pop()
        if is_done:
            ordered.append(clause)
        elif id(clause) not in seen and clause.parents:
            seen.add(id(clause))
            agenda.append((clause, True))
            agenda.extend((parent, False) for parent in reversed(clause.parents))
    return ordered


def facts_of(proof: Clause) -> Iterable[Fact]:
    """Yield the facts that a proof rests on."""
    seen: set[int] = set()
    for lemma in _lemmas(proof):
        for parent in lemma.parents:
            if isinstance(parent.fact, Fact) and id(parent.fact) not in seen:
                seen.add(id(parent.fact))
                yield parent.fact


def _alternatives(facts: Iterable[Fact]) -> list[Fact]:
    """Merge facts of different candidates of one name on the same target: each candidate states one of the texts.

    Facts of the same candidate all hold, so they stay separate sentences.
    """
    groups: dict[object, list[Fact]] = {}
    for fact in facts:
        is_stated = isinstance(fact, (Depends, Tags)) and fact.subject is not None and fact.target is not None
        groups.setdefault((type(fact), fact.subject, fact.target) if is_stated else id(fact), []).append(fact)
    return [fact for group in groups.values() for fact in _united(group)]


def _united(facts: list[Fact]) -> list[Fact]:
    first, texts, bits = facts[0], dict.fromkeys(plain(fact.text) for fact in facts), 0
    for fact in facts:
        if bits & fact.bits:
            return facts
        bits |= fact.bits
    return [first if len(facts) == 1 else type(first)(ONE_OF.join(texts), first.subject, bits, first.target)]

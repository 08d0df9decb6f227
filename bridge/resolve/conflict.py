"""Which of the requests exclude each other, for an explanation that names no request in vain."""

from __future__ import annotations

from dataclasses import dataclass, replace

from resolvelib.resolvers import ResolutionTooDeep

from bridge.errors import NoSolutionError
from bridge.requirements.algebra import Requirement
from bridge.resolve.explain import facts_of, no_solution
from bridge.resolve.provider import Reporter, Unsolvable, run
from bridge.resolve.space import Space
from bridge.resolve.store import Clause
from bridge.resolve.variables import Implication

__all__ = ["Conflict", "Request"]

MORE_ROUNDS = 4  # than the refutation took, until what is tried in its place counts as solvable
ALONE_ROUNDS = 30  # the same for one request alone: that it is impossible by itself is worth knowing
ALL_ROUNDS = 120  # of all attempts together


@dataclass(frozen=True, slots=True)
class Request:
    """What a solve is asked, beside the catalog."""

    requirements: tuple[Requirement, ...]
    present: tuple[Requirement, ...]
    constraints: tuple[Requirement, ...]
    requires_python: str | None
    pins: tuple[Requirement, ...] = ()
    foreign: tuple[Requirement, ...] = ()

    def roots(self, space: Space) -> list[Implication]:
        """Tell a space all of it; returns what stands at the root."""
        for constraint in self.constraints:
            space.constrain(constraint)
        for pin in self.pins:
            space.pin(pin)
        roots = [root for requirement in self.requirements for root in space.ask(requirement)]
        roots += [root for requirement in self.present for root in space.stay(requirement)]
        roots += [root for requirement in self.foreign for root in space.leave(requirement)]
        return roots + (space.bound_python(self.requires_python) if self.requires_python else [])


class Conflict:
    """A refuted request. `explained` cuts it down by short searches, each in a space of its own; `close` frees them."""

    def __init__(self, request: Request, space: Space, proof: Clause, rounds: int) -> None:
        self._left = ALL_ROUNDS
        self._spaces: list[Space] = []
        self._take(request, space, proof, rounds)

    def close(self) -> None:
        for space in self._spaces:
            space.close()

    def explained(self) -> NoSolutionError:
        """The error, of those requests that the proof rests on and of which none was found to be needless."""
        while 0 < len(self._core) < len(self._request.requirements) and self._is_refuted(self._core):
            pass
        for requirement in self._core:
            fewer = tuple(r for r in self._core if r is not requirement)
            if fewer and len(fewer) < len(self._core):
                self._is_refuted(fewer)
        return no_solution(self._space, self._proof, self._core or self._request.requirements)

    def _take(self, request: Request, space: Space, proof: Clause, rounds: int) -> None:
        """Go on from this refutation. `_core` are the requests that its proof rests on."""
        self._request, self._space, self._proof, self._rounds = request, space, proof, rounds
        asked = {fact.text for fact in facts_of(proof) if fact.kind == "asked"}
        self._core = tuple(r for r in request.requirements if r.text in asked)

    def _is_refuted(self, fewer: tuple[Requirement, ...]) -> bool:
        """Whether a short search refutes these requests too: then they, and its proof, take the place of the others."""
        most = self._rounds + (ALONE_ROUNDS if len(fewer) == 1 else MORE_ROUNDS)
        if most > self._left:
            return False
        request, reporter = replace(self._request, requirements=fewer), Reporter()
        space = Space(self._space.catalog)
        self._spaces.append(space)
        try:
            run(space, request.roots(space), reporter, most)
        except ResolutionTooDeep:
            return False
        except Unsolvable as verdict:
            self._take(request, space, verdict.proof, reporter.rounds)
            return True
        finally:
            self._left -= reporter.rounds
        return False

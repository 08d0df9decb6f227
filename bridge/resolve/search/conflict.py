"""A minimal conflicting subset of the requests, so that the explanation names only requests that matter."""

from __future__ import annotations

from resolvelib import ResolutionTooDeep

from bridge.errors import NoSolutionError
from bridge.requirements.algebra import Requirement
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.facts import Requested
from bridge.resolve.encode.loader import Loader
from bridge.resolve.encode.space import Space
from bridge.resolve.explain.derivation import facts_of, no_solution
from bridge.resolve.search.budget import Budget
from bridge.resolve.search.joint import Reporter, Unsolvable, run
from bridge.resolve.search.request import SolveRequest
from bridge.resolve.store import Clause

__all__ = ["RefutedRequest"]

MORE_ROUNDS = 4  # beyond the rounds of the refutation, until a subset counts as solvable
ALONE_ROUNDS = 30  # the same for a single request: worth more effort, because it may be impossible by itself
ALL_ROUNDS = 120  # of all attempts together


class RefutedRequest:
    """A request without a solution. `explained` reduces it by short searches, each in a space of its own."""

    def __init__(self, request: SolveRequest, space: Space, proof: Clause, rounds: int, budget: Budget) -> None:
        self._left = ALL_ROUNDS
        self._budget = budget.for_explanation()
        self._take(request, space, proof, rounds)

    def explained(self) -> NoSolutionError:
        """Return the error for a small conflicting subset of the requests."""
        while 0 < len(self._core) < len(self._request.asked) and self._is_refuted(self._core):
            pass
        for requirement in self._core:
            fewer = tuple(r for r in self._core if r is not requirement)
            if fewer and len(fewer) < len(self._core):
                self._is_refuted(fewer)
        return no_solution(self._space, self._proof, self._core or self._request.asked)

    def _take(self, request: SolveRequest, space: Space, proof: Clause, rounds: int) -> None:
        """Continue with this refutation. `_core` are the requests that its proof rests on."""
        self._request, self._space, self._proof, self._rounds = request, space, proof, rounds
        requested = {fact.text for fact in facts_of(proof) if isinstance(fact, Requested)}
        self._core = tuple(r for r in request.asked if r.text in requested)

    def _is_refuted(self, fewer: tuple[Requirement, ...]) -> bool:
        """Return whether a short search refutes these requests; then they and its proof replace the previous ones."""
        most = self._rounds + (ALONE_ROUNDS if len(fewer) == 1 else MORE_ROUNDS)
        if most > self._left:
            return False
        request, space = self._request.reduced(fewer), Space(self._space.catalog)
        encoder, reporter = Encoder(space), Reporter(space)
        try:
            run(Loader(encoder), request.encode(encoder), reporter, self._budget.at_most(most))
        except ResolutionTooDeep:
            return False
        except Unsolvable as verdict:
            self._take(request, space, verdict.proof, reporter.rounds)
            return True
        finally:
            self._left -= reporter.rounds
        return False

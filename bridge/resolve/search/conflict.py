"""A minimal conflicting subset of the requests, so that the explanation names only requests that matter."""

from __future__ import annotations

from resolvelib import ResolutionTooDeep

from bridge.errors import NoSolutionError
from bridge.requirements.algebra import Requirement, conda_requirement
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.facts import Requested
from bridge.resolve.encode.loader import Loader
from bridge.resolve.encode.space import Space
from bridge.resolve.explain.derivation import facts_of, no_solution
from bridge.resolve.search.budget import Budget
from bridge.resolve.search.joint import Reporter, Unsolvable, run
from bridge.resolve.search.request import SolveRequest
from bridge.resolve.store import Clause
from converters.deferred import replace

__all__ = ["RefutedRequest"]

MORE_ROUNDS = 4  # beyond the rounds of the refutation, until a subset counts as solvable
ALONE_ROUNDS = 30  # the same for a single request: worth more effort, because it may be impossible by itself
ALL_ROUNDS = 120  # of all attempts together
MINORS = 5  # of python, the newest, that are tried in place of a requested one
MINOR_ROUNDS = 200  # of each


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
        return no_solution(self._space, self._proof, self._core or self._request.asked, self._instead())

    def _instead(self) -> tuple[str, ...]:
        """Return a request for another python with which a short search meets the rest of the conflict."""
        python = next((each for each in self._core if each.conda is not None and each.conda.name == "python"), None)
        if python is None or len(self._core) == 1:
            return ()
        others = [each for each in self._core if each is not python]
        versions = (record.version.split(".") for record in self._space.catalog.conda("python").records)
        for minor in list(dict.fromkeys(".".join(version[:2]) for version in versions))[:MINORS]:
            asked = (*others, conda_requirement(f"python={minor}"))
            if self._is_met(replace(self._request.reduced(()), requirements=asked)):
                return (f"python={minor}",)
        return ()

    def _is_met(self, request: SolveRequest) -> bool:
        """Return whether a short search finds a solution."""
        space = Space(self._space.catalog)
        encoder = Encoder(space)
        try:
            run(Loader(encoder), request.encode(encoder), Reporter(space), self._budget.at_most(MINOR_ROUNDS))
        except (ResolutionTooDeep, Unsolvable):
            return False
        return True

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

"""A minimal conflicting subset of the requests, so that the explanation names only requests that matter."""

from __future__ import annotations

from resolvelib import ResolutionTooDeep

from bridge.errors import NoSolutionError
from bridge.requirements.algebra import Requirement, conda_requirement
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.facts import Requested, RequestedPython
from bridge.resolve.encode.loader import Loader
from bridge.resolve.encode.space import Space
from bridge.resolve.explain.derivation import facts_of, no_solution
from bridge.resolve.masks import ABSENT
from bridge.resolve.search.budget import Budget
from bridge.resolve.search.joint import Reporter, Unsolvable, run
from bridge.resolve.search.request import SolveRequest
from bridge.resolve.store import Clause
from converters.deferred import NamedTuple, replace

__all__ = ["RefutedRequest"]

MORE_ROUNDS = 4  # beyond the rounds of the refutation, until a subset counts as solvable
ALONE_ROUNDS = 6  # the same for a single request but python: it may be impossible by itself
ALL_ROUNDS = 120  # of all attempts together
PYTHON_ROUNDS = 60  # in place of them without a request for python: a solution tells which python to ask for
LOOKED_AT = 6  # how often what is undecided is counted in such a search: every so many rounds
PYTHON_BACKTRACKS = 3  # the same; who needs more in so few rounds rarely ends within them


class _Outcome(NamedTuple):
    """What a short search found: a refutation, a solution (with a python of this minor), or neither."""

    space: Space
    rounds: int
    proof: Clause | None = None
    is_met: bool = False
    minor: str | None = None


class _Impatient(Reporter):
    """Ends a search that goes back too often, or has more to decide than rounds left: each round decides about one."""

    def __init__(self, space: Space, most: int) -> None:
        super().__init__(space)
        self._most = most

    def starting_round(self, index: int) -> None:
        super().starting_round(index)
        if index % LOOKED_AT == LOOKED_AT - 1:
            domains = self._space.store.domains
            undecided = sum(1 for domain in domains if not domain & ABSENT and domain & (domain - 1))
            if index + undecided > self._most:
                raise ResolutionTooDeep(self.rounds)

    def resolving_conflicts(self, causes: object) -> None:
        super().resolving_conflicts(causes)
        if self.backtracks > PYTHON_BACKTRACKS:
            raise ResolutionTooDeep(self.rounds)


class RefutedRequest:
    """A request without a solution. `explained` reduces it by short searches, each in a space of its own."""

    def __init__(self, request: SolveRequest, space: Space, proof: Clause, rounds: int, budget: Budget) -> None:
        self._left = ALL_ROUNDS
        self._met: list[frozenset[int]] = []  # the identities of requests that have a solution together
        self._minor: str | None = None  # of the python that the core allows without its request for one
        self._is_without_python = False  # the solution without that request has no python
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
        rests_on_files = any(isinstance(fact, RequestedPython) for fact in facts_of(self._proof))
        requests = self._core or (() if rests_on_files else self._request.asked)
        return no_solution(self._space, self._proof, requests, self._instead())

    def _instead(self) -> tuple[str, ...]:
        """Return a request for another python with which a short search meets the rest of the conflict."""
        python = next(filter(_is_python, self._core), None)
        if python is None or len(self._core) == 1:
            return ()
        minor = self._minor
        if minor is None and self._is_without_python:  # its solution has none: what others say of python may differ
            others = (*(each for each in self._core if each is not python), conda_requirement("python"))
            request = replace(self._request.reduced(()), requirements=others)
            minor = self._search(request, PYTHON_ROUNDS, is_impatient=True).minor
        return () if minor is None else (f"python={minor}",)

    def _search(self, request: SolveRequest, most: int, *, is_impatient: bool = False) -> _Outcome:
        """Search for at most this many rounds."""
        space = Space(self._space.catalog)
        encoder, reporter = Encoder(space), _Impatient(space, most) if is_impatient else Reporter(space)
        try:
            pins = run(Loader(encoder), request.encode(encoder), reporter, self._budget.at_most(most))
        except ResolutionTooDeep:
            return _Outcome(space, reporter.rounds)
        except Unsolvable as verdict:
            return _Outcome(space, reporter.rounds, proof=verdict.proof)
        pin = pins.get(space.python)
        conda = space.meanings[pin.variable].conda if pin is not None else None
        if pin is None or conda is None:
            return _Outcome(space, reporter.rounds, is_met=True)
        version = conda.records[pin.bit.bit_length() - 2].version
        return _Outcome(space, reporter.rounds, is_met=True, minor=".".join(version.split(".")[:2]))

    def _take(self, request: SolveRequest, space: Space, proof: Clause, rounds: int) -> None:
        """Continue with this refutation. `_core` are the requests that its proof rests on."""
        self._request, self._space, self._proof, self._rounds = request, space, proof, rounds
        requested = {fact.text for fact in facts_of(proof) if isinstance(fact, Requested)}
        self._core = tuple(r for r in request.asked if r.text in requested)

    def _is_refuted(self, fewer: tuple[Requirement, ...]) -> bool:
        """Return whether a short search refutes these requests; then they and its proof replace the previous ones."""
        is_alone, names_python = len(fewer) == 1, any(map(_is_python, fewer))
        most = self._rounds + (ALONE_ROUNDS if is_alone else MORE_ROUNDS)
        if most > self._left or any(met.issuperset(map(id, fewer)) for met in self._met):
            return False
        names_another = not names_python and any(map(_is_python, self._core))
        request = self._request.reduced(fewer)
        if names_another:
            outcome = self._search(request, self._rounds + PYTHON_ROUNDS, is_impatient=True)
        else:
            outcome = self._search(request, 1 if is_alone and names_python else most)
        self._left -= min(outcome.rounds, most)
        if outcome.proof is not None:
            self._take(request, outcome.space, outcome.proof, outcome.rounds)
            return True
        if outcome.is_met:
            self._met.append(frozenset(map(id, fewer)))
            if names_another:
                self._minor, self._is_without_python = outcome.minor, outcome.minor is None
        return False


def _is_python(requirement: Requirement) -> bool:
    return requirement.conda is not None and requirement.conda.name == "python"

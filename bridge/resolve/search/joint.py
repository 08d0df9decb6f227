"""The search: an `AbstractResolver` of resolvelib over the store (`docs/decisions/0004-resolver.md`).

resolvelib defines the interface: the resolver and reporter classes, `Result`, and the exceptions. The loop is here:
required variables are decided one by one in the order of the policy, each in a level of the store; after a conflict a
clause is learned, and the pins above the level it jumps back to are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Protocol

from resolvelib import AbstractProvider, AbstractResolver, BaseReporter, ResolutionImpossible
from resolvelib.resolvers import ResolverException, Result
from resolvelib.structs import DirectedGraph

from bridge.resolve.encode.loader import Loader
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import Candidate, Demand, DemandId, VariableId
from bridge.resolve.search.budget import Budget
from bridge.resolve.search.order import Order
from bridge.resolve.search.preference import (
    COMPARED_MINORS,
    best_version,
    choose,
    compares_versions,
    decided,
    newest_of_minors,
    preferred,
)
from bridge.resolve.store import Clause
from converters.deferred import NamedTuple

__all__ = ["Joint", "Reporter", "Unsolvable", "Watcher", "run"]


class Unsolvable(ResolutionImpossible[Demand, Candidate]):
    """There is no solution; `proof` is the clause at the root of the refutation."""

    def __init__(self, proof: Clause) -> None:
        super().__init__([])
        self.proof = proof


class Watcher(Protocol):
    """Called with every pin, for a progress display."""

    def __call__(self, name: str, rounds: int) -> None: ...


class Reporter(BaseReporter[Demand, Candidate, VariableId]):
    """Counts what the resolver reports."""

    def __init__(self, space: Space, watcher: Watcher | None = None) -> None:
        self.rounds = 0
        self.backtracks = 0
        self._space = space
        self._watcher = watcher

    def starting_round(self, index: int) -> None:
        self.rounds = index + 1

    def resolving_conflicts(self, causes: object) -> None:
        self.backtracks += 1

    def pinning(self, candidate: Candidate) -> None:
        if self._watcher is not None:
            self._watcher(self._space.variables[candidate.variable].name, self.rounds)


class StoreProvider(AbstractProvider[Demand, Candidate, VariableId]):
    """The part of a provider that `Joint` uses: identifiers.

    resolvelib's own `Resolver` also needs matches, dependencies and satisfaction; here the store has propagated all
    three before any decision, so these methods are undefined.
    """

    def __init__(self, space: Space) -> None:
        self.space = space

    def identify(self, requirement_or_candidate: Demand | Candidate) -> VariableId:
        if isinstance(requirement_or_candidate, Candidate):
            return requirement_or_candidate.variable
        return requirement_or_candidate.target


class _Checkpoint(NamedTuple):
    """The lengths of the search's two tables when a level of the store was opened."""

    level: int
    pins: int
    required: int


class Joint(AbstractResolver[Demand, Candidate, VariableId]):
    """The resolver of the joint space, with one open level of the store per decision."""

    base_exception = ResolverException

    def __init__(self, provider: StoreProvider, reporter: Reporter, loader: Loader, budget: Budget) -> None:
        super().__init__(provider, reporter)
        self._budget = budget
        self._space = provider.space
        self._loader = loader
        # Tables in insertion order; a backjump cuts them back to a checkpoint. A pin may be missing in `_required`.
        self._required: dict[VariableId, None] = {}
        self._pins: dict[VariableId, Candidate] = {}
        self._checkpoints: list[_Checkpoint] = []
        self._order = Order(self._space)

    def resolve(self, requirements: Iterable[Demand], **kwargs: object) -> Result[Demand, Candidate, VariableId]:
        """Pin every required variable; the result's `mapping` holds the pins, the rest of it is empty.

        Raises `Unsolvable`, and `ResolutionTooDeep` at the end of the budget.
        """
        self.reporter.starting()
        self._required = {self.provider.identify(requirement): None for requirement in requirements}
        self._order.restart(self._required)
        self._checkpoint()
        for index in count():
            self._budget.check(index)
            self.reporter.starting_round(index=index)
            variable = self._order.first(self._pins)
            if variable is None:
                return Result(self._pins, DirectedGraph(), {})
            if self._pin(variable):
                self._checkpoint()
            else:
                self.reporter.resolving_conflicts(causes=())
                self._jump_back()
        raise AssertionError("the budget ends the rounds")

    def _checkpoint(self) -> None:
        self._checkpoints.append(_Checkpoint(self._space.store.level, len(self._pins), len(self._required)))

    def _pin(self, variable: VariableId) -> bool:
        """Decide a variable and propagate. A conflict stays in the store for `_jump_back`."""
        conflict = self._loader.settle()
        if self._goes_on(variable, conflict):
            conflict = self._decide(variable)
        if conflict is not None or self._loader.is_lifting:
            return False
        self._pin_decided()
        return True

    def _goes_on(self, variable: VariableId, conflict: Clause | None) -> bool:
        """Return whether a variable is still to be decided after the store has settled."""
        return conflict is None and not self._loader.is_lifting and not self._space.store.is_decided(variable)

    def _decide(self, variable: VariableId) -> Clause | None:
        space, store, loader = self._space, self._space.store, self._loader
        loader.encoder.read_candidates(variable)
        wheels = space.meanings[variable].wheels
        if wheels is not None and not space.is_known[wheels] and compares_versions(space, variable):
            loader.encoder.read_candidates(wheels)  # their facts may exclude the current choice
            conflict = loader.settle()
            if not self._goes_on(variable, conflict):
                return conflict
        chosen = choose(space, variable)
        if variable == space.python and variable in space.requested and not preferred(space, variable):
            compared = self._compare_pythons(chosen.bit)
            conflict = loader.settle()  # facts read for one python may exclude another
            if not self._goes_on(variable, conflict):
                return conflict
            is_left = store.domains[variable] & compared
            chosen = Candidate(variable, compared) if is_left else choose(space, variable)
        if space.variables[chosen.variable].kind == "wheels" and not loader.has_metadata(*chosen):
            # Read METADATA before the level opens, because its requirements hold at any level.
            loader.load_wheel(*chosen)
            conflict = loader.settle()
            if not self._goes_on(variable, conflict):
                return conflict
            chosen = choose(space, variable)
        store.decide(chosen.variable, decided(space, chosen))
        return loader.settle()

    def _compare_pythons(self, newest: int) -> int:
        """Return the python, among the newest of a few minors, with the lowest cost to the other requests.

        The cost is the number of requested names without a record left, then of names below their best version. Each
        python is decided, propagated and undone. The newest wins among equals, and at once if it costs nothing.
        """
        space, store, python = self._space, self._space.store, self._space.python
        minors = newest_of_minors(space, COMPARED_MINORS)
        if len(minors) == 1:
            return newest
        requested = [v for v in sorted(space.requested) if space.variables[v].kind == "conda" and store.is_required(v)]
        before = {variable: best_version(space, variable) for variable in requested if variable != python}
        least, chosen = (len(before) + 1, 0), newest
        for bit in minors:
            if not store.domains[python] & bit:
                continue  # facts read for another python exclude it
            level = store.level
            store.decide(python, bit)
            conflict = self._loader.settle()
            after = {variable: best_version(space, variable) for variable in before}
            store.backjump(level)
            if self._loader.is_lifting or store.propagate() is not None:
                return newest  # the caller settles again and handles the conflict
            lost = [variable for variable in before if after[variable] != before[variable]]
            cost = (sum(after[variable] is None for variable in lost), len(lost))
            if conflict is None and cost < least:
                least, chosen = cost, bit
            if conflict is None and not lost:
                break
        return chosen

    def _pin_decided(self) -> None:
        """Add every variable that the store requires to the tables, and its pin if it is decided.

        Facts are read late, so a variable may become required after its parent was pinned: check all variables, not
        only those that the last candidate requires.
        """
        space, store, pins = self._space, self._space.store, self._pins
        changed, store.unpinned = store.unpinned, set()
        for variable in sorted(changed):
            if variable in pins or not store.is_required(variable):
                continue
            candidate = space.decided(variable)
            if variable not in self._required:
                if not self._is_demanded(variable):
                    store.unpinned.add(variable)  # only a learned clause requires it yet: its parent comes later
                    continue
                if candidate is None:
                    self._required[variable] = None
                    self._order.add(variable)
            if candidate is not None:
                self.reporter.pinning(candidate=candidate)
                pins[variable] = candidate

    def _is_demanded(self, variable: VariableId) -> bool:
        demands, satisfied = self._space.demands, self._space.store.satisfied
        for demand in map(demands.__getitem__, self._space.onto[variable]):
            if not demand.is_optional and satisfied(demand.source):
                return True
        return False

    def _jump_back(self) -> None:
        """Learn from the conflict in the store, and drop the pins above the level it jumps back to."""
        assumptions, store = self._loader.encoder.assumptions, self._space.store
        if assumptions.lifting:
            assumptions.lift(0)
            self._drop_pins(-1)
            return
        learned = store.learn()
        if learned is None:
            lift_or_give_up(self._loader)
            self._drop_pins(-1)
            return
        clause, level = learned
        store.backjump(level)
        store.add(clause)
        self._drop_pins(level)

    def _drop_pins(self, level: int) -> None:
        """Cut the tables back to the last checkpoint at or below `level`; the first, without pins, always qualifies."""
        known = self._required.keys() | self._pins.keys()
        while len(self._checkpoints) > 1 and self._checkpoints[-1].level > level:
            self._checkpoints.pop()
        _, pins, required = self._checkpoints.pop()
        while len(self._pins) > pins:
            self._pins.popitem()
        while len(self._required) > required:
            self._required.popitem()
        self._order.restart(self._required)
        self._checkpoint()
        # Pins of the dropped levels may hold at a lower level too: check them again.
        self._space.store.unpinned |= known - self._pins.keys()


def lift_or_give_up(loader: Loader) -> None:
    """Lift the assumptions that a refutation at level 0 rests on. Raises `Unsolvable` if it rests on none."""
    refutation = loader.space.store.refutation
    assert refutation is not None
    if not loader.encoder.assumptions.lift(refutation.assumptions):
        raise Unsolvable(refutation)


def run(
    loader: Loader, roots: Iterable[DemandId], reporter: Reporter, budget: Budget
) -> Mapping[VariableId, Candidate]:
    """Resolve and return the pins. Raises `Unsolvable` and resolvelib's `ResolutionTooDeep`."""
    space, assumptions = loader.space, loader.encoder.assumptions
    while True:
        budget.check()
        conflict = loader.settle()
        if assumptions.lifting:
            assumptions.lift(0)
        elif conflict is None:
            break
        else:
            learned = space.store.learn()
            assert learned is None, "nothing was decided yet"
            lift_or_give_up(loader)
    always = [demand for demand in map(space.demands.__getitem__, roots) if not demand.source]  # no marker of python
    return Joint(StoreProvider(space), reporter, loader, budget).resolve(always).mapping

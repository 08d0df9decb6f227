"""resolvelib drives, the store thinks: provider, reporter, and the two methods of `Resolution` that are ours.

resolvelib keeps the rounds, the states, the criteria and the causes. `Joint` overrides how a pin is attempted (open a
level in the store, propagate, pin in the same round whatever was left with one candidate) and how to jump back (learn
from the conflict, then drop states down to the store's level).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from resolvelib.providers import AbstractProvider
from resolvelib.reporters import BaseReporter
from resolvelib.resolvers import Criterion, RequirementInformation, ResolutionImpossible
from resolvelib.resolvers.resolution import Resolution

from bridge.resolve.loader import Loader
from bridge.resolve.masks import ABSENT
from bridge.resolve.preference import (
    WEIGHED_MINORS,
    best_version,
    choose,
    decision_order,
    newest_of_minors,
    weighs_versions,
)
from bridge.resolve.space import Space
from bridge.resolve.store import Clause
from bridge.resolve.variables import Implication, Variable

__all__ = ["Candidate", "Joint", "Provider", "Reporter", "Unsolvable", "Watcher", "run"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate of one identifier."""

    variable: Variable
    bit: int


class Unsolvable(ResolutionImpossible[Implication, Candidate]):
    """There is no solution; `proof` is the clause at the root of the refutation."""

    def __init__(self, proof: Clause) -> None:
        super().__init__([])
        self.proof = proof


class Watcher(Protocol):
    """Told of every pin, for a progress display."""

    def __call__(self, name: str, rounds: int) -> None: ...


class Reporter(BaseReporter[Implication, Candidate, str]):
    """Counts what resolvelib reports."""

    def __init__(self, watcher: Watcher | None = None) -> None:
        self.rounds = 0
        self.backtracks = 0
        self.pins = 0
        self.metadata_read = 0
        self._watcher = watcher

    def starting_round(self, index: int) -> None:
        self.rounds = index + 1

    def resolving_conflicts(self, causes: object) -> None:
        self.backtracks += 1

    def pinning(self, candidate: Candidate) -> None:
        self.pins += 1
        if self._watcher is not None:
            self._watcher(candidate.variable.name, self.rounds)


class Provider(AbstractProvider[Implication, Candidate, str]):
    """Answers resolvelib from the store: `find_matches` is what is left of a domain, `is_satisfied_by` a bit test."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.by_name = {variable.name: variable for variable in space.variables}

    def variable(self, name: str) -> Variable:
        found = self.by_name.get(name)
        if found is None:
            self.by_name = {variable.name: variable for variable in self.space.variables}
            found = self.by_name[name]
        return found

    def identify(self, requirement_or_candidate: Implication | Candidate) -> str:
        if isinstance(requirement_or_candidate, Candidate):
            return requirement_or_candidate.variable.name
        return requirement_or_candidate.target.name

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],
        information: Mapping[str, Iterator[RequirementInformation[Implication, Candidate]]],
        backtrack_causes: Sequence[RequirementInformation[Implication, Candidate]],
    ) -> tuple[object, ...]:
        """O(1): two look-ups in the store."""
        return decision_order(self.space, self.variable(identifier))

    def narrow_requirement_selection(
        self,
        identifiers: Iterable[str],
        resolutions: Mapping[str, Candidate],
        candidates: Mapping[str, Iterator[Candidate]],
        information: Mapping[str, Iterator[RequirementInformation[Implication, Candidate]]],
        backtrack_causes: Sequence[RequirementInformation[Implication, Candidate]],
    ) -> Iterable[str]:
        """The one to decide first: asked once a round, where `get_preference` would be asked once an identifier."""
        return (min(identifiers, key=lambda name: decision_order(self.space, self.variable(name))),)

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[Implication]],
        incompatibilities: Mapping[str, Iterator[Candidate]],
    ) -> Callable[[], Iterator[Candidate]]:
        """What is left of the domain, best first. What is incompatible has been struck from it as a learned clause."""
        variable = self.variable(identifier)
        return lambda: self._candidates(variable)

    def _candidates(self, variable: Variable) -> Iterator[Candidate]:
        domain = self.space.store.domains[variable.index] & ~ABSENT
        if domain < 0:
            domain = 2  # nothing is known of it yet: something may be there
        while domain:
            bit = domain & -domain
            domain ^= bit
            yield Candidate(variable, bit)

    def is_satisfied_by(self, requirement: Implication, candidate: Candidate) -> bool:
        return bool(requirement.allowed & candidate.bit)

    def get_dependencies(self, candidate: Candidate) -> Iterable[Implication]:
        """What the candidate needs, of all that holds by now (a marker's python and an extra may come later)."""
        index, bit, satisfied = candidate.variable.index, candidate.bit, self.space.store.satisfied
        return [
            implication
            for variable in self.space.variables
            for implication in variable.demands
            if not implication.is_optional
            and any(term[0] == index and term[1] & bit for term in implication.source)
            and satisfied(implication.source)
        ]


class Joint(Resolution[Implication, Candidate, str]):
    """resolvelib's resolution over the store. One open level of the store per decided pin."""

    def __init__(self, provider: Provider, reporter: Reporter, loader: Loader) -> None:
        super().__init__(provider, reporter)
        self._space = provider.space
        self._provider = provider
        self._loader = loader
        self._state_levels: list[int] = []

    def _push_new_state(self) -> None:
        if len(self._states) == 1:
            # The root holds an OrderedDict and every later state its copy, which takes five times as long as a dict.
            self._states[0] = self._states[0]._replace(mapping={})
        super()._push_new_state()
        del self._state_levels[len(self._states) - 2 :]
        self._state_levels.append(self._space.store.level)  # of what the state below the new one holds

    def _attempt_to_pin_criterion(self, name: str) -> list[Criterion[Implication, Candidate]]:
        store, variable = self._space.store, self._provider.variable(name)
        conflict = self._loader.settle()
        if conflict is None and not self._space.assumptions.lifting and not store.is_decided(variable.index):
            conflict = self._decide(variable)
        if conflict is not None or self._space.assumptions.lifting:
            # resolvelib asks for the criteria in the way; the clause itself waits in the store for `_backjump`.
            return [self.state.criteria[name]]
        self._pin_decided()
        return []

    def _decide(self, variable: Variable) -> Clause | None:
        store = self._space.store
        self._space.know(variable)
        wheels = variable.wheels
        if wheels is not None and not wheels.is_known and weighs_versions(self._space, variable):
            self._space.know(wheels)  # what is known of them may bar what would have been taken
            conflict = self._loader.settle()
            if conflict is not None or self._space.assumptions.lifting or store.is_decided(variable.index):
                return conflict
        chosen, bit = choose(self._space, variable)
        if variable is self._space.python and variable.is_asked:
            bit = self._weigh_pythons(bit)
            conflict = self._loader.settle()  # what was read for one python may bar another
            if conflict is not None or self._space.assumptions.lifting or store.is_decided(variable.index):
                return conflict
            if not store.domains[variable.index] & bit:
                chosen, bit = choose(self._space, variable)
        if chosen.kind == "wheels" and bit not in chosen.metadata:
            # What a wheel needs is known from METADATA alone: read before the level opens, for it holds at any level.
            self._loader.load_wheel(chosen, bit)
            conflict = self._loader.settle()
            if conflict is not None or self._space.assumptions.lifting or store.is_decided(variable.index):
                return conflict
            chosen, bit = choose(self._space, variable)
        store.decide(chosen.index, bit)
        return self._loader.settle()

    def _weigh_pythons(self, newest: int) -> int:
        """Of the newest pythons of a few minors the one that costs least of what else was asked.

        First it is to leave a record of most names, then most of them at the version they could have. Each is tried:
        taken, its consequences drawn, and taken back. Of equals, and where nothing is lost, the newest is taken.
        """
        space, store = self._space, self._space.store
        minors = newest_of_minors(space.python, store.domains[space.python.index], WEIGHED_MINORS)
        if len(minors) == 1:
            return newest
        asked = [v for v in space.variables if v.is_asked and v.kind == "conda" and store.is_required(v.index)]
        before = {v.index: best_version(v, store.domains[v.index]) for v in asked if v is not space.python}
        least, chosen = (len(before) + 1, 0), newest
        for bit in minors:
            if not store.domains[space.python.index] & bit:
                continue  # what was read for another bars it
            level = store.level
            store.decide(space.python.index, bit)
            conflict = self._loader.settle()
            after = {i: best_version(space.variables[i], store.domains[i]) for i in before}
            store.backjump(level)
            if space.assumptions.lifting or store.propagate() is not None:
                return newest  # whoever asked has to settle first, and is told
            lost = [i for i in before if after[i] != before[i]]
            cost = (sum(after[i] is None for i in lost), len(lost))
            if conflict is None and cost < least:
                least, chosen = cost, bit
            if conflict is None and not lost:
                break
        return chosen

    def _pin_decided(self) -> None:
        """Bring the state up to what the store knows: every identifier that is required, and its pin where it has one.

        What is required may come to light after its parent was pinned (facts are read late), so the store is asked for
        all of it, not only for what the last candidate needs.
        """
        store, mapping, criteria = self._space.store, self.state.mapping, self.state.criteria
        changed, store.unpinned = store.unpinned, set()
        for index in sorted(changed):
            variable = self._space.variables[index]
            if variable.name in mapping or not store.is_required(index):
                continue
            is_decided = store.is_decided(index)
            if variable.name not in criteria:
                demand = next((d for d in variable.demands if not d.is_optional and store.satisfied(d.source)), None)
                if demand is None:
                    store.unpinned.add(index)  # only a learned clause asks for it as yet: its parent comes later
                    continue
                if not is_decided:
                    self._add_to_criteria(criteria, demand, parent=self._parent(demand))
            if is_decided:
                candidate = Candidate(variable, store.domains[index])
                self._r.pinning(candidate=candidate)
                mapping[variable.name] = candidate

    def _is_current_pin_satisfying(self, name: str, criterion: Criterion[Implication, Candidate]) -> bool:
        """A pin of this state meets every requirement on it: the store would have refused it otherwise. O(1)."""
        return name in self._states[-1].mapping

    def _parent(self, demand: Implication) -> Candidate | None:
        for index, _ in demand.source:
            if self._space.store.is_decided(index):
                return Candidate(self._space.variables[index], self._space.store.domains[index])
        return None

    def _backjump(self, causes: list[RequirementInformation[Implication, Candidate]]) -> bool:
        """Learn from the conflict in the store, and drop resolvelib's states down to the level that is kept."""
        space, store = self._space, self._space.store
        if space.assumptions.lifting:
            space.assumptions.lift(0)
            self._drop_states(-1)
            return True
        learned = store.learn()
        if learned is None:
            lift_or_give_up(space)
            self._drop_states(-1)
            return True
        clause, level = learned
        store.backjump(level)
        store.add(clause)
        self._drop_states(level)
        return True

    def _drop_states(self, level: int) -> None:
        """Keep the states whose pins hold at `level`; the root state, which has none, always stays."""
        known = self.state.criteria.keys() | self.state.mapping.keys()
        while len(self._state_levels) > 1 and self._state_levels[-1] > level:
            self._state_levels.pop()
            self._states.pop()
        self._states.pop()
        self._push_new_state()
        # What the dropped states had pinned may hold at a lower level too: it is looked at again.
        lost = known - self.state.mapping.keys()
        self._space.store.unpinned.update(self._provider.variable(name).index for name in lost)


def lift_or_give_up(space: Space) -> None:
    """No solution at level 0: lift the assumptions it rests on. Raises `Unsolvable` where it rests on none."""
    refutation = space.store.refutation
    assert refutation is not None
    if not space.assumptions.lift(refutation.marks):
        raise Unsolvable(refutation)


def run(space: Space, roots: Iterable[Implication], reporter: Reporter, max_rounds: int) -> Mapping[str, Candidate]:
    """Resolve; returns the pins by identifier. Raises `Unsolvable` and resolvelib's `ResolutionTooDeep`."""
    loader = Loader(space)
    while True:
        conflict = loader.settle()
        if space.assumptions.lifting:
            space.assumptions.lift(0)
        elif conflict is None:
            break
        else:
            learned = space.store.learn()
            assert learned is None, "nothing was decided yet"
            lift_or_give_up(space)
    always = [root for root in roots if not root.source]  # the others hang on python, by a marker
    state = Joint(Provider(space), reporter, loader).resolve(always, max_rounds=max_rounds)
    reporter.metadata_read = loader.metadata_read
    return state.mapping

"""The store: one bitmask domain per variable, clauses over masks, propagation and clause learning (CDCL).

A variable's domain is an `int`: bit 0 means "absent", bit i+1 the i-th candidate, best first. A *clause* is a tuple of
`(variable, mask)` terms, of which at least one must not hold. A term *holds*, or is satisfied, when the domain is a
subset of its mask. When all terms but one hold, the mask of that one is pruned from its domain (unit propagation).

A conflict is resolved backwards along the trail to the first unique implication point, with masks instead of literals:
the masks of the pivot are united, those of any other variable intersected. The learned clause is a clause like any
other (Marques-Silva and Sakallah 1996; Zhang et al. 2001, applied to finite domains).

Clauses may rest on *assumptions* (a bit set). Learned clauses inherit the assumptions of their parents; if a
refutation rests on an assumption, it can be lifted: its clauses are dropped and the search restarts at level 0.

Example: `((a, 0b010), (b, 0b101))` forbids the first candidate of `a` with any of `b` but its first. Once `a` is
decided as `0b010`, the domain of `b` becomes `0b010`.

Pure: integers and tuples only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

__all__ = ["Clause", "Store"]

Term = tuple[int, int]

_LONG_JUMP = 10  # levels; a longer jump goes back one level only, because most pins between would be made again
_ACTIVITY_GROWTH = 1.05


class Clause:
    """At least one term must not hold. `fact` is the reason in words; a learned clause has `parents`.

    Two terms of one variable (a package that depends on itself) are merged: the domain would have to be in both masks.
    """

    __slots__ = ("assumptions", "fact", "parents", "terms")

    def __init__(
        self, terms: Sequence[Term], fact: object = None, assumptions: int = 0, parents: Sequence[Clause] = ()
    ) -> None:
        # Almost every clause has two terms of two variables.
        is_plain = len(terms) == 2 and terms[0][0] != terms[1][0]
        self.terms = tuple(terms) if is_plain or len(dict(terms)) == len(terms) else _united(terms)
        self.fact = fact
        self.assumptions = assumptions
        self.parents = tuple(parents)


def _united(terms: Iterable[Term]) -> tuple[Term, ...]:
    masks: dict[int, int] = {}
    for variable, mask in terms:
        masks[variable] = masks.get(variable, -1) & mask
    return tuple(masks.items())


class Store:
    """Domains, clauses, trail. A variable is an index from `new_variable`; its candidates may become known later."""

    def __init__(self) -> None:
        self.domains: list[int] = []
        self.full: list[int] = []
        self.activity: list[float] = []
        self.conflicts = 0
        self._binary: list[list[tuple[int, int, int, Clause]]] = []
        self._longer: list[list[Clause]] = []
        self._entries: list[list[int]] = []  # variable -> its positions on the trail
        self._trail: list[tuple[int, int, Clause | None]] = []  # (variable, domain before, reason)
        self._starts: list[int] = []  # trail length at which each level began
        self._levels: list[int] = []  # level of each trail entry
        self._queue: list[int] = []
        self._queued: list[bool] = []
        self._narrowed: set[int] = set()  # queued because their candidates were read; a backjump does not undo that
        self._conflict: Clause | None = None
        self._clauses: list[Clause] = []
        self._recent: list[tuple[int, Clause]] = []  # (level, clause) to check again after a backjump
        self._bump = 1.0
        self._has_grown = False
        self.refutation: Clause | None = None
        # Variables whose domain changed since the loader, the search and its order last cleared their set.
        self.touched: set[int] = set()
        self.unpinned: set[int] = set()
        self.reordered: set[int] = set()

    @property
    def level(self) -> int:
        """The number of open decisions."""
        return len(self._starts)

    def new_variable(self) -> int:
        """Add a variable with unknown candidates: its domain is every bit that is not pruned."""
        self.domains.append(-1)
        self.full.append(-1)
        self.activity.append(0.0)
        self._binary.append([])
        self._longer.append([])
        self._entries.append([])
        self._queued.append(False)
        return len(self.domains) - 1

    def set_full(self, variable: int, full: int) -> None:
        """Set the candidates of a variable (bit 0 included). `extend` may add to them later."""
        self.full[variable] = full
        self.domains[variable] &= full
        self._enqueue(variable)
        self._narrowed.add(variable)
        if not self.domains[variable] and self._conflict is None:
            # It was required before its candidates were read: the clause that required it is the conflict.
            position = self._entries[variable][-1]
            self._conflict = self._trail[position][2]

    def extend(self, variable: int, bits: int) -> None:
        """Add candidates; the caller adds their clauses at once.

        Clauses learned before may not hold with them: call `lift` before the search continues; it drops them.
        """
        self._has_grown = True
        self.full[variable] |= bits
        self.domains[variable] |= bits
        for position in self._entries[variable]:
            owner, before, reason = self._trail[position]
            self._trail[position] = (owner, before | bits, reason)

    def is_required(self, variable: int) -> bool:
        return not self.domains[variable] & 1

    def is_decided(self, variable: int) -> bool:
        """Return whether the variable is required, known, and has one candidate left."""
        domain = self.domains[variable]
        return domain > 0 and not domain & 1 and not domain & (domain - 1)

    def satisfied(self, terms: Iterable[Term]) -> bool:
        """Return whether all terms hold."""
        domains = self.domains
        for variable, mask in terms:  # noqa: SIM110 - as a generator it takes twice as long
            if domains[variable] & ~mask:
                return False
        return True

    # Clauses -------------------------------------------------------------------------------------------------------

    def add(self, clause: Clause) -> None:
        """Add a clause and apply it at once; `propagate` reports a conflict."""
        terms = clause.terms
        if len(terms) == 2:  # almost always, and if neither term holds, nothing follows yet
            (one, mask_one), (two, mask_two) = terms
            self._clauses.append(clause)
            self._binary[one].append((mask_one, two, mask_two, clause))
            self._binary[two].append((mask_two, one, mask_one, clause))
            if self.domains[one] & ~mask_one and self.domains[two] & ~mask_two:
                return
        else:
            self._register(clause)
        if self._check(clause) and self._starts:
            self._recent.append((len(self._starts), clause))

    def _register(self, clause: Clause) -> None:
        self._clauses.append(clause)
        terms = clause.terms
        if len(terms) == 2:
            (one, mask_one), (two, mask_two) = terms
            self._binary[one].append((mask_one, two, mask_two, clause))
            self._binary[two].append((mask_two, one, mask_one, clause))
        else:
            for variable, _ in terms:
                self._longer[variable].append(clause)

    def _check(self, clause: Clause) -> bool:
        """Apply a clause. Returns whether at most one term does not hold."""
        domains = self.domains
        open_term: Term | None = None
        for term in clause.terms:
            if domains[term[0]] & ~term[1]:
                if open_term is not None:
                    return False
                open_term = term
        if open_term is None:
            if self._conflict is None:
                self._conflict = clause
        elif domains[open_term[0]] & open_term[1]:
            self._prune(open_term[0], open_term[1], clause)
        return True

    def _prune(self, variable: int, mask: int, reason: Clause | None) -> None:
        before = self.domains[variable]
        self._entries[variable].append(len(self._trail))
        self._trail.append((variable, before, reason))
        self._levels.append(len(self._starts))
        self.domains[variable] = before & ~mask
        self._enqueue(variable)

    def _enqueue(self, variable: int) -> None:
        self.touched.add(variable)
        self.unpinned.add(variable)
        self.reordered.add(variable)
        if not self._queued[variable]:
            self._queued[variable] = True
            self._queue.append(variable)

    def learned(self) -> Iterator[Clause]:
        """Yield the learned clauses that rest on no assumption."""
        return (clause for clause in self._clauses if clause.parents and not clause.assumptions)

    # Search --------------------------------------------------------------------------------------------------------

    def decide(self, variable: int, bits: int) -> None:
        """Open a level and leave only these candidates of `variable`."""
        assert self.domains[variable] & bits, "the candidate is not in the domain"
        self._starts.append(len(self._trail))
        self._prune(variable, self.domains[variable] & ~bits, None)

    def propagate(self) -> Clause | None:
        """Apply unit propagation until nothing follows. Returns the violated clause, or `None`."""
        domains, binary, longer = self.domains, self._binary, self._longer
        queue, queued, narrowed = self._queue, self._queued, self._narrowed
        while queue and self._conflict is None:
            variable = queue.pop()
            queued[variable] = False
            narrowed.discard(variable)
            domain = domains[variable]
            for mask, other, other_mask, clause in binary[variable]:
                if not domain & ~mask:
                    left = domains[other]
                    if left & other_mask:
                        if not left & ~other_mask:
                            self._conflict = clause
                            break
                        self._prune(other, other_mask, clause)
            else:
                for clause in longer[variable]:
                    self._check(clause)
                    if self._conflict is not None:
                        break
        if self._conflict is not None:
            self._clear_queue()
        return self._conflict

    def _clear_queue(self) -> None:
        for variable in self._queue:
            self._queued[variable] = False
        self._queue.clear()
        for variable in self._narrowed:
            self._queued[variable] = True
            self._queue.append(variable)

    def learn(self) -> tuple[Clause, int] | None:
        """Analyse the current conflict; returns a learned clause and the level to jump back to.

        `None`: the conflict holds at level 0, so there is no solution; `refutation` is its proof.
        """
        conflict = self._conflict
        if conflict is None:
            raise ValueError("there is no conflict to learn from")
        self.conflicts += 1
        highest = max((self._satisfied_at(variable, mask) for variable, mask in conflict.terms), default=0)
        if highest < self.level:
            self._undo(highest)  # the conflict does not depend on the last decisions
        terms, assumptions, parents, pivot = self._analyze(conflict)
        learned = Clause(sorted(terms.items()), assumptions=assumptions, parents=parents)
        if pivot is None:
            self.refutation = learned
            return None
        self._bump *= _ACTIVITY_GROWTH
        level = 0
        for variable, mask in learned.terms:
            self.activity[variable] += self._bump
            if variable != pivot:
                level = max(level, self._satisfied_at(variable, mask))
        if self.level - level > _LONG_JUMP:
            level = self.level - 1
        return learned, level

    def _analyze(self, conflict: Clause) -> tuple[dict[int, int], int, list[Clause], int | None]:
        terms = dict(conflict.terms)
        assumptions, parents = conflict.assumptions, [conflict]
        start = self._starts[-1] if self._starts else 0
        at_start: dict[int, int] = {}  # domains at the start of this level, if changed in it
        for position in range(len(self._trail) - 1, start - 1, -1):
            variable, before, _ = self._trail[position]
            at_start[variable] = before & self.full[variable]
        open_here = {v for v, mask in terms.items() if v in at_start and at_start[v] & ~mask}
        for position in range(len(self._trail) - 1, start - 1, -1):
            variable, before, reason = self._trail[position]
            if variable not in open_here or not before & self.full[variable] & ~terms[variable]:
                continue
            if self._starts and len(open_here) == 1:
                return terms, assumptions, parents, variable
            if reason is None:
                raise AssertionError("a decision is the last implication point of its level")
            assumptions |= reason.assumptions
            parents.append(reason)
            self._resolve(terms, variable, reason)
            open_here = {v for v, mask in terms.items() if v in at_start and at_start[v] & ~mask}
        return terms, assumptions, parents, None

    def _resolve(self, terms: dict[int, int], pivot: int, reason: Clause) -> None:
        """Resolve `terms` with `reason` on `pivot`: unite the pivot's masks, intersect the others'."""
        for variable, mask in reason.terms:
            if variable == pivot:
                terms[pivot] |= mask
            else:
                terms[variable] = terms[variable] & mask if variable in terms else mask
        if self.full[pivot] >= 0 and not self.full[pivot] & ~terms[pivot]:
            del terms[pivot]  # the term always holds: its mask has every candidate

    def _satisfied_at(self, variable: int, mask: int) -> int:
        """Return the level at which the variable's domain became a subset of `mask`."""
        for position in reversed(self._entries[variable]):
            if self._trail[position][1] & self.full[variable] & ~mask:
                return self._levels[position]
        return 0

    def backjump(self, level: int) -> None:
        """Undo every decision above `level`.

        Clauses added above it are applied again if they were unit or violated when they were added; no other can be
        now.
        """
        self._undo(level)
        self._conflict = None
        self._clear_queue()
        again = []
        while self._recent and self._recent[-1][0] > level:
            again.append(self._recent.pop()[1])
        for clause in reversed(again):
            if self._check(clause) and level:
                self._recent.append((level, clause))

    def _undo(self, level: int) -> None:
        if level >= len(self._starts):
            return
        start = self._starts[level]
        for position in range(len(self._trail) - 1, start - 1, -1):
            variable, before, _ = self._trail[position]
            self.domains[variable] = before & self.full[variable]
            self._entries[variable].pop()
            self.touched.add(variable)
            self.unpinned.add(variable)
            self.reordered.add(variable)
        del self._trail[start:], self._levels[start:], self._starts[level:]

    def lift(self, assumptions: int) -> None:
        """Drop every clause that rests on one of these assumptions and restart at level 0."""
        has_grown, self._has_grown = self._has_grown, False
        kept = [c for c in self._clauses if not c.assumptions & assumptions and not (has_grown and c.parents)]
        self._trail.clear()
        self._levels.clear()
        self._starts.clear()
        self._recent.clear()
        self._conflict = None
        self._clear_queue()
        self._clauses = []
        for variable, full in enumerate(self.full):
            self.domains[variable] = full
            self._binary[variable].clear()
            self._longer[variable].clear()
            self._entries[variable].clear()
            self.touched.add(variable)
            self.unpinned.add(variable)
        for clause in kept:
            self._register(clause)
        for clause in kept:
            self._check(clause)

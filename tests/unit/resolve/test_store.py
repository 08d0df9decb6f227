"""The store alone: what follows from clauses over masks, what is learned from a conflict, and what is taken back.

The property tests compare it with exhaustive search over every assignment (one candidate, or "absent", a variable).
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.resolve.masks import ABSENT, PRESENT
from bridge.resolve.store import Clause, Store
from tests.support.store_search import Problem, Search, bits, has_solution, holds, leaves

A, B, C, D = 1 << 1, 1 << 2, 1 << 3, 1 << 4  # the candidates of a variable, best first


def store_of(*fulls: int) -> Store:
    store = Store()
    for full in fulls:
        store.set_full(store.new_variable(), full)
    return store


# Propagation


def test_a_clause_with_one_open_term_strikes_its_mask() -> None:
    store = store_of(ABSENT | A | B, ABSENT | A | B)
    store.add(Clause(((0, A), (1, ABSENT | B))))
    assert store.propagate() is None
    assert store.domains == [ABSENT | A | B, ABSENT | A | B]
    store.decide(0, A)
    assert store.propagate() is None
    assert store.domains[1] == A
    assert store.is_required(1)
    assert store.is_decided(1)


def test_what_follows_is_drawn_through_a_chain_of_clauses() -> None:
    length = 50
    store = store_of(*[ABSENT | A] * length)
    for place in range(length - 1):
        store.add(Clause(((place, A), (place + 1, ABSENT))))
    store.add(Clause(((0, ABSENT),)))
    assert store.propagate() is None
    assert store.domains == [A] * length
    assert store.level == 0


def test_a_clause_of_three_terms_waits_for_two_of_them() -> None:
    store = store_of(ABSENT | A, ABSENT | A | B, ABSENT | A)
    store.add(Clause(((0, A), (1, A), (2, ABSENT))))
    store.decide(0, A)
    assert store.propagate() is None
    assert not store.is_required(2)
    store.decide(1, A)
    assert store.propagate() is None
    assert store.is_decided(2)


def test_a_clause_that_is_unit_when_it_is_added_acts_at_once() -> None:
    store = store_of(ABSENT | A | B)
    store.add(Clause(((0, ABSENT | A),)))
    assert store.domains[0] == B


def test_a_clause_that_is_violated_when_it_is_added_is_reported_by_propagate() -> None:
    store = store_of(ABSENT | A | B)
    first = Clause(((0, ABSENT | A),))
    second = Clause(((0, B),))
    store.add(first)
    store.add(second)
    assert store.propagate() is second


def test_two_terms_of_one_variable_are_one() -> None:
    """A record that constrains its own name to other versions is out of the question; the others are not."""
    store = store_of(A | B | C)
    store.add(Clause(((0, A), (0, A | B))))
    assert store.domains == [B | C]
    store.add(Clause(((0, B), (0, ABSENT | A | B), (0, B | C))))
    assert store.propagate() is None
    assert store.domains == [C]


def test_candidates_that_become_known_late_narrow_what_was_struck_before() -> None:
    store = Store()
    variable = store.new_variable()
    store.add(Clause(((variable, ABSENT),)))
    assert store.is_required(variable)
    assert not store.is_decided(variable)  # its candidates are not known yet
    store.set_full(variable, ABSENT | A)
    assert store.propagate() is None
    assert store.is_decided(variable)


def test_what_becomes_known_while_a_conflict_waits_is_not_forgotten() -> None:
    """A name that was needed before the conflict, and stays so after the jump back, turns out to be empty meanwhile."""
    store = store_of(ABSENT | A | B, ABSENT | A | B, ABSENT | A)
    late = store.new_variable()
    needs = Clause(((0, A), (late, ABSENT)))
    store.add(needs)
    store.add(Clause(((0, A), (1, A), (2, ABSENT))))
    store.add(Clause(((0, A), (1, A), (2, A))))
    store.decide(0, A)
    assert store.propagate() is None
    store.decide(1, A)
    assert store.propagate() is not None
    store.set_full(late, ABSENT)
    learned = store.learn()
    assert learned is not None
    store.backjump(learned[1])
    assert store.level == 1
    store.add(learned[0])
    assert store.propagate() is needs


def test_a_required_name_that_turns_out_to_be_empty_is_a_conflict_of_who_requires_it() -> None:
    store = store_of(ABSENT | A | B)
    unknown = store.new_variable()
    needs = Clause(((0, A), (unknown, ABSENT)))
    store.add(needs)
    store.decide(0, A)
    assert store.propagate() is None
    store.set_full(unknown, ABSENT)
    assert store.propagate() is needs
    learned = store.learn()
    assert learned is not None
    assert learned[1] == 0
    store.backjump(learned[1])
    store.add(learned[0])
    assert store.propagate() is None
    assert store.domains == [ABSENT | B, ABSENT]


def test_touched_and_unpinned_name_what_changed() -> None:
    store = store_of(ABSENT | A, ABSENT | A)
    store.touched.clear()
    store.unpinned.clear()
    store.decide(1, A)
    assert store.touched == store.unpinned == {1}
    store.touched.clear()
    store.backjump(0)
    assert 1 in store.touched


# Learning


def conflict_of(store: Store) -> Clause:
    conflict = store.propagate()
    assert conflict is not None
    return conflict


def test_learning_needs_a_conflict() -> None:
    with pytest.raises(ValueError, match="no conflict"):
        store_of(ABSENT | A).learn()


def test_the_learned_clause_speaks_of_the_decisions_that_matter() -> None:
    """0=A and 1=A together need 2 to be A, and to be B: the two are barred, and what is between is jumped over."""
    store = store_of(A | B, A | B, ABSENT | A | B, A | B)
    store.add(Clause(((0, A), (1, A), (2, ABSENT | B))))
    store.add(Clause(((0, A), (1, A), (2, ABSENT | A))))
    for variable in (0, 3, 1):  # 3 has nothing to do with it
        assert store.propagate() is None
        store.decide(variable, A)
    conflict_of(store)
    learned = store.learn()
    assert learned is not None
    clause, level = learned
    assert dict(clause.terms) == {0: A, 1: A}
    assert level == 1
    store.backjump(level)
    store.add(clause)
    assert store.propagate() is None
    assert store.domains[1] == B
    assert store.domains[3] == A | B
    assert store.activity[1] > 0
    assert store.activity[3] == 0


def test_a_long_jump_is_made_one_level_at_a_time() -> None:
    store = store_of(A | B, *[A | B] * 30, A | B, ABSENT | A | B)
    store.add(Clause(((0, A), (31, A), (32, ABSENT | B))))
    store.add(Clause(((0, A), (31, A), (32, ABSENT | A))))
    for variable in range(32):
        assert store.propagate() is None
        store.decide(variable, A)
    conflict_of(store)
    learned = store.learn()
    assert learned is not None
    assert learned[1] == 31
    store.backjump(learned[1])
    store.add(learned[0])
    assert store.propagate() is None
    assert store.domains[31] == B
    store.backjump(5)  # the learned clause holds below the level at which it was added, too
    assert store.propagate() is None
    assert store.domains[31] == B


def test_a_conflict_that_held_before_the_last_decisions_goes_back_to_where_it_arose() -> None:
    store = store_of(A | B, A | B, A | B)
    store.decide(0, A)
    store.decide(1, A)
    store.decide(2, A)
    assert store.propagate() is None
    store.add(Clause(((0, A), (1, A))))
    conflict_of(store)
    learned = store.learn()
    assert learned is not None
    assert learned[0].terms == ((0, A), (1, A))
    assert learned[1] == 1


def test_a_conflict_without_decisions_is_a_refutation() -> None:
    store = store_of(ABSENT | A | B)
    given_clauses = [Clause(((0, ABSENT),)), Clause(((0, A),)), Clause(((0, B),))]
    for clause in given_clauses:
        store.add(clause)
    conflict_of(store)
    assert store.learn() is None
    assert store.refutation is not None
    assert {id(leaf) for leaf in leaves(store.refutation)} == {id(clause) for clause in given_clauses}


# Going back, lifting, widening


def test_clauses_added_deeper_hold_after_a_backjump() -> None:
    store = store_of(A | B, A | B, A | B)
    store.decide(0, A)
    assert store.propagate() is None
    store.decide(1, A)
    assert store.propagate() is None
    store.add(Clause(((0, A), (2, A))))
    assert store.domains[2] == B
    store.backjump(1)
    assert store.propagate() is None
    assert store.domains == [A, A | B, B]
    store.backjump(0)
    assert store.propagate() is None
    assert store.domains == [A | B, A | B, A | B]


def test_an_assumption_is_lifted_with_all_that_was_learned_from_it() -> None:
    store = store_of(A | B, A | B)
    store.add(Clause(((0, A), (1, A)), "fact"))
    store.add(Clause(((0, A), (1, B)), "assumed", assumptions=1))
    store.add(Clause(((0, B),), "fact"))
    conflict_of(store)
    assert store.learn() is None
    assert store.refutation is not None
    assert store.refutation.assumptions == 1
    store.lift(1)
    assert store.propagate() is None
    assert store.domains == [A, B]


def test_a_wider_domain_takes_back_what_rested_on_its_being_narrow() -> None:
    """A file that is known by its URL only joins its project late: nothing learned without it may bar it."""
    store = store_of(A | B, A | B, ABSENT | A | B)
    store.add(Clause(((0, A), (1, B))))  # 0=A needs 1=A
    store.add(Clause(((0, A), (2, ABSENT | B))))  # 0=A needs 2=A
    store.add(Clause(((1, A), (2, ABSENT | A))))  # 1=A needs 2=B
    store.decide(0, A)
    conflict_of(store)
    learned = store.learn()
    assert learned is not None
    store.backjump(learned[1])
    store.add(learned[0])
    assert store.propagate() is None
    assert store.domains[0] == B
    store.extend(2, C)  # it meets both
    store.lift(0)
    assert store.propagate() is None
    store.decide(0, A)
    assert store.propagate() is None
    assert store.domains == [A, A, C]


# Against exhaustive search


@st.composite
def problems(draw: st.DrawFn, *, max_delay: int = 0, max_assumption: int = 0, has_late: bool = False) -> Problem:
    count = draw(st.integers(2, 5))
    fulls = tuple(draw(st.integers(1, 2 ** draw(st.integers(1, 4)) - 1)) | ABSENT for _ in range(count))
    size = draw(st.integers(1, 24))
    clauses = []
    for _ in range(size):
        variables = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3))
        masks = [draw(st.integers(1, 15) | st.sampled_from([ABSENT, PRESENT])) for _ in variables]
        clauses.append(tuple(zip(variables, masks, strict=True)))
    delays = tuple(draw(st.integers(0, max_delay)) for _ in range(size))
    assumptions = tuple(draw(st.sampled_from([0, 0, 1, 2][: 2 + max_assumption])) for _ in range(size))
    late = draw(st.frozensets(st.integers(0, count - 1))) if has_late else frozenset()
    return Problem(fulls, tuple(clauses), delays, assumptions, late)


def check_against_exhaustive_search(problem: Problem) -> None:
    search = Search(problem)
    found = search.run()
    firm = [
        clause for clause, mark in zip(problem.clauses, problem.assumptions, strict=True) if not mark & search.lifted
    ]
    assert (found is not None) == has_solution(problem.fulls, firm)
    if found is not None:
        assert all(value & full and not value & (value - 1) for value, full in zip(found, problem.fulls, strict=True))
        assert holds(found, firm)
        return
    proof = search.store.refutation
    assert proof is not None
    assert proof.assumptions == 0
    rests_on = leaves(proof)
    assert all(leaf.fact is not None and not leaf.assumptions for leaf in rests_on)
    assert not has_solution(problem.fulls, [leaf.terms for leaf in rests_on])


@settings(max_examples=100, deadline=None)
@given(problems())
def test_the_verdict_is_that_of_exhaustive_search(problem: Problem) -> None:
    """MUST: a solution is found where there is one, and a refutation rests on clauses that exclude each other."""
    check_against_exhaustive_search(problem)


@settings(max_examples=100, deadline=None)
@given(problems(max_delay=4, has_late=True))
def test_facts_that_come_to_light_late_change_no_verdict(problem: Problem) -> None:
    """MUST: facts may be read at any level of the search; what is found is what all of them together allow."""
    check_against_exhaustive_search(problem)


@settings(max_examples=80, deadline=None)
@given(problems(max_delay=3, max_assumption=2))
def test_assumptions_are_lifted_only_where_no_solution_rests_on_them(problem: Problem) -> None:
    """MUST: an answer never depends on an assumption that was lifted, and none is lifted in vain."""
    check_against_exhaustive_search(problem)
    search = Search(problem)
    search.run()
    if search.lifted:
        assert not has_solution(problem.fulls, problem.clauses)


@settings(max_examples=80, deadline=None)
@given(problems(max_delay=3), st.lists(st.tuples(st.integers(0, 5), st.integers(1, 15)), max_size=8))
def test_every_learned_clause_follows_from_those_it_rests_on(problem: Problem, order: list[tuple[int, int]]) -> None:
    """MUST: what is learned is implied by what was given, whatever was decided and in whichever order."""
    search = Search(problem)
    store = search.store
    search.reveal(max(problem.delays))
    for variable, wish in order:
        if store.propagate() is not None:
            break
        if variable < len(problem.fulls) and store.domains[variable] & (store.domains[variable] - 1):
            left = store.domains[variable] & wish or store.domains[variable]
            store.decide(variable, left & -left)
    if store.propagate() is None:
        return
    learned = store.learn()
    clause = learned[0] if learned is not None else store.refutation
    assert clause is not None
    if learned is not None:
        assert learned[1] < store.level
    given_clauses = [leaf.terms for leaf in leaves(clause)]
    for assignment in itertools.product(*map(bits, problem.fulls)):
        if holds(assignment, given_clauses):
            assert holds(assignment, [clause.terms])

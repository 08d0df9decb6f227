"""Sentences of an explanation, one by one."""

from __future__ import annotations

import pytest

from bridge.errors import few
from bridge.resolve.encode.encoder import Encoder
from bridge.resolve.encode.facts import Constrains, Depends
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import VariableId
from bridge.resolve.explain.derivation import _alternatives
from bridge.resolve.explain.sentences import Sentences, virtual_name
from bridge.resolve.masks import ABSENT
from bridge.resolve.store import Clause
from tests.support.resolver_worlds import World, record


@pytest.mark.parametrize(("absent", "present", "expected"), [
    ("", "", "there is a contradiction"),
    ("a", "", "a is needed"),
    ("", "b", "b 1.0 (conda) cannot be used"),
    ("", "bc", "b 1.0 (conda) and c 1.0 (conda) cannot be used together"),
    ("a", "b", "b 1.0 (conda) cannot be used without a"),
    ("a", "bc", "b 1.0 (conda) and c 1.0 (conda) cannot be used without a"),
])  # fmt: skip
def test_what_a_learned_clause_means(absent: str, present: str, expected: str) -> None:
    """A clause excludes that all of its terms hold: an absent name among them is one that is needed."""
    space = Space(World(records=tuple(record(name, "1.0") for name in "abc")).catalog())
    encoder = Encoder(space)
    ids = {name: encoder.read_candidates(space.conda(name)) for name in "abc"}
    terms = [*((ids[name], ABSENT) for name in absent), *((ids[name], 2) for name in present)]
    assert Sentences(space).consequence(Clause(terms)) == expected


@pytest.mark.parametrize(("text", "name"), [
    ("__glibc >=2.17", "__glibc"), ("  __cuda", "__cuda"), ("conda:__osx", "__osx"), ("glibc", ""), ("a __b", ""),
])  # fmt: skip
def test_the_virtual_package_of_a_matchspec(text: str, name: str) -> None:
    assert virtual_name(text) == name


def test_what_is_left_out_of_a_list_is_counted() -> None:
    assert few(["a", "b"], 2) == "a, b"
    assert few(["a", "b", "c"], 2) == "a, b and 1 more"


def test_only_what_candidates_require_is_merged() -> None:
    """Facts of one name on the same target: of dependencies each candidate states one, constraints all hold."""
    constraints = [
        Constrains("a <2", VariableId(1), 2, VariableId(3)),
        Constrains("a <3", VariableId(1), 4, VariableId(3)),
    ]
    assert _alternatives(constraints) == constraints
    dependencies = [Depends(*fact) for fact in constraints]
    assert len(_alternatives(dependencies)) == 1

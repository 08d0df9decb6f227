"""The immutable values of one search: variables, the meaning of their bits, and demands.

Variables and demands are referred to by id, their place in the tables of a `Space`. State that changes during a search
is in the store (domains), the loader (what was read) and `Assumptions`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from bridge.requirements.algebra import Requirement
from bridge.resolve.candidates.packages import CondaName
from bridge.resolve.candidates.projects import Project
from bridge.resolve.encode.facts import Fact, VariableId
from bridge.resolve.store import Term
from converters.deferred import NamedTuple, dataclass

__all__ = ["Candidate", "Demand", "DemandId", "Meaning", "Variable", "VariableId", "VariableKind"]

DemandId: TypeAlias = int
VariableKind = Literal["conda", "wheels", "selector", "extra"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One identifier of the resolver (`docs/decisions/0004-resolver.md`). `id` is its place in the store.

    * `conda`: `key` is a conda name; its candidates are the records, then "the wheel of its project".
    * `wheels`: `key` is a project; its candidates are files, which are read only when a wheel may be taken.
    * `selector`: selects what provides a project that has several providers, or shares one with other projects:
      one candidate per provider, then "a wheel".
    * `extra`: `key[extra]`, on or absent; with `is_of_records`, `key` is a conda name.
    """

    id: VariableId
    name: str
    kind: VariableKind
    key: str
    extra: str = ""
    is_of_records: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What the bits of a variable stand for, as far as it was read.

    :param conda: the records of a conda name.
    :param project: the files of a project.
    :param providers: the conda variables behind a selector, one per bit.
    :param wheels: the variable of the wheels behind `wheel_bit`.
    :param wheel_bit: "the wheel of this project", after all other candidates.
    """

    conda: CondaName | None = None
    project: Project | None = None
    providers: tuple[VariableId, ...] = ()
    wheels: VariableId | None = None
    wheel_bit: int = 0


class Demand(NamedTuple):
    """An implication: if all `source` terms hold, the target is one of its allowed candidates (`Space.allowed`).

    An optional demand also allows an absent target (`constrains`). One that rests on an `assumption` ends with it.
    """

    source: tuple[Term, ...]
    target: VariableId
    requirement: Requirement | None
    fact: Fact
    is_optional: bool = False
    assumption: int = 0


class Candidate(NamedTuple):
    """One candidate of one variable."""

    variable: VariableId
    bit: int

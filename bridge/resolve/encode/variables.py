"""The values of one search: variables, what their bits stand for, and demands. All are immutable and refer by id.

A variable and a demand are known by their ids, their places in the tables of a `Space`. What changes during a search
lives in tables of whoever changes it: domains in the store, what was read in the loader, assumptions in theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from bridge.requirements.algebra import Requirement
from bridge.resolve.candidates.packages import CondaName, Project
from bridge.resolve.encode.facts import Fact, VariableId
from bridge.resolve.store import Term

__all__ = ["Candidate", "Demand", "DemandId", "Meaning", "Variable", "VariableId", "VariableKind"]

DemandId: TypeAlias = int
VariableKind = Literal["conda", "wheels", "selector", "extra"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One identifier of the resolver (`docs/decisions/0004-resolver.md`). `id` is its place in the store.

    * `conda`: `key` is a conda name; its candidates are the records, then "the wheel of its project".
    * `wheels`: `key` is a project; its candidates are files. Read only when a wheel is to be taken.
    * `slot`: a project that several conda names carry, or one among many of a name: "carried by NAME", then "a wheel".
    * `extra`: `key[extra]`, on or absent; where it `is_of_records`, `key` is a conda name.
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
    :param providers: the variables of the conda names behind a slot, one a bit.
    :param wheels: the variable of the wheels behind `wheel_bit`.
    :param wheel_bit: "the wheel of this project", after all other candidates.
    """

    conda: CondaName | None = None
    project: Project | None = None
    providers: tuple[VariableId, ...] = ()
    wheels: VariableId | None = None
    wheel_bit: int = 0


class Demand(NamedTuple):
    """If all `source` terms hold, the target must be one of the candidates that the demand allows (`Space.allowed`).

    An optional one also allows that the target is absent (`constrains`).
    """

    source: tuple[Term, ...]
    target: VariableId
    requirement: Requirement | None
    fact: Fact
    is_optional: bool = False


class Candidate(NamedTuple):
    """One candidate of one variable."""

    variable: VariableId
    bit: int

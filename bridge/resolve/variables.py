"""The values of one search: variables, the facts behind clauses, and implications from one variable to another.

They grow while facts are loaded, so they are no frozen values; they live and die with one solve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from bridge.requirements.algebra import Requirement
from bridge.resolve.catalog import CondaName, Project
from bridge.resolve.masks import PRESENT
from bridge.resolve.needs import Need
from bridge.resolve.store import Term
from converters.wheel import CoreMetadata

__all__ = ["Fact", "FactKind", "Implication", "Variable"]

VariableKind = Literal["conda", "wheels", "slot", "extra"]
FactKind = Literal[
    "asked",
    "present",
    "foreign",
    "constraint",
    "pinned",
    "depends",
    "constrains",
    "provides",
    "serves",
    "owner",
    "needs-python",
    "tags",
    "requires-python",
    "virtual",
    "yanked",
    "prerelease",
    "too-new",
    "only",
    "unreadable",
    "no-extra",
]


@dataclass(slots=True, eq=False, kw_only=True)
class Variable:
    """One identifier of the resolver (`docs/decisions/0004-resolver.md`). `index` is its place in the store.

    * `conda`: `key` is a conda name; its candidates are the records, then "the wheel of its project" (`wheel_bit`).
    * `wheels`: `key` is a project; its candidates are files. Read only when a wheel is to be taken.
    * `slot`: a project that several conda names carry, or one among many of a name: "carried by NAME", then "a wheel".
    * `extra`: `key[extra]`, on or absent.
    """

    index: int
    name: str
    kind: VariableKind
    key: str
    extra: str = ""
    is_asked: bool = False
    asked: set[str] = field(default_factory=set)  # the kinds of the requirements that ask for it by this name
    is_known: bool = False
    is_of_records: bool = False  # extra: `key` is a conda name, and its records say what the extra adds
    conda: CondaName | None = None
    project: Project | None = None
    carriers: tuple[Variable, ...] = ()
    wheels: Variable | None = None
    wheel_bit: int = 0
    demands: list[Implication] = field(default_factory=list)  # onto this variable
    loaded: int = 0  # candidates whose facts are in the store
    loaded_python: int = 0  # candidates whose facts about python are
    unread_python: Sequence[Need] = ()  # what its records state of python, and the store has not been told
    unread: Sequence[Need] = ()  # the same, of all else
    metadata: dict[int, CoreMetadata] = field(default_factory=dict)
    served: dict[int, int] = field(default_factory=dict)  # extra: owner's index -> candidates read for it
    prerelease_mark: int = 0
    yanked_mark: int = 0
    yanked: int = 0


@dataclass(slots=True, eq=False)
class Fact:
    """Why a clause holds, in terms a person knows: `subject` is the variable that speaks, `bits` its candidates."""

    kind: FactKind
    text: str = ""
    subject: Variable | None = None
    bits: int = 0
    target: Variable | None = None


@dataclass(slots=True, eq=False)
class Implication:
    """If all `source` terms hold, `target` must be one of `allowed`; optional: or be absent (`constrains`)."""

    source: tuple[Term, ...]
    target: Variable
    requirement: Requirement | None
    fact: Fact
    is_optional: bool = False
    allowed: int = PRESENT

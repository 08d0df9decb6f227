"""The kinds of clauses: why one holds, as a value. Each kind is a type; its docstring has its sentence in SAT terms.

In these sentences `s` is "the subject is one of `bits`", `T` a set of candidates of the target, `t in T` that the
target is one of them, `absent(t)` that it is not installed; a clause is a disjunction. The store keeps the negation of
a conjunction: `not s or t in T` is the pair of terms `(s, bits)` and `(t, everything but T)`.
What a clause rests on beside the subject (a marker's python, an extra that is on) is a further negated term.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

__all__ = [
    "Constrains",
    "Constraint",
    "Depends",
    "Fact",
    "KeptForeign",
    "KeptInstalled",
    "NeedsPython",
    "NoExtra",
    "Only",
    "Pinned",
    "Prerelease",
    "Provides",
    "Requested",
    "RequiresPython",
    "SameProject",
    "Serves",
    "Tags",
    "TooNew",
    "Unreadable",
    "VariableId",
    "Virtual",
    "Yanked",
]

VariableId: TypeAlias = int


class _Fields(NamedTuple):
    text: str = ""
    subject: VariableId | None = None
    bits: int = 0
    target: VariableId | None = None


class Fact(_Fields):
    """Why a clause holds, in terms a person knows.

    `text` is what was written; `subject` the variable whose candidates `bits` state it; `target` the variable that it
    is about.
    """

    __slots__ = ()

    def onto(self, target: VariableId) -> Fact:
        """The same about this target, unless it is about one already."""
        return self if self.target is not None else type(self)(self.text, self.subject, self.bits, target)


class Requested(Fact):
    """The person asks for a requirement. In SAT terms: (t in T)."""

    __slots__ = ()


class KeptInstalled(Fact):
    """What is installed is to stay, in some version. In SAT terms: (t in T)."""

    __slots__ = ()


class KeptForeign(Fact):
    """What another installer put there stays as it is. In SAT terms: (t in T), with one candidate in T."""

    __slots__ = ()


class Constraint(Fact):
    """What must hold of a project that is installed (pip's constraints). In SAT terms: (absent(t) or t in T)."""

    __slots__ = ()


class Pinned(Fact):
    """A line of `conda-meta/pinned`. In SAT terms: (absent(t) or t in T)."""

    __slots__ = ()


class Depends(Fact):
    """Records or files depend on a requirement. In SAT terms: (not s or t in T)."""

    __slots__ = ()


class Constrains(Fact):
    """Records constrain another name (`constrains` of repodata). In SAT terms: (not s or absent(t) or t in T)."""

    __slots__ = ()


class Provides(Fact):
    """A candidate stands for one of another variable: a slot's "carried by NAME", a name's "the wheel of its project".

    In SAT terms: (not s or t in T), T being the records that carry the project, or every file of it.
    """

    __slots__ = ()


class Serves(Fact):
    """A requirement on a project, met by the records of a conda name. In SAT terms: (not s or not slot = c or c in T).

    `target` is the conda name c that the slot takes.
    """

    __slots__ = ()


class SameProject(Fact):
    """A wheel and what carries the same project exclude each other. In SAT terms: (not s or not t in T)."""

    __slots__ = ()


class NeedsPython(Fact):
    """A wheel, or a request for one, needs a conda python. In SAT terms: (not s or not absent(python))."""

    __slots__ = ()


class Tags(Fact):
    """Wheels run on the pythons that their tags name. In SAT terms: (not s or python in T)."""

    __slots__ = ()


class RequiresPython(Fact):
    """Files state a Requires-Python. In SAT terms: (not s or python in T)."""

    __slots__ = ()


class Virtual(Fact):
    """Records need a virtual package that the target does not have. In SAT terms: (not s)."""

    __slots__ = ()


class Yanked(Fact):
    """Yanked files, unless a pin asks for exactly their version (PEP 592). In SAT terms: (not s or not assumption)."""

    __slots__ = ()


class Prerelease(Fact):
    """Pre-releases, while a final release may do (PEP 440). In SAT terms: (not s or not assumption)."""

    __slots__ = ()


class TooNew(Fact):
    """Records newer than the cooldown allows. In SAT terms: (not s)."""

    __slots__ = ()


class Only(Fact):
    """Candidates of the ecosystem that `--only` excludes. In SAT terms: (not s)."""

    __slots__ = ()


class Unreadable(Fact):
    """Candidates whose metadata cannot be read. In SAT terms: (not s)."""

    __slots__ = ()


class NoExtra(Fact):
    """Records of which nothing says what an extra adds. In SAT terms: (not extra or not s or not assumption)."""

    __slots__ = ()

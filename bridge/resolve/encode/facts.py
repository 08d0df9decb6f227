"""The kinds of clauses: each is a type whose value is the reason for one clause; its docstring states it in SAT terms.

In these sentences `s` is "the subject is one of `bits`", `T` a set of candidates of the target, `t in T` that the
target is one of them, `absent(t)` that it is not installed; a clause is a disjunction. The store keeps the negation of
a conjunction: `not s or t in T` is the pair of terms `(s, bits)` and `(t, everything but T)`.
A further condition (a marker's python, an extra that is on) is one more negated term.
"""

from __future__ import annotations

from typing import TypeAlias

from converters.deferred import NamedTuple

VariableId: TypeAlias = int


class Fact(NamedTuple):
    """Why a clause holds, in the user's terms.

    `text` is the text of the requirement; `subject` the variable whose candidates `bits` state it; `target` the
    variable that it restricts.
    """

    text: str = ""
    subject: VariableId | None = None
    bits: int = 0
    target: VariableId | None = None

    def onto(self, target: VariableId) -> Fact:
        """Return the same fact about this target, unless it already has one."""
        return self if self.target is not None else type(self)(self.text, self.subject, self.bits, target)


class Requested(Fact):
    """A requirement of the user. In SAT terms: (t in T)."""


class RequestedEarlier(Requested):
    """A requirement of an earlier command, which stands. In SAT terms: (t in T)."""


class RequestedPython(Requested):
    """The Requires-Python of the files that state the request. In SAT terms: (python in T)."""


class KeptInstalled(Fact):
    """An installed package must stay, in some version. In SAT terms: (t in T)."""


class KeptForeign(Fact):
    """A distribution of another installer stays as it is. In SAT terms: (t in T), with one candidate in T."""


class Constraint(Fact):
    """A constraint on a project, if it is installed (pip's constraints). In SAT terms: (absent(t) or t in T)."""


class Pinned(Fact):
    """A line of `conda-meta/pinned`. In SAT terms: (absent(t) or t in T)."""


class PinnedByConfiguration(Pinned):
    """An entry of `pinned_packages` of a .condarc file. In SAT terms: (absent(t) or t in T)."""


class Depends(Fact):
    """Records or files depend on a requirement. In SAT terms: (not s or t in T)."""


class DependsByMetadata(Depends):
    """An extra of a record's project requires something, by METADATA. In SAT terms: (not extra or not s or t in T)."""


class Constrains(Fact):
    """Records constrain another name (`constrains` of repodata). In SAT terms: (not s or absent(t) or t in T)."""


class Provides(Fact):
    """A candidate selects one of another variable: a selector's provider, or a name's "the wheel of its project".

    In SAT terms: (not s or t in T), T being the records that provide the project, or all its files.
    """


class Serves(Fact):
    """A requirement on a project, met by records of a provider. In SAT terms: (not s or not selector = c or c in T).

    `target` is the conda name c that the selector takes.
    """


class Omits(Fact):
    """A slim record omits what the project that it provides needs. In SAT terms: (not s or not selector = c or t in T).

    `subject` is the conda name c that the selector takes.
    """


class Corrected(Fact):
    """A later build of the version has a bound that these builds lack.

    In SAT terms: (not s or absent(t) or t in T or not assumption).
    """


class SameProject(Fact):
    """A wheel and a record that provides the same project exclude each other. In SAT terms: (not s or not t in T)."""


class NeedsPython(Fact):
    """A wheel, or a request for one, needs a conda python. In SAT terms: (not s or not absent(python))."""


class Tags(Fact):
    """Wheels run on the pythons that their tags name. In SAT terms: (not s or python in T)."""


class RequiresPython(Fact):
    """Files state a Requires-Python. In SAT terms: (not s or python in T)."""


class Virtual(Fact):
    """Records need a virtual package that the target lacks. In SAT terms: (not s)."""


class Yanked(Fact):
    """Yanked files, unless a pin asks for exactly their version (PEP 592). In SAT terms: (not s or not assumption)."""


class Prerelease(Fact):
    """Pre-releases, while a final release may do (PEP 440). In SAT terms: (not s or not assumption)."""


class TooNew(Fact):
    """Records newer than the cooldown allows. In SAT terms: (not s)."""


class Barred(Fact):
    """Candidates that break a rule of the policy, which `text` names. In SAT terms: (not s)."""


class Only(Fact):
    """Candidates of the ecosystem that `--only` excludes. In SAT terms: (not s)."""


class Unreadable(Fact):
    """Candidates with unreadable metadata. In SAT terms: (not s)."""


class NoExtra(Fact):
    """Records whose requirements for an extra are unknown. In SAT terms: (not extra or not s or not assumption)."""

"""What is barred as long as something better may do: pre-releases and yanked files (PEP 440, PEP 592), and the marks.

An assumption is a bit; a clause that rests on it carries the bit, and so does what is learned from it. A liftable one
gives way where no solution is found otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.requirements.algebra import Requirement, names_prerelease
from bridge.resolve.catalog import Project
from bridge.resolve.variables import Fact, Variable

if TYPE_CHECKING:
    from bridge.resolve.space import Space

__all__ = ["GROWN", "Assumptions", "meeting_files"]

GROWN = 1  # the mark of no clause: the search starts again, for a variable has got candidates that it did not have


class Assumptions:
    """The assumptions of one space. `lifting` are those that must go before the search goes on."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.lifting = 0
        self._liftable = 0
        self._next = GROWN << 1

    def mark(self, *, liftable: bool = False) -> int:
        """A new assumption; a liftable one gives way where no solution is found otherwise."""
        made, self._next = self._next, self._next << 1
        self._liftable |= made if liftable else 0
        return made

    def hold_back(self, variable: Variable, project: Project) -> None:
        """Bar yanked files, and pre-releases as long as a final release may do; both as assumptions."""
        early, variable.yanked = project.prereleases, project.yanked
        for implication in variable.demands:
            if implication.requirement is not None:
                variable.yanked &= ~project.pinned(implication.requirement.specifier)
                if early and self._asks_prerelease(variable, implication.requirement):
                    early = 0
        if variable.yanked:
            variable.yanked_mark = self.mark()
            fact = Fact("yanked", "", variable, variable.yanked)
            self._space.bar(variable, variable.yanked, fact, variable.yanked_mark)
        if early and not self._space.catalog.options.pre:
            variable.prerelease_mark = self.mark(liftable=True)
            self._space.bar(variable, early, Fact("prerelease", "", variable, early), variable.prerelease_mark)

    def _asks_prerelease(self, variable: Variable, requirement: Requirement) -> bool:
        """Whether a requirement names a pre-release, or no final release in either world could ever meet it."""
        project, specifier = variable.project, requirement.specifier
        assert project is not None
        if requirement.url or (specifier is not None and names_prerelease(specifier)):
            return True
        finals = project.everything & ~project.prereleases & ~project.yanked
        meeting = meeting_files(project, requirement) & finals
        if any(bits & meeting and self._space.catalog.pythons.for_tags(tags) for tags, bits in project.by_tags.items()):
            return False
        return requirement.bound == "wheel" or not any(
            self._space.catalog.conda(carrier).meets_pypi(variable.key, specifier)
            for carrier in self._space.catalog.carriers(variable.key)
        )

    def release(self, variable: Variable, requirement: Requirement) -> None:
        """A demand that came after the project was read may ask for what was held back."""
        assert variable.project is not None
        if variable.prerelease_mark and self._asks_prerelease(variable, requirement):
            self.lifting |= variable.prerelease_mark
            variable.prerelease_mark = 0
        pinned = variable.project.pinned(requirement.specifier) & variable.yanked if variable.yanked_mark else 0
        if pinned:
            self.lifting |= variable.yanked_mark
            variable.yanked &= ~pinned
            variable.yanked_mark = self.mark()
            fact = Fact("yanked", "", variable, variable.yanked)
            self._space.bar(variable, variable.yanked, fact, variable.yanked_mark)

    def lift(self, marks: int) -> bool:
        """Lift what is to be lifted, and what may be among `marks`; then the store is at level 0 again."""
        liftable = self.lifting | (marks & self._liftable)
        self.lifting = 0
        if liftable:
            self._space.store.lift(liftable)
            for variable in self._space.variables:
                if variable.prerelease_mark & liftable:
                    variable.prerelease_mark = 0
        return bool(liftable)


def meeting_files(project: Project, requirement: Requirement) -> int:
    if requirement.url:
        return next((2 << place for place, file in enumerate(project.files) if file.url == requirement.url), 0)
    if requirement.kind == "matchspec":
        assert requirement.conda is not None
        return project.meets_conda(requirement.conda)
    return project.meets(requirement.specifier)

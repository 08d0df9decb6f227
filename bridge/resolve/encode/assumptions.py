"""Candidates that are excluded under an assumption: pre-releases and yanked files (PEP 440, PEP 592).

An assumption is a bit. Clauses that rest on it carry the bit, and so do the clauses learned from them. A liftable
assumption is dropped if no solution exists otherwise.
"""

from __future__ import annotations

from bridge.requirements.algebra import Requirement
from bridge.resolve.candidates.projects import Project
from bridge.resolve.encode.facts import Prerelease, Yanked
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import VariableId

__all__ = ["GROWN", "Assumptions", "meeting_files"]

GROWN = 1  # carried by no clause: lifting it restarts the search because a variable gained candidates


class Assumptions:
    """The assumptions of one space. `lifting` are those to drop before the search continues."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self.lifting = 0
        self._liftable = 0
        self._guesses = 0
        self._lifted = 0
        self._next = GROWN << 1
        self._prereleases: dict[VariableId, int] = {}  # project → the mark of what bars its pre-releases
        self._yanked: dict[VariableId, tuple[int, int]] = {}  # project → the files barred as yanked, and the mark

    def new(self, *, liftable: bool = False) -> int:
        """Return a new assumption; a liftable one is dropped if no solution exists otherwise."""
        made, self._next = self._next, self._next << 1
        self._liftable |= made if liftable else 0
        return made

    def guess(self) -> int:
        """Return a new assumption that is dropped before the other liftable ones."""
        made = self.new(liftable=True)
        self._guesses |= made
        return made

    def is_lifted(self, assumption: int) -> bool:
        """Return whether an assumption was dropped."""
        return bool(assumption & self._lifted)

    def restrict(self, variable: VariableId, project: Project) -> None:
        """Exclude yanked files, and pre-releases while a final release may do, under assumptions.

        A yanked file that is installed or locked may stay (PEP 592: a lock pins it).
        """
        early, yanked = project.prereleases, project.yanked
        yanked &= ~self._space.kept.get(self._space.variables[variable].name, 0)
        for demand in self._space.onto[variable]:
            requirement = self._space.demands[demand].requirement
            if requirement is not None:
                if yanked:
                    yanked &= ~project.pinned(requirement.specifier)
                if early and self._requests_prerelease(variable, requirement):
                    early = 0
        if yanked:
            self._forbid_yanked(variable, yanked)
        if early and not self._space.catalog.options.pre:
            self._prereleases[variable] = assumption = self.new(liftable=True)
            self._space.forbid(variable, early, Prerelease("", variable, early), assumption)

    def _forbid_yanked(self, variable: VariableId, bits: int) -> None:
        assumption = self.new()
        self._yanked[variable] = bits, assumption
        self._space.forbid(variable, bits, Yanked("", variable, bits), assumption)

    def _requests_prerelease(self, variable: VariableId, requirement: Requirement) -> bool:
        """Return whether a requirement names a pre-release, or no final release of either ecosystem could meet it."""
        project, specifier = self._space.meanings[variable].project, requirement.specifier
        assert project is not None
        if requirement.url or project.opts_in(specifier):
            return True
        catalog, name = self._space.catalog, self._space.variables[variable].key
        finals = project.everything & ~project.prereleases & ~project.yanked
        meeting = meeting_files(project, requirement) & finals
        if any(bits & meeting and catalog.pythons.for_tags(tags) for tags, bits in project.by_tags.items()):
            return False
        return requirement.bound == "wheel" or not any(
            catalog.conda(provider).meets_pypi(name, specifier) for provider in catalog.providers(name)
        )

    def release(self, variable: VariableId, requirement: Requirement) -> None:
        """Lift the assumptions on files that a demand requests after the project was read."""
        project = self._space.meanings[variable].project
        assert project is not None
        if variable in self._prereleases and self._requests_prerelease(variable, requirement):
            self.lifting |= self._prereleases.pop(variable)
        yanked, assumption = self._yanked.get(variable, (0, 0))
        pinned = project.pinned(requirement.specifier) & yanked if assumption else 0
        if pinned:
            self.lifting |= assumption
            self._forbid_yanked(variable, yanked & ~pinned)

    def lift(self, assumptions: int) -> bool:
        """Lift the assumptions in `lifting`, and the liftable ones in `assumptions`; the store is then at level 0."""
        dropped = assumptions & self._liftable
        liftable = self.lifting | (dropped & self._guesses or dropped)
        self.lifting = 0
        if liftable:
            self._lifted |= liftable
            self._space.store.lift(liftable)
            self._prereleases = {
                v: assumption for v, assumption in self._prereleases.items() if not assumption & liftable
            }
        return bool(liftable)


def meeting_files(project: Project, requirement: Requirement) -> int:
    """Return the files of a project that meet a requirement, by the requirement's version order."""
    if requirement.url:
        return next((2 << place for place, file in enumerate(project.files) if file.url == requirement.url), 0)
    if requirement.kind == "matchspec":
        assert requirement.conda is not None
        return project.meets_conda(requirement.conda)
    return project.meets(requirement.specifier)

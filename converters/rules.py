"""A user's rules for dependencies: other names, additions, omissions and narrower versions. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import lru_cache

from converters.deferred import dataclass, regex

__all__ = ["DependencyChanges", "DependencyRules"]

_NAME = regex(r"[^\s=<>!~\[]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyChanges:
    """Changes of the dependencies of a package.

    :param add: MatchSpecs that it depends on too.
    :param drop: normalised projects; requirements on them are ignored, whatever their form.
    :param pin: MatchSpecs that it depends on too, if it depends on their names anyway.
    """

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    pin: tuple[str, ...] = ()

    def joined(self, other: DependencyChanges) -> DependencyChanges:
        """Return both changes."""
        return DependencyChanges(
            add=(*self.add, *other.add), drop=(*self.drop, *other.drop), pin=(*self.pin, *other.pin)
        )

    def applied(self, depends: Iterable[str], *, adds: bool = True) -> tuple[str, ...]:
        """Return the dependencies of a package with the additions and the pins; those of an extra if not `adds`.

        A name may come twice, as in packages of conda-build: all its MatchSpecs hold. Every package needs `python`.
        """
        added = (*depends, *(self.add if adds else ()))
        names = {*map(_name_of, added), *(["python"] if adds else [])}
        return tuple(dict.fromkeys((*added, *(pin for pin in self.pin if _name_of(pin) in names))))


@dataclass(frozen=True, slots=True, kw_only=True)
class DependencyRules:
    """The rules of a run.

    :param renames: (project or regular expression for the whole normalised name, conda name); the first match counts.
        The name may refer to groups, as in `re.Match.expand`.
    :param every: changes of all packages.
    :param of_projects: normalised project → changes of its packages.
    """

    renames: tuple[tuple[str, str], ...] = ()
    every: DependencyChanges = field(default_factory=DependencyChanges)
    of_projects: Mapping[str, DependencyChanges] = field(default_factory=dict)

    def of(self, project: str) -> DependencyChanges:
        """Return all changes of the packages of a project, by its normalised name."""
        own = self.of_projects.get(project)
        return self.every if own is None else self.every.joined(own)

    def renamed(self, project: str) -> str | None:
        """Return the conda name that a rule gives a project; `None` without a rule."""
        for pattern, name in self.renames:
            if match := _compiled(pattern).fullmatch(project):
                return match.expand(name)
        return None

    def is_of_no_project(self, conda_name: str) -> bool:
        """Return whether a name is not that of a project: a package that a rule adds, or a name made from a project's.

        A package index may have something else under such a name.
        """
        if not (self.renames or self.every.add or self.of_projects):  # asked for each dependency of a channel
            return False
        changes = (self.every, *self.of_projects.values())
        if any(_name_of(spec) == conda_name for each in changes for spec in each.add):
            return True
        return any(_made_by(name).fullmatch(conda_name) for _, name in self.renames if "\\" in name)

    def digest(self) -> str:
        """Return a hash of the rules, equal for equal ones; empty without rules."""
        if self == DependencyRules():
            return ""
        return hashlib.sha256(repr((self.renames, self.every, sorted(self.of_projects.items()))).encode()).hexdigest()


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@lru_cache(maxsize=1024)
def _made_by(template: str) -> re.Pattern[str]:
    """Return a pattern for the names that a template makes."""
    return re.compile(".*".join(map(re.escape, re.split(r"\\[1-9]", template))))


def _name_of(spec: str) -> str:
    match = _NAME.match(spec)
    return match[0] if match else ""

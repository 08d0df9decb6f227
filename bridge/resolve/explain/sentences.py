"""Sentences for the facts and clauses of one space; a fact about many candidates is one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable

from bridge.errors import few
from bridge.model import IndexFile
from bridge.resolve.encode import facts
from bridge.resolve.encode.facts import Fact
from bridge.resolve.encode.space import Space
from bridge.resolve.encode.variables import VariableId
from bridge.resolve.explain.ranges import Build, candidates, listed
from bridge.resolve.masks import ABSENT
from bridge.resolve.store import Clause
from converters.wheel import parse_wheel_name

__all__ = ["ONE_OF", "Sentences", "plain", "virtual_name"]

ONE_OF = "\n"  # between the texts of a fact that stands for several
_MAX_TEXTS = 6  # of one fact
_MAX_NAMES = 3  # of files in one sentence


class Sentences:
    """Words the facts and clauses of one space."""

    def __init__(self, space: Space) -> None:
        self._space = space
        python = space.meanings[space.python].conda
        self.has_python = python is None or bool(python.records)

    def says(self, fact: Fact) -> bool:
        """Return whether a fact deserves a sentence: the others follow from the names.

        That a python is needed goes without saying if there are pythons to choose from.
        """
        return type(fact) in _SENTENCES and not (isinstance(fact, facts.NeedsPython) and self.has_python)

    def of(self, fact: Fact) -> str:
        """Return the sentence of a fact."""
        return _SENTENCES[type(fact)](self, fact)

    def consequence(self, clause: Clause) -> str:
        """Return what a learned clause means."""
        parts = [self._term(variable, mask) for variable, mask in clause.terms]
        needed = [part.removeprefix("no ") for part in parts if part.startswith("no ")]
        excluded = [part for part in parts if not part.startswith("no ")]
        if not excluded:
            return listed([f"{name} is needed" for name in needed]) or "there is a contradiction"
        if len(excluded) == 1 and not needed:
            return f"{excluded[0]} cannot be used"
        return f"{listed(excluded)} cannot be used" + (f" without {listed(needed)}" if needed else " together")

    def _term(self, variable: VariableId, mask: int) -> str:
        if mask == ABSENT:
            return f"no {self.name(variable)}"
        return self._versions(variable, mask & ~ABSENT)

    def name(self, variable: VariableId | None) -> str:
        """Return the user's name for a variable."""
        if variable is None:
            return "?"
        return self._space.variables[variable].name.removeprefix("project:").removeprefix("pypi:")

    def virtual(self, name: str) -> str:
        """Describe a virtual package of the target."""
        version = self._space.catalog.target.virtual(name)
        return f"the target has {name} {version}" if version is not None else f"the target has no {name}"

    def who(self, fact: Fact) -> str:
        """Describe the candidates that state a fact."""
        is_named = isinstance(fact, (facts.Tags, facts.RequiresPython))
        return self._versions(fact.subject, fact.bits, is_named=is_named) if fact.subject is not None else "the request"

    def _versions(self, variable: VariableId, bits: int, *, is_named: bool = False) -> str:
        """Describe candidates: `numpy 1.24.0 to 1.26.4 (conda)`; `is_named`: a single file by its name."""
        names: dict[str, None] = {}
        bits &= self._space.store.full[variable]
        key, meaning = self._space.variables[variable].key, self._space.meanings[variable]
        if meaning.conda is not None:
            every = [Build(record.version, record.build) for record in meaning.conda.records]
            if chosen := [build for place, build in enumerate(every) if bits >> place + 1 & 1]:
                names[candidates(key, chosen, every, "builds") + " (conda)"] = None
            if bits & meaning.wheel_bit:
                names[f"a wheel of {meaning.conda.wheel_project}"] = None
        elif meaning.project is not None:
            every = [Build(file.version, file.filename) for file in meaning.project.files]
            chosen = [build for place, build in enumerate(every) if bits >> place + 1 & 1]
            if len(chosen) == 1 and is_named:
                names[f"{key} {chosen[0].version} ({chosen[0].build})"] = None
            elif chosen:
                names[candidates(key, chosen, every, "files") + " (wheel)"] = None
        else:
            names[self.name(variable)] = None
        return " or ".join(names) or self.name(variable)

    def depends(self, fact: Fact) -> str:
        texts = [f"`{plain(text)}`" for text in fact.text.split(ONE_OF)]
        return f"{self.who(fact)} depends on {'one of ' if len(texts) > 1 else ''}{few(texts, _MAX_TEXTS)}"

    def serves(self, fact: Fact) -> str:
        asks = f"{self.who(fact)} depends on" if fact.subject is not None else "you ask for"
        return f"{asks} `{plain(fact.text)}`, which conda calls {self.name(fact.target)}"

    def omits(self, fact: Fact) -> str:
        who = self.who(fact)
        return f"{who} omits `{plain(fact.text)}`, which the project that it provides needs"

    def tags(self, fact: Fact) -> str:
        tags: dict[str, None] = {}
        for file in self._files(fact):
            if file.is_wheel:
                tags.update(dict.fromkeys(sorted({str(tag) for tag in parse_wheel_name(file.filename).tags})))
        return f"{self.who(fact)} runs only where one of {few(list(tags), _MAX_TEXTS)} fits"

    def yanked(self, fact: Fact) -> str:
        files = [file for file in self._files(fact) if file.yanked is not None]
        names = few([f"{file.filename}: {file.yanked or 'no reason given'}" for file in files], _MAX_NAMES)
        return f"{self.who(fact)} is yanked ({names}), and only a pin on exactly that version asks for it"

    def _files(self, fact: Fact) -> list[IndexFile]:
        project = self._space.meanings[fact.subject].project if fact.subject is not None else None
        return [file for place, file in enumerate(project.files if project else ()) if fact.bits >> place + 1 & 1]

    def needs_python(self, fact: Fact) -> str:
        who = f"`{fact.text}`" if fact.text else f"a wheel of {self.name(fact.subject)}"
        return f"{who} needs python as a conda package"

    def unreadable(self, fact: Fact) -> str:
        error = self._space.failures.get(fact.text)
        return f"{self.who(fact)} has metadata that cannot be read" if error is None else error.message

    def lacks_virtual(self, fact: Fact) -> str:
        return f"{self.who(fact)} needs {plain(fact.text)}, and {self.virtual(virtual_name(fact.text))}"


_SENTENCES: dict[type[Fact], Callable[[Sentences, Fact], str]] = {
    facts.Requested: lambda _, fact: f"you ask for `{fact.text}`",
    facts.RequestedPython: lambda _, fact: f"the files of the request require `{fact.text}`",
    facts.RequestedEarlier: lambda _, fact: f"`{fact.text}` was requested earlier",
    facts.Constraint: lambda _, fact: f"your constraints require `{fact.text}`",
    facts.Pinned: lambda _, fact: f"conda-meta/pinned of the environment requires `{fact.text}`",
    facts.PinnedByConfiguration: lambda _, fact: f"pinned_packages of conda's configuration requires `{fact.text}`",
    facts.KeptInstalled: lambda _, fact: f"{fact.text} is installed and must stay",
    facts.KeptForeign: lambda _, fact: f"{fact.text} was installed by another installer, and bridge does not change it",
    facts.Depends: Sentences.depends,
    facts.DependsByMetadata: lambda say, fact: (
        f"an extra of the project of {say.who(fact)} requires `{plain(fact.text)}`"
    ),
    facts.Constrains: lambda say, fact: f"{say.who(fact)} allows only `{plain(fact.text)}` beside it",
    facts.Serves: Sentences.serves,
    facts.Omits: Sentences.omits,
    facts.Corrected: lambda say, fact: f"a later build of {say.who(fact)} depends on `{plain(fact.text)}`",
    facts.SameProject: lambda say, fact: (
        f"the wheel {fact.text} and conda's {say.name(fact.target)} are the same project"
    ),
    facts.NeedsPython: Sentences.needs_python,
    facts.Tags: Sentences.tags,
    facts.RequiresPython: lambda say, fact: f"{say.who(fact)} requires python {fact.text}",
    facts.Virtual: Sentences.lacks_virtual,
    facts.Yanked: Sentences.yanked,
    facts.Prerelease: lambda say, fact: f"{say.who(fact)} is a pre-release",
    facts.TooNew: lambda say, fact: f"{say.who(fact)} is newer than --exclude-newer allows",
    facts.Barred: lambda say, fact: f"{say.who(fact)} breaks the policy: {fact.text}",
    facts.Only: lambda say, fact: f"--only takes {say.name(fact.subject)} as a {fact.text} package",
    facts.Unreadable: Sentences.unreadable,
    facts.NoExtra: lambda say, fact: f"no wheel defines what the extra {fact.text} of {say.who(fact)} requires",
}  # `Provides` has none: it follows from the names


def plain(text: str) -> str:
    """Collapse runs of spaces."""
    return " ".join(text.split())


def virtual_name(text: str) -> str:
    """Return the virtual package of a MatchSpec, or `""`."""
    match = re.match(r"\s*(?:conda:)?(__\w+)", text)
    return match[1] if match else ""

"""Why there is no solution, in words that a person can act on.

The refutation is a tree: at its leaves stand facts (a record depends on, you ask for, a wheel runs on), in between what
was learned from them. The requests are first cut down to a set of which none can be left out; then each learned clause
is a step (*because* these facts, *so* this), and the last step is the verdict. A fact about many candidates is said
once, with the range of their versions; what a channel and an index have at most is said for every name that nothing
could serve.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from bridge.errors import BuildError, NoSolutionError
from bridge.model import IndexFile
from bridge.requirements.algebra import Requirement
from bridge.resolve.masks import ABSENT
from bridge.resolve.space import Space
from bridge.resolve.store import Clause
from bridge.resolve.variables import Fact, Implication, Variable
from converters.wheel import parse_wheel_name

__all__ = ["facts_of", "no_solution"]

_MAX_STEPS = 12
_MAX_TEXTS = 6  # of one fact
_ONE_OF = "\n"  # between the texts of a fact that stands for several
_MAX_SAID = 8  # lines of one build
_MAX_FACTS = 8  # of one step; real proofs rarely have more, and nobody reads further


@dataclass(frozen=True, slots=True)
class _Step:
    because: tuple[str, ...]
    so: str


def no_solution(space: Space, proof: Clause, requests: Sequence[Requirement]) -> NoSolutionError:
    """The error for a refuted request. `requests` are those that exclude each other, none of them in vain."""
    with closing(_Words(space)) as said:
        return _told(said, space, proof, requests)


def _told(said: _Words, space: Space, proof: Clause, requests: Sequence[Requirement]) -> NoSolutionError:
    steps = [step for clause in _lemmas(proof) if (step := said.step(clause, is_last=clause is proof))]
    facts = list(facts_of(proof))
    available = said.availability(facts)
    if available and len(steps) == 1:
        steps = [_Step((*available, *steps[0].because), steps[0].so)]
    elif available:
        steps.insert(0, _Step(tuple(available), "that is all there is to choose from"))
    if len(steps) > _MAX_STEPS:
        left = len(steps) - _MAX_STEPS
        steps = [*steps[: _MAX_STEPS - 1], _Step((f"{left} more steps",), "…"), steps[-1]]
    texts = [f"`{request.text}`" for request in requests]
    message = f"{texts[0]} cannot be met" if len(texts) == 1 else f"{_and(texts)} cannot be met together"
    context = [f"because {_and(step.because)}: {step.so}" for step in steps]
    context += _said_by_builds(facts, space)
    derivation = [{"because": list(step.because), "so": step.so} for step in steps]
    objects = {"derivation": derivation, "requests": [request.text for request in requests]}
    return NoSolutionError(
        "no-solution", message, context=context, hint=_hint(facts, space, said.bars), objects=objects
    )


def _said_by_builds(facts: Sequence[Fact], space: Space) -> list[str]:
    """The last lines of the builds that failed, of which the messages hold one only."""
    told: list[str] = []
    for fact in facts:
        error = space.failures.get(fact.text) if fact.kind == "unreadable" else None
        if isinstance(error, BuildError) and error.context and len(told) < _MAX_STEPS:
            told.append(f"the build of {fact.text} said last:")
            told += [f"  {line}" for line in error.context[-_MAX_SAID:]]
    return told


def _lemmas(proof: Clause) -> list[Clause]:
    """The learned clauses of a proof, each after those it rests on."""
    ordered: list[Clause] = []
    seen: set[int] = set()
    agenda: list[tuple[Clause, bool]] = [(proof, False)]
    while agenda:
        clause, is_done = agenda.pop()
        if is_done:
            ordered.append(clause)
        elif id(clause) not in seen and clause.parents:
            seen.add(id(clause))
            agenda.append((clause, True))
            agenda.extend((parent, False) for parent in reversed(clause.parents))
    return ordered


def facts_of(proof: Clause) -> Iterable[Fact]:
    """The facts that a proof rests on."""
    seen: set[int] = set()
    for lemma in _lemmas(proof):
        for parent in lemma.parents:
            if isinstance(parent.fact, Fact) and id(parent.fact) not in seen:
                seen.add(id(parent.fact))
                yield parent.fact


class _Words:
    """Sentences for facts and clauses of one space."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._sentences: dict[str, Callable[[Fact], str]] = {
            "asked": lambda fact: f"you ask for `{fact.text}`",
            "constraint": lambda fact: f"a constraint of yours says `{fact.text}`",
            "pinned": lambda fact: f"conda-meta/pinned of the environment says `{fact.text}`",
            "present": lambda fact: f"{fact.text} is installed and is to stay",
            "foreign": lambda fact: f"{fact.text} was put there by another installer, and bridge leaves it alone",
            "depends": self._depends,
            "constrains": lambda fact: f"{self._who(fact)} allows only `{_plain(fact.text)}` beside it",
            "serves": self._serves,
            "owner": lambda fact: f"the wheel {fact.text} and conda's {_name(fact.target)} are the same project",
            "tags": self._tags,
            "requires-python": lambda fact: f"{self._who(fact)} requires python {fact.text}",
            "virtual": self._virtual,
            "yanked": lambda fact: f"{self._who(fact)} is yanked, and only a pin on exactly that version asks for it",
            "prerelease": lambda fact: f"{self._who(fact)} is a pre-release",
            "too-new": lambda fact: f"{self._who(fact)} is newer than --exclude-newer allows, or has no time",
            "only": lambda fact: f"--only takes {_name(fact.subject)} as a {fact.text} package",
            "unreadable": self._unreadable,
            "no-extra": lambda fact: f"no wheel says what the extra {fact.text} of {self._who(fact)} needs",
        }

        self.bars: set[str] = set()  # why files were said to be no candidates
        self._telling = {"asked", "depends", "constrains", "serves"}  # of a name, by a requirement
        if space.python.conda is not None and not space.python.conda.records:
            # With a python to choose from, that one is needed goes without saying.
            self._sentences["needs-python"] = self._needs_python
            self._telling.add("needs-python")

    def close(self) -> None:
        """Let go of what refers to itself."""
        self._sentences.clear()

    def step(self, clause: Clause, *, is_last: bool) -> _Step | None:
        """A learned clause as a step; `None` where it only says what its name says."""
        told = [p.fact for p in clause.parents if isinstance(p.fact, Fact) and p.fact.kind in self._sentences]
        because = dict.fromkeys(self._sentences[fact.kind](fact) for fact in _alternatives(told))
        if not because and not is_last:
            return None
        listed = list(because)[:_MAX_FACTS]
        if len(because) > _MAX_FACTS:
            listed.append(f"{len(because) - _MAX_FACTS} more facts of this kind")
        return _Step(tuple(listed), "there is no solution" if is_last else self._consequence(clause))

    def _consequence(self, clause: Clause) -> str:
        parts = [self._term(self._space.variables[index], mask) for index, mask in clause.terms]
        needed = [part.removeprefix("no ") + " is needed" for part in parts if part.startswith("no ")]
        barred = [part for part in parts if not part.startswith("no ")]
        if not barred:
            return _and(needed) or "this leads nowhere"
        if len(barred) == 1 and not needed:
            return f"{barred[0]} is out of the question"
        return f"{_and(barred)} cannot be taken" + (
            f" without {_and([n[:-10] for n in needed])}" if needed else " together"
        )

    def _term(self, variable: Variable, mask: int) -> str:
        if mask == ABSENT:
            return f"no {_name(variable)}"
        return self._versions(variable, mask & ~ABSENT)

    def _who(self, fact: Fact) -> str:
        return self._versions(fact.subject, fact.bits) if fact.subject is not None else "the request"

    def _versions(self, variable: Variable, bits: int) -> str:
        """Some candidates of a variable in words: `numpy 1.24.0 to 1.26.4 (conda)`."""
        names: dict[str, None] = {}
        bits &= self._space.store.full[variable.index]
        if variable.kind == "conda" and variable.conda is not None:
            records = [r for place, r in enumerate(variable.conda.records) if bits >> place + 1 & 1]
            if records:
                names[_range(variable.key, [r.version for r in records], len(variable.conda.records)) + " (conda)"] = (
                    None
                )
            if bits & variable.wheel_bit:
                names[f"a wheel of {variable.conda.standin}"] = None
        elif variable.kind == "wheels" and variable.project is not None:
            files = [f for place, f in enumerate(variable.project.files) if bits >> place + 1 & 1]
            if files:
                names[_range(variable.key, [f.version for f in files], len(variable.project.files)) + " (wheel)"] = None
        else:
            names[_name(variable)] = None
        return " or ".join(names) or _name(variable)

    def _serves(self, fact: Fact) -> str:
        asks = f"{self._who(fact)} depends on" if fact.subject is not None else "you ask for"
        return f"{asks} `{_plain(fact.text)}`, which conda calls {_name(fact.target)}"

    def _depends(self, fact: Fact) -> str:
        texts = [f"`{_plain(text)}`" for text in fact.text.split(_ONE_OF)]
        return f"{self._who(fact)} depends on {'one of ' if len(texts) > 1 else ''}{_few(texts)}"

    def _tags(self, fact: Fact) -> str:
        tags: dict[str, None] = {}
        if fact.subject is not None and fact.subject.project is not None:
            for place, file in enumerate(fact.subject.project.files):
                if fact.bits >> place + 1 & 1 and file.is_wheel:
                    tags.update(dict.fromkeys(sorted({str(tag) for tag in parse_wheel_name(file.filename).tags})))
        return f"{self._who(fact)} runs only where one of {_few(list(tags))} fits"

    def _needs_python(self, fact: Fact) -> str:
        who = f"`{fact.text}`" if fact.text else f"a wheel of {_name(fact.subject)}"
        return f"{who} needs a python that comes as a conda package"

    def _unreadable(self, fact: Fact) -> str:
        error = self._space.failures.get(fact.text)
        return f"{self._who(fact)} has metadata that cannot be read" if error is None else error.message

    def _virtual(self, fact: Fact) -> str:
        return f"{self._who(fact)} needs {_plain(fact.text)}, and {self._has_virtual(_virtual_name(fact.text))}"

    def _has_virtual(self, name: str) -> str:
        version = self._space.catalog.target.virtual(name)
        return f"the target has {name} {version}" if version is not None else f"the target has no {name}"

    # What there is

    def availability(self, facts: Sequence[Fact]) -> list[str]:
        """For each name asked for or needed: what channels and indexes have of it, and what bars their files."""
        said: dict[str, None] = {}
        for fact in facts:
            if fact.kind == "asked" and fact.target is None and (name := _virtual_name(fact.text)):
                said[self._has_virtual(name)] = None
            if fact.kind in self._telling and fact.target is not None:
                for implication in fact.target.demands:
                    if implication.fact is fact or fact.kind == "serves":
                        said.update(dict.fromkeys(self._available(fact.target, implication)))
        return list(said)

    def _available(self, variable: Variable, implication: Implication) -> Iterable[str]:
        if variable.kind == "slot":
            for carrier in variable.carriers:
                yield from self._available(carrier, implication)
            if variable.wheels is not None and variable.wheels.is_known:
                yield from self._available(variable.wheels, implication)
        elif variable.kind == "conda" and variable.conda is not None:
            yield from self._available_records(variable, implication)
        elif variable.kind == "wheels" and variable.project is not None:
            yield from self._available_files(variable, implication)

    def _available_records(self, variable: Variable, implication: Implication) -> Iterable[str]:
        assert variable.conda is not None
        records = variable.conda.records
        if implication.allowed & variable.conda.everything and implication.requirement is not None:
            return  # some record meets it: not for want of versions
        if records:
            yield f"conda has {_range(variable.key, [record.version for record in records], 0)}"
        elif variable.wheels is None:
            yield f"no channel has a package named {variable.key}"
        if variable.wheels is not None and variable.wheels.is_known:
            yield from self._available_files(variable.wheels, implication)
        elif variable.wheels is None and records and variable is not self._space.python:
            yield f"{variable.key} is no PyPI project as far as anything vouches for, so the index is not asked"

    def _available_files(self, variable: Variable, implication: Implication) -> Iterable[str]:
        project, requirement = variable.project, implication.requirement
        assert project is not None
        left = next((demand.fact for demand in variable.demands if demand.fact.kind == "foreign"), None)
        if left is not None:
            self.bars.add("foreign")
            yield self._sentences["foreign"](left)
        elif project.files:
            yield f"{_index(project.files[0])} has {_range(variable.key, [file.version for file in project.files], 0)}"
        elif not project.barred:
            yield f"no index has a file of {variable.key}"
        served = {file.version for file in project.files}  # by another file, which may be a candidate
        for reason, files in project.barred.items():
            others = [file for file in files if file.version not in served]
            meeting = [file for file in others if requirement is None or _meets(requirement, file)]
            if meeting:
                self.bars.add(reason)
                yield self._barred(reason, meeting)

    def _barred(self, reason: str, files: Sequence[IndexFile]) -> str:
        what = _range(files[0].project, [file.version for file in files], 0)
        target = self._space.catalog.target
        if reason == "platform":
            platforms = sorted({file.filename[:-4].rsplit("-", 1)[-1] for file in files if file.is_wheel})
            floors = [
                f"{name} {version}" for name, version, _ in target.virtual_packages if name in ("__glibc", "__osx")
            ]
            here = f"{target.subdir} with {_and(floors)}" if floors else target.subdir
            return f"the wheels of {what} are made for {', '.join(platforms[:6])}, and the target is {here}"
        if reason == "sdist":
            return f"{what} would have to be built, which --no-build or pip's only-binary forbids"
        if reason == "no-binary":
            return f"{what} is there as wheels only, which pip's no-binary forbids"
        if reason == "too-new":
            return f"the files of {what} are newer than --exclude-newer allows, or have no time"
        return f"the files of {what} have no readable {reason}"


def _alternatives(facts: Iterable[Fact]) -> list[Fact]:
    """The facts, where several that candidates of one name state of another are one: each states one of its texts.

    Where a candidate states two of them, both hold, and all are told by themselves.
    """
    groups: dict[object, list[Fact]] = {}
    for fact in facts:
        is_stated = fact.kind in ("depends", "tags") and fact.subject is not None and fact.target is not None
        groups.setdefault((fact.kind, fact.subject, fact.target) if is_stated else fact, []).append(fact)
    return [fact for group in groups.values() for fact in _united(group)]


def _united(facts: list[Fact]) -> list[Fact]:
    first, texts, bits = facts[0], dict.fromkeys(_plain(fact.text) for fact in facts), 0
    for fact in facts:
        if bits & fact.bits:
            return facts
        bits |= fact.bits
    return [first if len(facts) == 1 else Fact(first.kind, _ONE_OF.join(texts), first.subject, bits, first.target)]


def _index(file: IndexFile) -> str:
    """An index by its URL, without credentials: the first that has a project serves it alone."""
    origin = re.sub(r"(?<=://)[^/@]*@", "***@", file.origin)
    return f"the index {origin}" if "://" in origin else "the index"


def _meets(requirement: Requirement, file: IndexFile) -> bool:
    if requirement.specifier is not None:
        return requirement.specifier.contains(file.version, prereleases=True)
    return requirement.conda is None or requirement.conda.accepts_version(file.version)


def _range(name: str, versions: Sequence[str], total: int) -> str:
    """`name 1.0`, `name 1.0 and 1.1`, or `name 1.0 to 2.3`; versions come newest first. `total`: how many there are."""
    distinct = list(dict.fromkeys(versions))
    if total and len(versions) == total and len(distinct) > 1:
        return f"every {name}"
    if len(distinct) <= 3:
        return f"{name} {_and(list(reversed(distinct)))}"
    return f"{name} {distinct[-1]} to {distinct[0]}"


def _few(texts: Sequence[str]) -> str:
    left = len(texts) - _MAX_TEXTS
    return ", ".join(texts[:_MAX_TEXTS]) + (f" and {left} more" if left > 0 else "")


def _name(variable: Variable | None) -> str:
    if variable is None:
        return "?"
    return variable.name.removeprefix("project:").removeprefix("pypi:")


def _virtual_name(text: str) -> str:
    """The virtual package that a MatchSpec is about, or `""`."""
    found = re.match(r"\s*(?:conda:)?(__\w+)", text)
    return found[1] if found else ""


def _plain(text: str) -> str:
    return " ".join(text.split())


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def _hint(facts: Sequence[Fact], space: Space, bars: Iterable[str]) -> str:
    """What the person can change, by the kinds of facts the proof rests on, and by what bars files that would do."""
    kinds = {fact.kind for fact in facts}
    asked = [fact.text for fact in facts if fact.kind == "asked"]
    ways = []
    if asked:
        ways.append(f"loosen or leave out {' or '.join(f'`{text}`' for text in dict.fromkeys(asked))}")
    if "virtual" in kinds or "platform" in bars or any(map(_virtual_name, asked)):
        ways.append("name the real target with --virtual-package or --platform")
    if "too-new" in kinds or space.catalog.options.exclude_newer is not None:
        ways.append("move --exclude-newer")
    if "only" in kinds:
        ways.append("change --only")
    if "tags" in kinds:
        ways.append(
            "name an index that has files for this python with --index-url (the first that has a project serves it)"
        )
    if "foreign" in kinds or "foreign" in bars:
        ways.append("let bridge own what other installers put there, so that it can be replaced: bridge adopt")
    if "pinned" in kinds:
        ways.append("change conda-meta/pinned")
    if "no-extra" in kinds:
        ways.append("bind the project to its wheel with `pypi:`")
    found = ", or ".join(ways) or "add a channel with -c or an index with --extra-index-url"
    failures = [space.failures.get(fact.text) for fact in facts if fact.kind == "unreadable"]
    told = dict.fromkeys(error.hint for error in failures if isinstance(error, BuildError) and error.hint)
    return "; ".join([found, *told])

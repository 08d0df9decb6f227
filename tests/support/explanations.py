"""Checks explanations against their universe: each sentence has to be a fact, and each range has to be free of gaps.

Only the text is read, as a person would; a sentence of a form that is not known here is a mistake too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from bridge.errors import NoSolutionError
from bridge.requirements.names import name_of
from converters.record import Record
from converters.wheel import parse_wheel_name
from tests.support.resolver_oracle import Chosen, Oracle, asked_of
from tests.support.resolver_worlds import Wheel, World

__all__ = ["false_conclusions", "false_sentences"]

_META = re.compile(r"\d+ more (facts of this kind|steps)|there are no other candidates")
_MANY_PAIRS = 40


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A record or a file, by what explanations call it."""

    version: str
    build: str
    texts: frozenset[str]  # what it depends on
    constraints: frozenset[str] = frozenset()
    record: Record | None = None
    wheel: Wheel | None = None


def false_sentences(world: World, asked: tuple[Sequence[str], Sequence[str]], error: NoSolutionError) -> list[str]:
    """The sentences of an explanation that are no facts of a universe and a request."""
    return [text for text in _sentences(error) if not _Judge(world, (*asked[0], *asked[1])).holds(text)]


def false_conclusions(world: World, asked: tuple[Sequence[str], Sequence[str]], error: NoSolutionError) -> list[str]:
    """The conclusions of an explanation that exhaustive search refutes, for the requests that it names."""
    named = error.objects["requests"]
    assert isinstance(named, list)
    needs = asked_of([t for t in asked[0] if t in named], [t for t in asked[1] if t in named])
    oracle, judge = Oracle(world), _Judge(world, named)
    return [
        so for so in _conclusions(error) if not judge.concludes(so, lambda start: oracle.has_solution(needs, start))
    ]


def _steps(error: NoSolutionError) -> Iterator[Mapping[str, object]]:
    derivation = error.objects["derivation"]
    assert isinstance(derivation, list)
    yield from derivation


def _sentences(error: NoSolutionError) -> list[str]:
    found: list[str] = []
    for step in _steps(error):
        because = step["because"]
        assert isinstance(because, list)
        found += because
    return found


def _conclusions(error: NoSolutionError) -> list[str]:
    return [str(step["so"]) for step in _steps(error)]


class _Judge:
    """Reads sentences about one universe and one request."""

    def __init__(self, world: World, asked: Sequence[str]) -> None:
        self._world, self._asked = world, [_plain(text) for text in asked]
        self._oracle = Oracle(world)
        self._forms: tuple[tuple[str, Callable[..., bool]], ...] = (
            (r"you ask for `(.+)`, which conda calls (\S+)", lambda text, name: self._asks(text) and self._has(name)),
            (r"you ask for `(.+)`", self._asks),
            (r"no channel has a package named (\S+) for \S+", lambda name: not self._has(name)),
            (r"no channel has a package of (\S+) for \S+", lambda project: not self._is_provided(project)),
            (r"no index has a file of (\S+)", lambda project: not self._files(project)),
            (r"conda has (.+?)(?: and \d+ more builds of these versions)?", self._has_records),
            (r"the index(?: \S+)? has (.+)", lambda text: self._has_exactly(text, self._files)),
            (r"nothing links (\S+) to a PyPI project, so .+", lambda name: not self._oracle.standin(name)),
            (r"(\S+) is conda's name of the project (\S+)", lambda name, to: self._oracle.standin(name) == to),
            (r"the wheel (\S+) and conda's (\S+) are the same project", self._is_same),
            (r"`(.+)` needs python as a conda package", self._asks),
            (r"a wheel of (\S+) needs python as a conda package", lambda project: bool(self._files(project))),
            (r"the target has no (__\S+)", lambda name: self._virtual(name) is None),
            (r"the target has (__\S+) (\S+)", lambda name, version: self._virtual(name) == version),
            (r"the wheels of (.+) \(.+\) are made for (.+), and the target is .+", self._is_made_for),
            (r"the files of (.+) \(.+\) are newer than .+", self._are_files),
            (r"the index states no upload time for the files of (.+) \(.+\), and .+", self._are_files),
            (r"(.+) \(.+\) would have to be built, .+", lambda text: self._every(f"{text} (wheel)", _is_sdist)),
            (r"(.+) depends on (?:one of )?(`.+`(?: and \d+ more)?)(?:, which conda calls \S+)?", self._depends),
            (r"an extra of the project of (.+) requires `(.+)`", self._has_extra),
            (r"`(.+)` was requested earlier", self._asks),
            (r"(.+) allows only `(.+)` beside it", self._allows),
            (r"(.+) runs only where one of (.+) fits", self._runs),
            (r"(.+) requires python (.+)", self._requires_python),
            (r"(.+) needs (__[^,]+), and the target has .+", self._needs_virtual),
            (r"(.+) is yanked \(.+\), and .+", lambda who: self._every(who, _is_yanked)),
            (r"(.+) is a pre-release", lambda who: self._every(who, _is_prerelease)),
            (r"(.+) is newer than .+", lambda who: self._every(who, lambda _: True)),
            (r"--only takes (\S+) as a (conda|wheel) package", self._is_only),
            (r"no wheel defines what the extra (\S+) of (.+) requires", lambda _, who: bool(list(self._who(who)))),
        )

    def holds(self, sentence: str) -> bool:
        if _META.fullmatch(sentence):
            return True
        for form, check in self._forms:
            found = re.fullmatch(form, sentence)
            if found is not None:
                return check(*found.groups())
        return False

    def concludes(self, so: str, has_solution: Callable[[Chosen], bool]) -> bool:
        """Whether search agrees with a conclusion; one about too many combinations or an absence is not searched."""
        if so == "there is no solution":
            return not has_solution(Chosen())
        if _META.fullmatch(so) or so == "…" or "without" in so or not so.endswith("cannot be used"):
            return True
        who = so.removesuffix(" cannot be used")
        groups = [group for quantifier, group in self._who(who) if quantifier == "all"]
        starts = [candidate for group in groups for candidate in group][:_MANY_PAIRS]
        return not any(has_solution(_start(candidate)) for candidate in starts)

    # What there is

    def _has(self, name: str) -> bool:
        return bool(self._records(name))

    def _records(self, name: str) -> list[_Candidate]:
        subdirs = (self._world.target.subdir, "noarch")
        records = [one for one in self._world.records if one.name == name and one.subdir in subdirs]
        return [
            _Candidate(
                one.version,
                one.build,
                frozenset(map(_plain, one.requirements)),
                frozenset(map(_plain, one.constraints)),
                record=one,
            )
            for one in records
        ]

    def _files(self, project: str) -> list[_Candidate]:
        wheels = [one for one in self._world.wheels if one.file.project == project]
        return [
            _Candidate(
                one.file.version, one.file.filename, frozenset(map(_plain, one.metadata.requires_dist)), wheel=one
            )
            for one in wheels
        ]

    def _is_provided(self, project: str) -> bool:
        return any(project in self._oracle.provides(one) for one in self._world.records)

    def _virtual(self, name: str) -> str | None:
        return next((version for known, version, _ in self._world.target.virtual_packages if known == name), None)

    # Sentences

    def _asks(self, text: str) -> bool:
        return _plain(text) in self._asked

    def _is_same(self, project: str, name: str) -> bool:
        provides = any(project in self._oracle.provides(one) for one in self._world.records if one.name == name)
        return provides or self._oracle.standin(name) == project

    def _has_exactly(self, text: str, every: Callable[[str], list[_Candidate]]) -> bool:
        name = _name_of(text)
        groups = list(_chosen(text, name, every(name)))
        return bool(groups) and all(group for _, group in groups)

    def _has_records(self, text: str) -> bool:
        return self._has_exactly(text, self._records)

    def _are_files(self, text: str) -> bool:
        return self._has_exactly(text, self._files)

    def _is_made_for(self, text: str, platforms: str) -> bool:
        said = re.split(r", | and \d+ more", platforms)
        return self._every(f"{text} (wheel)", lambda one: not one.build.endswith(".whl") or _platform(one) in said)

    def _depends(self, who: str, texts: str) -> bool:
        said = {_plain(text) for text in re.findall(r"`([^`]+)`", texts)}
        if texts.endswith(" more"):  # of these it says only the name
            names = set(map(name_of, said))
            return self._every(who, lambda one: not names.isdisjoint(map(name_of, one.texts)))
        return self._every(who, lambda one: bool(one.texts & said))

    def _has_extra(self, who: str, text: str) -> bool:
        def is_so(one: _Candidate) -> bool:
            projects = self._oracle.provides(one.record) if one.record is not None else ()
            files = [file for project in projects for file in self._files(project) if file.version == one.version]
            return any(_plain(text) in file.texts for file in files)

        return self._every(who, is_so)

    def _allows(self, who: str, text: str) -> bool:
        return self._every(who, lambda one: _plain(text) in one.constraints)

    def _runs(self, who: str, tags: str) -> bool:
        said = set(re.sub(r" and \d+ more$", "", tags).split(", "))
        is_short = " more" in tags
        return self._every(who, lambda one: not one.build.endswith(".whl") or is_short or _tags(one) <= said)

    def _requires_python(self, who: str, text: str) -> bool:
        return self._every(who, lambda one: one.wheel is not None and _python(one.wheel) == _plain(text))

    def _needs_virtual(self, who: str, text: str) -> bool:
        return self._every(who, lambda one: _plain(text) in one.texts | one.constraints)

    def _is_only(self, name: str, ecosystem: str) -> bool:
        return self._world.options.only.get(name) == ecosystem

    def _every(self, who: str, is_so: Callable[[_Candidate], bool]) -> bool:
        groups = list(self._who(who))
        return bool(groups) and all(_agree(quantifier, group, is_so) for quantifier, group in groups)

    def _who(self, text: str) -> Iterator[tuple[str, list[_Candidate]]]:
        """What a sentence is about: groups of candidates, each with `all`, `some`, or a number of versions."""
        for part in re.split(r"(?<=\)) or ", text):
            found = re.fullmatch(r"(.+) \((conda|wheel)\)", part)
            named = re.fullmatch(r"(\S+) (\S+) \((\S+\.(?:whl|tar\.gz|zip))\)", part)
            if named is not None:
                yield "all", [one for one in self._files(named[1]) if one.build == named[3] and one.version == named[2]]
            elif found is None:
                wheel = re.fullmatch(r"a wheel of (\S+)", part)
                if wheel is not None and self._files(wheel[1]):
                    yield "some", self._files(wheel[1])
            else:
                name = _name_of(found[1])
                yield from _chosen(found[1], name, (self._records if found[2] == "conda" else self._files)(name))


def _agree(quantifier: str, group: list[_Candidate], is_so: Callable[[_Candidate], bool]) -> bool:
    if quantifier == "all":
        return bool(group) and all(map(is_so, group))
    by_version: dict[str, list[bool]] = {}
    for one in group:
        by_version.setdefault(one.version, []).append(is_so(one))
    if quantifier == "some":
        return bool(group) and all(map(any, by_version.values()))
    return sum(map(all, by_version.values())) >= int(quantifier)


_COUNTED = re.compile(r"(\d+) of the \d+ versions of (\S+) from (\S+) to (\S+)")
_SOME = re.compile(r"(?:some|\d+ of the \d+) (?:builds|files) of ")


def _name_of(text: str) -> str:
    counted = _COUNTED.match(text)
    if counted is not None:
        return counted[2]
    return _SOME.sub("", text, count=1).removeprefix("every ").split(" ", 1)[0]


def _chosen(text: str, name: str, every: list[_Candidate]) -> Iterator[tuple[str, list[_Candidate]]]:
    """The candidates that words of `bridge.resolve.explain.ranges` stand for."""
    order = sorted({one.version for one in every}, key=_order)
    counted = _COUNTED.fullmatch(text)
    if text == f"every {name}":
        yield "all", every
        return
    if counted is not None:
        between = order[order.index(counted[3]) : order.index(counted[4]) + 1]
        yield counted[1], [one for one in every if one.version in between]
        return
    quantifier, version = "all", ""
    for chunk in re.split(r", | and ", text):
        rest, count = _SOME.subn("", chunk)
        if count or rest.startswith(f"{name} "):
            quantifier = "some" if count else "all"
        words = rest.removeprefix(f"{name} ").split(" ")
        if len(words) == 3 and words[1] == "to" and {words[0], words[2]} <= set(order):
            between = order[order.index(words[0]) : order.index(words[2]) + 1]
            yield quantifier, [one for one in every if one.version in between]
        elif words[0] in order:
            version = words[0]
            yield (
                quantifier,
                [one for one in every if one.version == version and (len(words) == 1 or one.build == words[1])],
            )
        else:
            yield quantifier, [one for one in every if one.version == version and one.build == words[0]]


def _start(candidate: _Candidate) -> Chosen:
    if candidate.record is not None:
        return Chosen().with_record(candidate.record)
    assert candidate.wheel is not None
    return Chosen().with_wheel(candidate.wheel)


def _order(version: str) -> tuple[object, ...]:
    try:
        return (1, Version(version))
    except InvalidVersion:
        return (0, version)


def _plain(text: str) -> str:
    return " ".join(text.split())


def _python(wheel: Wheel) -> str:
    return _plain(wheel.metadata.requires_python or wheel.file.requires_python or "")


def _tags(candidate: _Candidate) -> set[str]:
    return {str(tag) for tag in parse_wheel_name(candidate.build).tags}


def _platform(candidate: _Candidate) -> str:
    return candidate.build[:-4].rsplit("-", 1)[-1]


def _is_sdist(candidate: _Candidate) -> bool:
    return not candidate.build.endswith(".whl")


def _is_yanked(candidate: _Candidate) -> bool:
    return candidate.wheel is not None and candidate.wheel.file.yanked is not None


def _is_prerelease(candidate: _Candidate) -> bool:
    return Version(candidate.version).is_prerelease

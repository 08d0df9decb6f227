"""What a written package depends on: a wheel's Requires-Dist and Requires-Python, said in MatchSpecs.

No meaning is lost, or it is refused: markers are evaluated (`converters.markers`), versions rewritten
(`converters.versions`), an extra that is asked of another project brings that extra's own requirements, and a URL never
becomes a name. The wheel's own extras become `extra_depends` (CEP 44), on which nothing rests: who does not know them
installs the base.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from converters.errors import UnsafeInputError
from converters.markers import Place, PythonVersions, RequirementLine, Span, find_span, microversions, varying
from converters.names import NameMap
from converters.target import Target
from converters.versions import is_long, to_matchspec
from converters.wheel import CoreMetadata

__all__ = [
    "Dependencies",
    "MetadataLookup",
    "RequiredProject",
    "WheelRequirements",
    "dependencies",
    "parse_requirement",
    "parse_requires_python",
    "read_requirements",
    "span_of",
]

MetadataLookup = Callable[[str, SpecifierSet], CoreMetadata | None]
"""The metadata of a project's best version within a specifier set; `None` where it is not known. Called repeatedly."""

# Forms that PEP 440 and 508 do not allow, that have been published, and that have one reading only (as uv reads them).
_OPERATOR = r"(?:===|[<>=!~]=|[<>])"
_LONGEST_LINE = 8192  # characters
_MOST_LINES = 5000  # the longest real list is a fifth of it
_MOST_EXTRAS = 1000

_REPAIRS = (
    (re.compile(rf"({_OPERATOR}\s*[^\s,;()<>=!~]+)\s*(?={_OPERATOR})"), r"\1,"),  # >=7.2.0<8.0.0
    (re.compile(r"(>=|<)(\s*[0-9][0-9.]*)\.\*"), r"\1\2"),  # >=3.6.*
    (re.compile(r",\s*(?=\)|\Z)"), ""),  # >=1.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredProject:
    """A project that is needed at a place, by its normalised name. `extras` are those that were not followed."""

    project: str
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    url: str | None = None
    extras: tuple[str, ...] = ()

    def requirement(self) -> Requirement:
        """The same in PEP 508's terms."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        versions = f" @ {self.url}" if self.url else str(self.specifier)
        return Requirement(f"{self.project}{extras}{versions}")


@dataclass(frozen=True, slots=True)
class RequirementLines:
    """A project's requirements, and those of them that an extra may bring into force."""

    all: tuple[RequirementLine, ...]
    _naming: Mapping[str, tuple[RequirementLine, ...]]

    @classmethod
    def of(cls, lines: Iterable[RequirementLine]) -> RequirementLines:
        """Sort out `lines` by the extras that they speak of."""
        found = tuple(lines)
        naming: dict[str, list[RequirementLine]] = {extra: [] for line in found for extra in line.extras}
        for line in found:
            for extra in naming if line.by_any_extra else set(line.extras):
                naming[extra].append(line)
        return cls(found, {extra: tuple(group) for extra, group in naming.items()})

    def naming(self, extra: str) -> tuple[RequirementLine, ...]:
        """In order, the lines that could be in force for `extra` and not without it."""
        return self._naming.get(extra) or tuple(line for line in self.all if line.by_any_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelRequirements:
    """A project's own requirements, parsed. `notes` say what had to be repaired to read them."""

    project: str
    lines: RequirementLines
    extras: tuple[str, ...]
    requires_python: SpecifierSet
    lookup: MetadataLookup | None = None
    notes: tuple[str, ...] = ()

    def at(self, place: Place, extra: str = "") -> tuple[RequiredProject, ...]:
        """What is needed at `place`; with `extra`, what that extra adds.

        Extras of the project's own are followed, each once; those of others only for the base, where `lookup` knows
        their metadata.
        """
        lookup = None if extra else self.lookup
        return tuple(dict.fromkeys(_follow(self.project, self.lines, extra, place, lookup)))

    def deciding(self) -> tuple[RequirementLine, ...]:
        """The lines by which places differ; those of other projects whose extras are asked for among them."""
        found, waiting, seen = [], list(self.lines.all), set()
        while waiting:
            line = waiting.pop()
            found += [line] if line.by_platform or line.by_python else []
            asked = (canonicalize_name(line.requirement.name), str(line.requirement.specifier))
            if line.requirement.extras and asked not in seen and asked[0] != self.project:
                seen.add(asked)
                others = _lines_of(line.requirement, self.lookup)
                waiting += others.all if others is not None else ()
        return tuple(found)


def _in_force(lines: RequirementLines, extra: str, place: Place) -> Iterator[Requirement]:
    """What an extra adds at a place; the base, where `extra` is empty."""
    for line in lines.naming(extra) if extra else lines.all:
        if line.holds(place, extra) and not (extra and line.holds(place)):
            yield line.requirement


def _follow(
    owner: str, lines: RequirementLines, extra: str, place: Place, lookup: MetadataLookup | None
) -> Iterator[RequiredProject]:
    """What `owner` needs at a place, and what the extras that it asks for need, each in its place and once."""
    seen = {(owner, extra)}
    waiting = [(owner, lines, _in_force(lines, extra, place))]
    while waiting:
        owner, lines, rest = waiting[-1]
        requirement = next(rest, None)
        if requirement is None:
            waiting.pop()
            continue
        project = canonicalize_name(requirement.name)
        extras = sorted(map(canonicalize_name, requirement.extras))
        is_own = project == owner  # name[all] → name[a,b]
        found = lines if is_own else _lines_of(requirement, lookup) if extras else None
        if not is_own:
            unknown = () if found else tuple(extras)
            yield RequiredProject(project=project, specifier=requirement.specifier, url=requirement.url, extras=unknown)
        for asked in reversed(extras) if found else ():
            if found and (project, asked) not in seen:
                seen.add((project, asked))
                waiting.append((project, found, _in_force(found, asked, place)))


def _lines_of(requirement: Requirement, lookup: MetadataLookup | None) -> RequirementLines | None:
    """The requirements of another project, where somebody knows them."""
    if lookup is None or requirement.url is not None:
        return None
    metadata = lookup(canonicalize_name(requirement.name), requirement.specifier)
    return None if metadata is None else RequirementLines.of(map(_line, metadata.requires_dist))


@lru_cache(maxsize=8192)
def _line(text: str) -> RequirementLine:
    return RequirementLine.of(parse_requirement(text)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """MatchSpecs: `depends` without python, and by extra what it adds (CEP 44). `notes`: what a person should know."""

    depends: tuple[str, ...]
    extra_depends: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()


def parse_requirement(text: str) -> tuple[Requirement, bool]:
    """A Requires-Dist line, and whether it had to be repaired (`>=7.2.0<8.0.0`).

    Raises `UnsafeInputError` (`requirement-invalid`) where no single reading is left.
    """
    if len(text) > _LONGEST_LINE:
        raise UnsafeInputError("limit-size", f"a requirement of {len(text)} characters: {text[:80]}…")
    head, semicolon, marker = text.partition(";")
    for candidate in _repaired(head):
        try:
            requirement = Requirement(f"{candidate}{semicolon}{marker}")
            if not is_long(requirement.specifier):
                return requirement, candidate != head
            problem = "it names a version that is too long"
        except InvalidRequirement as error:
            problem = str(error).splitlines()[0]
        except RecursionError:
            problem = "its marker is nested too deeply"
    raise UnsafeInputError("requirement-invalid", f"not a requirement as PEP 508 has it: {text}", context=(problem,))


def parse_requires_python(text: str | None) -> tuple[SpecifierSet, bool]:
    """Requires-Python, and whether it had to be repaired (`>=3.6.*`). Raises `UnsafeInputError` (`requires-python`)."""
    for candidate in _repaired(text or ""):
        try:
            specifier = SpecifierSet(candidate)
            if not is_long(specifier):
                return specifier, candidate != (text or "")
        except InvalidSpecifier:
            pass
    raise UnsafeInputError(
        "requires-python", f"Requires-Python is no version specifier: {text}", hint="correct it in the wheel's METADATA"
    )


def _repaired(text: str) -> Iterator[str]:
    """`text`, and then as it is after each repair."""
    yield text
    for pattern, replacement in _REPAIRS:
        if (repaired := pattern.sub(replacement, text)) != text:
            text = repaired
            yield text


def read_requirements(metadata: CoreMetadata, lookup: MetadataLookup | None = None) -> WheelRequirements:
    """The requirements of a wheel's metadata.

    Raises `UnsafeInputError`: `requirement-invalid`, `requires-python`, and `limit-size` for what no real one has.
    """
    if len(metadata.requires_dist) > _MOST_LINES:
        raise UnsafeInputError("limit-size", f"{metadata.name} has {len(metadata.requires_dist)} requirements")
    parsed = [(text, *parse_requirement(text)) for text in metadata.requires_dist]
    requires_python, is_repaired = parse_requires_python(metadata.requires_python)
    notes = [f"read `{text}` as `{requirement}`" for text, requirement, repaired in parsed if repaired]
    if is_repaired:
        notes.append(f"read Requires-Python `{metadata.requires_python}` as `{requires_python}`")
    lines = RequirementLines.of(RequirementLine.of(requirement) for _, requirement, _ in parsed)
    extras = tuple(dict.fromkeys([*metadata.provides_extra, *(extra for line in lines.all for extra in line.extras)]))
    if len(extras) > _MOST_EXTRAS:
        raise UnsafeInputError("limit-size", f"{metadata.name} has {len(extras)} extras")
    return WheelRequirements(
        project=metadata.name,
        lines=lines,
        extras=extras,
        requires_python=requires_python,
        lookup=lookup,
        notes=tuple(notes),
    )


def span_of(
    requirements: WheelRequirements, pythons: SpecifierSet, subdirs: Sequence[str], target: Target | None
) -> Span:
    """Where the base requirements are the same (`converters.markers.find_span`).

    :param pythons: Requires-Python and what the wheel's tags say.

    Raises `UnsafeInputError`: `not-portable` where they are the same nowhere wide enough, naming the markers;
    `requires-python` where no python is left.
    """
    admitted = PythonVersions.admitted(pythons, microversions(requirements.deciding()))
    if not admitted.versions:
        raise UnsafeInputError("requires-python", f"no python fits {requirements.project}: {pythons}")
    judge = _Judge(requirements)

    @cache
    def required_at(place: Place) -> object:
        try:
            return frozenset(judge.at(place))
        except UnsafeInputError as error:  # not decided there; that need not be where the package goes
            return error.message

    def required(place: Place) -> object:
        return required_at(judge.representative(place))

    span = find_span(required, admitted, subdirs, target)
    if span is not None:
        return span
    everywhere = admitted.places(subdirs)
    raise UnsafeInputError(
        "not-portable",
        f"{requirements.project} requires other packages on other platforms or pythons; no one package fits all",
        context=varying(requirements.lines.all, everywhere)
        or ("the requirements of an extra that it asks for differ",),
        hint="name the platform and the python to convert for, one package for each",
    )


class _Judge:
    """`WheelRequirements.at`, computed once for all places that no marker tells apart."""

    def __init__(self, requirements: WheelRequirements) -> None:
        self._requirements = requirements
        self._deciding = requirements.deciding()
        self._classes: dict[tuple[tuple[bool | None, ...], ...], Place] = {}
        self._needed: dict[tuple[Place, str], tuple[RequiredProject, ...]] = {}
        self._outcomes: dict[Place, Place] = {}

    def representative(self, place: Place) -> Place:
        """One place for all at which the same is needed."""
        if place not in self._outcomes:
            outcome = tuple(line.outcome(place) for line in self._deciding)
            self._outcomes[place] = self._classes.setdefault(outcome, place)
        return self._outcomes[place]

    def at(self, place: Place, extra: str = "") -> tuple[RequiredProject, ...]:
        """As `WheelRequirements.at`, and raises as it."""
        key = (self.representative(place), extra)
        if key not in self._needed:
            self._needed[key] = self._requirements.at(*key)
        return self._needed[key]


def dependencies(requirements: WheelRequirements, span: Span, names: NameMap) -> Dependencies:
    """The requirements within `span` as MatchSpecs.

    Raises `UnsafeInputError` (`requirement-untranslatable`) for a base requirement that cannot be said: a URL, an extra
    of a project whose metadata nobody knows. An extra of the wheel's own is left out instead, with a note; one that
    asks for extras of others does so in MatchSpec's own words, which who reads `extra_depends` understands.
    """
    judge = _Judge(requirements)
    base = judge.at(span.places[0])
    places = set(map(judge.representative, span.places))
    notes = [*requirements.notes, *_borrowed(requirements, span.places[0])]
    groups: dict[str, tuple[str, ...]] = {}
    for extra in requirements.extras:
        added = {judge.at(place, extra) for place in places}
        try:
            if len(added) > 1:
                raise UnsafeInputError("not-portable", "its requirements differ by platform or python")
            groups[extra] = _matchspecs(requirements, added.pop(), names, allow_extras=True)
        except UnsafeInputError as error:
            notes.append(f"the extra `{extra}` is left out: {error.message}")
    return Dependencies(depends=_matchspecs(requirements, base, names), extra_depends=groups, notes=tuple(notes))


def _borrowed(requirements: WheelRequirements, place: Place) -> Iterator[str]:
    """Whose extras were followed, and as which version has them: another version might require something else."""
    for line in requirements.lines.all:
        project = canonicalize_name(line.requirement.name)
        extras = sorted(map(canonicalize_name, line.requirement.extras))
        if extras and project != requirements.project and requirements.lookup is not None and line.holds(place):
            found = requirements.lookup(project, line.requirement.specifier)
            if found is not None:
                yield f"what {project}[{','.join(extras)}] requires was taken from {project} {found.version}"
                for extra in extras:
                    if extra not in found.provides_extra:
                        yield f"{project} {found.version} has no extra `{extra}`"


def _matchspecs(
    requirements: WheelRequirements, needed: Iterable[RequiredProject], names: NameMap, *, allow_extras: bool = False
) -> tuple[str, ...]:
    """One MatchSpec for each native name: what several requirements say of it holds together."""
    merged: dict[str, RequiredProject] = {}
    for need in needed:
        if need.extras and not allow_extras:
            raise UnsafeInputError(
                "requirement-untranslatable",
                f"{requirements.project} requires {need.requirement()}, and what that extra requires is not known",
                hint="let the index be asked for its metadata, or convert that project along with this one",
            )
        name = names.native_name(need.project) if need.url is None else need.project
        known = merged.setdefault(name, need)
        if known is not need:
            merged[name] = replace(
                known,
                specifier=known.specifier & need.specifier,
                url=known.url or need.url,
                extras=tuple(sorted({*known.extras, *need.extras})),
            )
    return tuple(_with_extras(to_matchspec(need.requirement(), names), need.extras) for need in merged.values())


def _with_extras(text: str, extras: tuple[str, ...]) -> str:
    """A MatchSpec that asks for extras (CEP 44): `name[version='>=2',extras=[a,b]]`."""
    if not extras:
        return text
    name, _, versions = text.partition(" ")
    version = f"version='{versions}'," if versions else ""
    return f"{name}[{version}extras=[{','.join(extras)}]]"

"""Write a wheel's Requires-Dist and Requires-Python as the MatchSpecs of a package.

Markers are evaluated (`converters.markers`), versions rewritten (`converters.versions`), and extras of other projects
replaced by their requirements. What has no equivalent, such as a URL, is refused. The wheel's own extras become
`extra_depends` (CEP 44); clients that do not support it install the base.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from converters.deferred import replace
from converters.errors import UnsafeInputError
from converters.markers import Place, RequirementLine, notes_on_kernels
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.notes import Note
from converters.projects import canonicalize_name
from converters.rules import DependencyChanges
from converters.spans import Span
from converters.versions import is_long, to_matchspec

__all__ = [
    "Dependencies",
    "Evaluator",
    "MetadataLookup",
    "RequiredProject",
    "WheelRequirements",
    "dependencies",
    "parse_requirement",
    "parse_requires_python",
    "read_requirements",
]

MetadataLookup = Callable[[str, SpecifierSet], CoreMetadata | None]
"""Returns the metadata of a project's best version within a specifier set; `None`: unknown. Called repeatedly."""

_OPERATOR = r"(?:===|[<>=!~]=|[<>])"
_LONGEST_LINE = 8192  # characters
_LONGEST_SHOWN = 200
_MOST_LINES = 5000  # the longest real list is a fifth of it
_MOST_EXTRAS = 1000

# Published forms that PEP 440 and 508 do not allow, but that have only one meaning; uv repairs them too.
_REPAIRS = (
    (re.compile(r"""['"](?=\s*[<>=!~*0-9])|(?<=[*0-9])\s*['"]"""), ""),  # >= '2.7'
    (re.compile(rf"({_OPERATOR}\s*[^\s,;()<>=!~]+)\s*(?={_OPERATOR})"), r"\1,"),  # >=7.2.0<8.0.0
    (re.compile(r"(>=|<)(\s*[0-9][0-9.]*)\.\*"), r"\1\2"),  # >=3.6.*
    (re.compile(r",\s*(?=\)|\Z)"), ""),  # >=1.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredProject:
    """A required project, by its normalised name. `extras`: those not replaced by their requirements."""

    project: str
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    url: str | None = None
    extras: tuple[str, ...] = ()

    def requirement(self) -> Requirement:
        """Return the PEP 508 requirement."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        versions = f" @ {self.url}" if self.url else str(self.specifier)
        return Requirement(f"{self.project}{extras}{versions}")


@dataclass(frozen=True, slots=True)
class RequirementLines:
    """The requirements of a project, indexed by extra."""

    all: tuple[RequirementLine, ...]
    _naming: Mapping[str, tuple[RequirementLine, ...]]

    @classmethod
    def of(cls, lines: Iterable[RequirementLine]) -> RequirementLines:
        """Index `lines` by the extras in their markers."""
        ordered = tuple(lines)
        naming: dict[str, list[RequirementLine]] = {extra: [] for line in ordered for extra in line.extras}
        for line in ordered:
            for extra in naming if line.by_any_extra else set(line.extras):
                naming[extra].append(line)
        return cls(ordered, {extra: tuple(group) for extra, group in naming.items()})

    def naming(self, extra: str) -> tuple[RequirementLine, ...]:
        """Return, in order, the lines that `extra` can activate."""
        return self._naming.get(extra) or tuple(line for line in self.all if line.by_any_extra)


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelRequirements:
    """The parsed requirements of a project. `notes`: the repairs made to parse them."""

    project: str
    lines: RequirementLines
    extras: tuple[str, ...]
    requires_python: SpecifierSet
    lookup: MetadataLookup | None = None
    changes: DependencyChanges = field(default_factory=DependencyChanges)
    notes: tuple[Note, ...] = ()

    def at(self, place: Place, extra: str = "") -> tuple[RequiredProject, ...]:
        """Return the projects required at `place`; with `extra`, those that the extra adds.

        The project's own extras are replaced by their requirements; those of other projects only for the base, if
        `lookup` knows their metadata. What the rules drop is not among them.
        """
        lookup = None if extra else self.lookup
        requirements = dict.fromkeys(_follow(self.project, self.lines, extra, place, lookup))
        return tuple(need for need in requirements if need.project not in self.changes.drop)

    def deciding(self) -> tuple[RequirementLine, ...]:
        """Return the lines whose value depends on the place, including those of projects whose extras are required."""
        deciding, waiting, seen = [], list(self.lines.all), set()
        while waiting:
            line = waiting.pop()
            if canonicalize_name(line.requirement.name) in self.changes.drop:
                continue
            deciding += [line] if line.by_platform or line.by_python else []
            key = (canonicalize_name(line.requirement.name), str(line.requirement.specifier))
            if line.requirement.extras and key not in seen and key[0] != self.project:
                seen.add(key)
                others = _lines_of(line.requirement, self.lookup)
                waiting += others.all if others is not None else ()
        return tuple(deciding)


def _in_force(lines: RequirementLines, extra: str, place: Place) -> Iterator[Requirement]:
    """Yield what an extra adds at a place; without an extra, the base requirements."""
    for line in lines.naming(extra) if extra else lines.all:
        if line.holds(place, extra) and not (extra and line.holds(place)):
            yield line.requirement


def _follow(
    owner: str, lines: RequirementLines, extra: str, place: Place, lookup: MetadataLookup | None
) -> Iterator[RequiredProject]:
    """Yield the projects that `owner` requires at a place, in order, each extra replaced once by its requirements."""
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
        known = lines if is_own else _lines_of(requirement, lookup) if extras else None
        if not is_own:
            unknown = () if known else tuple(extras)
            yield RequiredProject(project=project, specifier=requirement.specifier, url=requirement.url, extras=unknown)
        for name in reversed(extras) if known else ():
            if known and (project, name) not in seen:
                seen.add((project, name))
                waiting.append((project, known, _in_force(known, name, place)))


def _lines_of(requirement: Requirement, lookup: MetadataLookup | None) -> RequirementLines | None:
    """Return the requirements of another project; `None`: unknown."""
    if lookup is None or requirement.url is not None:
        return None
    metadata = lookup(canonicalize_name(requirement.name), requirement.specifier)
    return None if metadata is None else RequirementLines.of(map(_line, metadata.requires_dist))


@lru_cache(maxsize=8192)
def _line(text: str) -> RequirementLine:
    return RequirementLine.of(parse_requirement(text)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """MatchSpecs: `depends` without python, and extra → what it adds (CEP 44). `notes`: remarks for the user.

    `guessed`: names of which no map says that the conda package of that name is the project.
    """

    depends: tuple[str, ...]
    extra_depends: Mapping[str, tuple[str, ...]]
    notes: tuple[Note, ...] = ()
    guessed: tuple[str, ...] = ()


def parse_requirement(text: str) -> tuple[Requirement, bool]:
    """Parse a Requires-Dist line; also return whether it was repaired (`>=7.2.0<8.0.0`).

    Raises `UnsafeInputError` (`requirement-invalid`, `limit-size`).
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
    raise UnsafeInputError("requirement-invalid", f"not a valid PEP 508 requirement: {text}", context=(problem,))


def parse_requires_python(text: str | None) -> tuple[SpecifierSet, Note | None]:
    """Parse Requires-Python; also return a note if it was repaired or, unreadable, ignored as by pip."""
    for candidate in _repaired(text or ""):
        try:
            specifier = SpecifierSet(candidate)
        except InvalidSpecifier:
            continue
        if not is_long(specifier):
            if candidate == (text or ""):
                return specifier, None
            read = f"read Requires-Python `{text}` as `{specifier}`"
            return specifier, Note(kind="requirement-form", text=read, detail=f"Requires-Python `{text}`")
    shown = (text or "")[:_LONGEST_SHOWN]
    ignored = f"ignored Requires-Python, as pip does, because it is not a version specifier: `{shown}`"
    return SpecifierSet(), Note(kind="requires-python", text=ignored, detail=f"`{shown}`")


def _repaired(text: str) -> Iterator[str]:
    """Yield `text`, then the result of each repair."""
    yield text
    for pattern, replacement in _REPAIRS:
        if (repaired := pattern.sub(replacement, text)) != text:
            text = repaired
            yield text


def read_requirements(
    metadata: CoreMetadata, lookup: MetadataLookup | None = None, changes: DependencyChanges | None = None
) -> WheelRequirements:
    """Parse requirements. Raises `UnsafeInputError`: `requirement-invalid`, `limit-size`."""
    changes = changes or DependencyChanges()
    if len(metadata.requires_dist) > _MOST_LINES:
        raise UnsafeInputError("limit-size", f"{metadata.name} has {len(metadata.requires_dist)} requirements")
    parsed = [(text, *parse_requirement(text)) for text in metadata.requires_dist]
    requires_python, note = parse_requires_python(metadata.requires_python)
    notes = [
        Note(kind="requirement-form", text=f"read `{text}` as `{requirement}`", detail=f"`{text}`")
        for text, requirement, repaired in parsed
        if repaired
    ]
    notes += [note] if note else []
    dropped = {text: project for text, each, _ in parsed if (project := canonicalize_name(each.name)) in changes.drop}
    notes += [
        Note(kind="dropped", text=f"`{text}` is left out by a rule", detail=project)
        for text, project in dropped.items()
    ]
    kept = (each for text, each, _ in parsed if text not in dropped)
    lines = RequirementLines.of(map(RequirementLine.of, kept))
    extras = tuple(dict.fromkeys([*metadata.provides_extra, *(extra for line in lines.all for extra in line.extras)]))
    if len(extras) > _MOST_EXTRAS:
        raise UnsafeInputError("limit-size", f"{metadata.name} has {len(extras)} extras")
    return WheelRequirements(
        project=metadata.name,
        lines=lines,
        extras=extras,
        requires_python=requires_python,
        lookup=lookup,
        changes=changes,
        notes=tuple(notes),
    )


class Evaluator:
    """Evaluates `WheelRequirements.at` once for all places with equal marker values."""

    def __init__(self, requirements: WheelRequirements) -> None:
        self.requirements = requirements
        self._deciding = requirements.deciding()
        self._by_outcome: dict[tuple[tuple[bool | None, ...], ...], Place] = {}
        self._comparable: dict[Place, Hashable] = {}
        self.representative = cache(self._representative)

    def _representative(self, place: Place) -> Place:
        """Return one place for all that have the same requirements."""
        return self._by_outcome.setdefault(tuple(line.outcome(place) for line in self._deciding), place)

    def at(self, place: Place, extra: str = "") -> tuple[RequiredProject, ...]:
        """Return `WheelRequirements.at`."""
        return self.requirements.at(self.representative(place), extra)

    def comparable(self, place: Place) -> Hashable:
        """Return the base requirements in any order; the error's message if they are undecidable there."""
        place = self.representative(place)
        if place not in self._comparable:
            try:
                self._comparable[place] = frozenset(self.requirements.at(place))
            except UnsafeInputError as error:  # the package may be for other places
                self._comparable[place] = error.message
        return self._comparable[place]


def dependencies(evaluator: Evaluator, span: Span, names: NameMap) -> Dependencies:
    """Return the requirements within `span` as MatchSpecs.

    Raises `UnsafeInputError` (`requirement-untranslatable`) if a base requirement has no equivalent, such as a URL. If
    one of the wheel's own extras has none, or differs within the span, the extra is omitted with a note; so are the
    requirements of an extra of a project whose metadata is unknown. `extra_depends` may require extras of other
    projects, since clients that read it support them.
    """
    requirements = evaluator.requirements
    base = evaluator.at(span.places[0])
    places = set(map(evaluator.representative, span.places))
    notes = [*requirements.notes, *_notes_on_extras(requirements, span.places[0])]
    notes += notes_on_kernels(requirements.lines.all, span.places)
    groups: dict[str, tuple[str, ...]] = {}
    written = {need.project for need in base}
    for extra in requirements.extras:
        added = {evaluator.at(place, extra) for place in places}
        try:
            if len(added) > 1:
                raise UnsafeInputError("not-portable", "its requirements differ by platform or python")
            needed = added.pop()
            specs = _matchspecs(needed, names)
            groups[extra] = requirements.changes.applied(specs, adds=False)
            written |= {need.project for need in needed}
        except UnsafeInputError as error:
            notes.append(Note(kind="extra", text=f"the extra `{extra}` is left out: {error.message}", detail=extra))
    notes += map(_unknown_extras, (need for need in base if need.extras))
    depends = _matchspecs((replace(need, extras=()) for need in base), names)
    return Dependencies(
        depends=requirements.changes.applied(depends),
        extra_depends=groups,
        notes=tuple(notes),
        guessed=tuple(sorted(project for project in written if not names.is_known(project))),
    )


def _notes_on_extras(requirements: WheelRequirements, place: Place) -> Iterator[Note]:
    """Say from which version the requirements of other projects' extras are, since other versions may differ."""
    for line in requirements.lines.all:
        project = canonicalize_name(line.requirement.name)
        extras = sorted(map(canonicalize_name, line.requirement.extras))
        if not extras or project == requirements.project or requirements.lookup is None or not line.holds(place):
            continue
        metadata = requirements.lookup(project, line.requirement.specifier)
        if metadata is None:
            continue
        version, wanted = metadata.version, f"{project}[{','.join(extras)}]"
        if metadata.is_unread:
            why = f"{project} {version} is a source distribution, which is not built to learn them"
            text = f"the requirements of {wanted} are left out: {why}"
            yield Note(kind="other-extra", text=text, detail=wanted)
            continue
        yield Note(kind="information", text=f"the requirements of {wanted} were taken from {project} {version}")
        for extra in extras:
            if extra not in metadata.provides_extra:
                text = f"{project} {version} has no extra `{extra}`"
                yield Note(kind="undeclared-extra", text=text, detail=f"{project}[{extra}]")


def _unknown_extras(need: RequiredProject) -> Note:
    text = f"the requirements of the extras of {need.requirement()} are left out: no index that was read has"
    detail = f"{need.project}[{','.join(need.extras)}]"
    return Note(
        kind="other-extra", text=f"{text} a version that meets it (--index-url lets more be read)", detail=detail
    )


def _matchspecs(needed: Iterable[RequiredProject], names: NameMap) -> tuple[str, ...]:
    """Return one MatchSpec for each native name, which combines all requirements of it."""
    merged: dict[str, RequiredProject] = {}
    for need in needed:
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
    """Return a MatchSpec with extras (CEP 44): `name[version='>=2',extras=[a,b]]`."""
    if not extras:
        return text
    name, _, versions = text.partition(" ")
    version = f"version='{versions}'," if versions else ""
    return f"{name}[{version}extras=[{','.join(extras)}]]"

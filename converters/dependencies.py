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
from functools import cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from converters.errors import UnsafeInputError
from converters.markers import Place, Pythons, Span, cuts, find_span, holds, mentions, varying
from converters.names import NameMap
from converters.target import Target
from converters.versions import to_matchspec
from converters.wheel import CoreMetadata

__all__ = [
    "Dependencies",
    "MetadataLookup",
    "Needed",
    "Requirements",
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
_REPAIRS = (
    (re.compile(rf"({_OPERATOR}\s*[^\s,;()<>=!~]+)\s*(?={_OPERATOR})"), r"\1,"),  # >=7.2.0<8.0.0
    (re.compile(r"(>=|<)(\s*[0-9][0-9.]*)\.\*"), r"\1\2"),  # >=3.6.*
    (re.compile(r",\s*(?=\)|\Z)"), ""),  # >=1.0,
)
_EXTRA = re.compile(r"extra == \"([^\"]+)\"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """A project that is needed at a place, by its normalised name. `extras` are those that nobody could look up."""

    project: str
    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    url: str | None = None
    extras: tuple[str, ...] = ()

    def requirement(self) -> Requirement:
        """The same in PEP 508's terms."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return Requirement(
            f"{self.project}{extras} @ {self.url}" if self.url else f"{self.project}{extras}{self.specifier}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """A project's own requirements, parsed. `notes` say what had to be repaired to read them."""

    project: str
    lines: tuple[Requirement, ...]
    extras: tuple[str, ...]
    requires_python: SpecifierSet
    lookup: MetadataLookup | None = None
    notes: tuple[str, ...] = ()

    def at(self, place: Place, extra: str = "") -> tuple[Needed, ...]:
        """What is needed at `place`; with `extra`, what that extra adds. Extras are followed, in order, each once."""
        return tuple(dict.fromkeys(self._follow(self.project, self.lines, place, extra, set())))

    def _follow(
        self, project: str, lines: Iterable[Requirement], place: Place, extra: str, seen: set[tuple[str, str]]
    ) -> Iterator[Needed]:
        if (project, extra) in seen:
            return
        seen.add((project, extra))
        for line in lines:
            if holds(line, place, extra) and not (extra and holds(line, place)):
                yield from self._needed(project, lines, line, place, seen)

    def _needed(
        self, owner: str, lines: Iterable[Requirement], line: Requirement, place: Place, seen: set[tuple[str, str]]
    ) -> Iterator[Needed]:
        """One requirement of `owner`, itself and the extras that it asks for."""
        project = canonicalize_name(line.name)
        if project != owner:
            yield Needed(project=project, specifier=line.specifier, url=line.url)
        for extra in sorted(map(canonicalize_name, line.extras)):
            if project == owner:  # name[all] → name[a,b]
                yield from self._follow(owner, lines, place, extra, seen)
            elif (found := self._lines_of(project, line)) is None:
                yield Needed(project=project, specifier=line.specifier, url=line.url, extras=(extra,))
            else:
                yield from self._follow(project, found, place, extra, seen)

    def _lines_of(self, project: str, line: Requirement) -> tuple[Requirement, ...] | None:
        if project == self.project:
            return self.lines
        metadata = self.lookup(project, line.specifier) if self.lookup is not None and line.url is None else None
        return None if metadata is None else tuple(parse_requirement(text)[0] for text in metadata.requires_dist)


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
    head, semicolon, marker = text.partition(";")
    for candidate in _repaired(head):
        try:
            return Requirement(f"{candidate}{semicolon}{marker}"), candidate != head
        except InvalidRequirement as error:
            problem = str(error).splitlines()[0]
    raise UnsafeInputError("requirement-invalid", f"not a requirement as PEP 508 has it: {text}", context=(problem,))


def parse_requires_python(text: str | None) -> tuple[SpecifierSet, bool]:
    """Requires-Python, and whether it had to be repaired (`>=3.6.*`). Raises `UnsafeInputError` (`requires-python`)."""
    for candidate in _repaired(text or ""):
        try:
            return SpecifierSet(candidate), candidate != (text or "")
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


def read_requirements(metadata: CoreMetadata, lookup: MetadataLookup | None = None) -> Requirements:
    """The requirements of a wheel's metadata. Raises `UnsafeInputError` (`requirement-invalid`, `requires-python`)."""
    parsed = [(text, *parse_requirement(text)) for text in metadata.requires_dist]
    requires_python, is_repaired = parse_requires_python(metadata.requires_python)
    notes = [f"read `{text}` as `{requirement}`" for text, requirement, repaired in parsed if repaired]
    if is_repaired:
        notes.append(f"read Requires-Python `{metadata.requires_python}` as `{requires_python}`")
    lines = tuple(requirement for _, requirement, _ in parsed)
    named = [canonicalize_name(extra) for line in lines for extra in _EXTRA.findall(str(line.marker or ""))]
    return Requirements(
        project=metadata.name,
        lines=lines,
        extras=tuple(dict.fromkeys([*metadata.provides_extra, *named])),
        requires_python=requires_python,
        lookup=lookup,
        notes=tuple(notes),
    )


def span_of(requirements: Requirements, pythons: SpecifierSet, subdirs: Sequence[str], target: Target | None) -> Span:
    """Where the base requirements are the same (`converters.markers.find_span`).

    :param pythons: Requires-Python and what the wheel's tags say.

    Raises `UnsafeInputError`: `not-portable` where they are the same nowhere wide enough, naming the markers;
    `requires-python` where no python is left.
    """
    admitted = Pythons.admitted(pythons, cuts(requirements.lines))
    if not admitted.minors:
        raise UnsafeInputError("requires-python", f"no python fits {requirements.project}: {pythons}")
    judge = _judge(requirements)

    def required(place: Place) -> object:
        try:
            return frozenset(judge(place, ""))
        except UnsafeInputError as error:  # not decided there; that need not be where the package goes
            return error.message

    span = find_span(required, admitted, subdirs, target)
    if span is not None:
        return span
    everywhere = admitted.places(subdirs, admitted.minors)
    raise UnsafeInputError(
        "not-portable",
        f"{requirements.project} requires other packages on other platforms or pythons; no one package fits all",
        context=varying(requirements.lines, everywhere) or ("the requirements of an extra that it asks for differ",),
        hint="name the platform and the python to convert for, one package for each",
    )


def _judge(requirements: Requirements) -> Callable[[Place, str], tuple[Needed, ...]]:
    """`requirements.at`, computed once for all places that no marker tells apart."""
    by_platform, by_python = mentions(requirements.lines)
    if any(line.extras for line in requirements.lines):
        by_platform = by_python = True  # other projects' markers decide too

    @cache
    def judged(subdir: str, version: str, extra: str) -> tuple[Needed, ...]:
        return requirements.at((subdir, version), extra)

    def judge(place: Place, extra: str) -> tuple[Needed, ...]:
        return judged(place[0] if by_platform else "linux-64", place[1] if by_python else "3.12.0", extra)

    return judge


def dependencies(requirements: Requirements, span: Span, names: NameMap) -> Dependencies:
    """The requirements within `span` as MatchSpecs.

    Raises `UnsafeInputError` (`requirement-untranslatable`) for a base requirement that cannot be said: a URL, an extra
    of a project whose metadata nobody knows. An extra of the wheel's own is left out instead, with a note.
    """
    judge = _judge(requirements)
    base = judge(span.places[0], "")
    notes = [*requirements.notes, *_borrowed(requirements, span.places[0])]
    groups: dict[str, tuple[str, ...]] = {}
    for extra in requirements.extras:
        added = {judge(place, extra) for place in span.places}
        try:
            if len(added) > 1:
                raise UnsafeInputError("not-portable", "its requirements differ by platform or python")
            groups[extra] = _matchspecs(requirements, added.pop(), names)
        except UnsafeInputError as error:
            notes.append(f"the extra `{extra}` is left out: {error.message}")
    return Dependencies(depends=_matchspecs(requirements, base, names), extra_depends=groups, notes=tuple(notes))


def _borrowed(requirements: Requirements, place: Place) -> Iterator[str]:
    """Whose extras were followed, and as which version has them: another version might require something else."""
    for line in requirements.lines:
        project = canonicalize_name(line.name)
        if line.extras and project != requirements.project and requirements.lookup is not None and holds(line, place):
            found = requirements.lookup(project, line.specifier)
            if found is not None:
                extras = ",".join(sorted(map(canonicalize_name, line.extras)))
                unknown = sorted({*map(canonicalize_name, line.extras)} - {*found.provides_extra})
                yield f"what {project}[{extras}] requires was taken from {project} {found.version}"
                yield from (f"{project} {found.version} has no extra `{extra}`" for extra in unknown)


def _matchspecs(requirements: Requirements, needed: Iterable[Needed], names: NameMap) -> tuple[str, ...]:
    """One MatchSpec for each native name: what several requirements say of it holds together."""
    merged: dict[str, Needed] = {}
    for need in needed:
        if need.extras:
            raise UnsafeInputError(
                "requirement-untranslatable",
                f"{requirements.project} requires {need.requirement()}, and what that extra requires is not known",
                hint="let the index be asked for its metadata, or convert that project along with this one",
            )
        name = names.native_name(need.project) if need.url is None else need.project
        known = merged.setdefault(name, need)
        if known is not need:
            merged[name] = replace(known, specifier=known.specifier & need.specifier, url=known.url or need.url)
    return tuple(to_matchspec(need.requirement(), names) for need in merged.values())

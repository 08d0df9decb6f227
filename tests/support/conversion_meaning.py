"""Whether a converted record says what METADATA says: both judged at places where the package may be installed.

The expectation is computed from METADATA by packaging alone, with a table of environments of its own; the record is
read in two orders of versions: py-rattler's, which is conda's, and libsolv's. Nothing of the translation under test
takes part in the judgement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from rattler import Version as CondaVersion
from rattler import VersionSpec

from bridge.errors import UnsafeInputError
from converters.convert import Described, Packages, describe
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.native import NativeFile
from converters.wheel import WheelInfo
from tests.support import libsolv_order
from tests.support.converted import serves

__all__ = ["PLACES", "Judge", "Release", "is_documented"]

SUBDIRS = {
    "linux-64": ("linux", "posix", "Linux", "x86_64"),
    "linux-aarch64": ("linux", "posix", "Linux", "aarch64"),
    "osx-64": ("darwin", "posix", "Darwin", "x86_64"),
    "osx-arm64": ("darwin", "posix", "Darwin", "arm64"),
    "win-64": ("win32", "nt", "Windows", "AMD64"),
}
PYTHONS = ("3.9.0", "3.9.21", "3.10.4", "3.11.7", "3.12.1", "3.13.2", "3.14.0", "3.15.0")
PLACES = tuple((subdir, python) for subdir in SUBDIRS for python in PYTHONS)
"""Where a package is judged: subdirs and full versions of python, 3.9 to 3.15."""
_LIMITS = frozenset({"python", "__unix", "__linux", "__osx", "__win"})
_MANY = 5000  # extras times requirements; beyond it the extras are judged at a few places only
_FEW = frozenset({("linux-64", "3.9.0"), ("linux-64", "3.12.1"), ("osx-arm64", "3.13.2"), ("win-64", "3.11.7")})


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What an index says of one release of a project."""

    name: str
    version: str
    requires_dist: tuple[str, ...] = ()
    requires_python: str | None = None

    def metadata(self) -> CoreMetadata:
        return _metadata(self)


@cache
def _metadata(release: Release) -> CoreMetadata:
    extras = dict.fromkeys(extra for each in _parsed(release.requires_dist) for extra in _extras_of(each))
    return CoreMetadata(
        name=canonicalize_name(release.name),
        version=str(Version(release.version)),
        requires_dist=release.requires_dist,
        requires_python=release.requires_python,
        provides_extra=tuple(extras),
    )


def _extras_of(requirement: Requirement) -> Iterator[str]:
    if requirement.marker is not None:
        words = str(requirement.marker).replace("(", " ").replace(")", " ").split()
        for place, word in enumerate(words):
            if word == "extra" and place + 2 < len(words):
                yield canonicalize_name(words[place + 2].strip("'\""))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bare:
    """A wheel of which the metadata is all that matters."""

    filename: str
    metadata: CoreMetadata
    members: tuple[_NoFile, ...] = ()
    dist_info: str = "x.dist-info"
    data_dirs: tuple[str, ...] = ()
    entry_points: tuple[_NoCommand, ...] = ()
    tags: tuple[str, ...] = ("py3-none-any",)
    cautions: tuple[_NoCaution, ...] = ()


@dataclass(frozen=True)
class _NoFile:
    path: str
    sha256: str
    size: int
    is_executable: bool
    native: NativeFile | None


@dataclass(frozen=True)
class _NoCommand:
    group: str
    name: str
    module: str
    attribute: str


@dataclass(frozen=True)
class _NoCaution:
    id: str
    path: str
    detail: str


@cache
def environment(place: tuple[str, str]) -> dict[str, str]:
    subdir, python = place
    platform, name, system, machine = SUBDIRS[subdir]
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": name,
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "9999",
        "platform_system": system,
        "platform_version": "9999",
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": platform,
    }


@dataclass(slots=True)
class Judge:
    """Converts the metadata of releases and judges the records. `universe`: project → its releases.

    `counted` says how much was judged, and of which documented kinds the differences were; `wrong` are the others.
    `asked`: version spec → the versions it was judged on; `meant`: version spec → the specifiers that it stands for.
    """

    universe: Mapping[str, Sequence[Release]]
    counted: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    asked: dict[str, set[str]] = field(default_factory=dict)
    meant: dict[str, str] = field(default_factory=dict)

    def judge(self, release: Release) -> None:
        """Convert a release for every place, and judge each record at every place where it may be."""
        self.counted["releases"] += 1
        try:
            made = self._describe(release)
        except UnsafeInputError as error:
            self.counted[f"refused: {error.id}"] += 1
            return
        self.counted["records"] += len(made.all)
        self.counted["records refused"] += len(made.notes)
        for place in PLACES:
            serve = [each for each in made.all if self._serves(each, place)]
            if len(serve) > 1 or (not serve and not made.notes and _admits(release.requires_python, place[1])):
                self.wrong.append(f"{release.name} {release.version}: {len(serve)} records for {place}")
            for each in serve:
                self._at(release, each, place)

    def _describe(self, release: Release) -> Packages[Described]:
        metadata = release.metadata()
        filename = f"{metadata.name.replace('-', '_')}-{metadata.version}-py3-none-any.whl"
        info = WheelInfo(filename=filename, metadata=metadata, sha256="0" * 64)
        wheel = _Bare(filename=filename, metadata=metadata)
        return describe(wheel, info, names=NameMap.empty(), lookup=self._lookup)

    def _lookup(self, project: str, specifier: SpecifierSet) -> CoreMetadata | None:
        found = [each for each in self.universe.get(project, ()) if specifier.contains(each.version, prereleases=False)]
        return max(found, key=lambda each: Version(each.version)).metadata() if found else None

    @staticmethod
    def _serves(made: Described, place: tuple[str, str]) -> bool:
        depends = made.index["depends"]
        assert isinstance(depends, list)
        return serves(str(made.index["subdir"]), depends, place)

    def _at(self, release: Release, made: Described, place: tuple[str, str]) -> None:
        """The record against METADATA at one place: the base, and each extra."""
        depends = made.index["depends"]
        assert isinstance(depends, list)
        base = self._needed(release, "", place)
        self._compare(release, place, "", base, [text for text in depends if text.split(" ")[0] not in _LIMITS])
        groups = made.index.get("extra_depends") or {}
        assert isinstance(groups, dict)
        extras = release.metadata().provides_extra
        if len(extras) * len(release.requires_dist) > _MANY and place not in _FEW:
            return
        for extra in extras:
            if extra not in groups:
                self.counted["extras left out, with a note"] += 1
                assert any(f"`{extra}`" in note.text for note in made.notes)
                continue
            self.counted["extras"] += 1
            added = self._needed(release, extra, place, is_added=True)
            self._compare(release, place, extra, added, list(groups[extra]))

    def _needed(
        self, release: Release, extra: str, place: tuple[str, str], *, is_added: bool = False
    ) -> dict[str, SpecifierSet]:
        """Project → specifiers in force, as PEP 508 has it; extras followed, those of others for the base only."""
        found: dict[str, SpecifierSet] = {}
        seen: set[tuple[str, str]] = set()
        waiting = [(release, extra, is_added)]
        own = canonicalize_name(release.name)
        while waiting:
            owner, asked, only_added = waiting.pop()
            for line in _lines(owner.requires_dist):
                if (only_added and "extra" not in line.marker) or not _holds(line, place, asked):
                    continue
                if only_added and _holds(line, place, ""):
                    continue
                is_own = line.project == canonicalize_name(owner.name)
                if not is_own:
                    found[line.project] = found.get(line.project, SpecifierSet()) & line.specifier
                for wanted in line.extras:
                    if (line.project, wanted) in seen or (extra and line.project != own):
                        continue
                    seen.add((line.project, wanted))
                    other = owner if is_own else self._release(line.project, line.specifier)
                    if other is not None:
                        waiting.append((other, wanted, True))
        return found

    def _release(self, project: str, specifier: SpecifierSet) -> Release | None:
        found = [each for each in self.universe.get(project, ()) if specifier.contains(each.version, prereleases=False)]
        return max(found, key=lambda each: Version(each.version)) if found else None

    def _compare(
        self,
        release: Release,
        place: tuple[str, str],
        extra: str,
        needed: Mapping[str, SpecifierSet],
        specs: list[str],
    ) -> None:
        what = f"{release.name} {release.version} [{extra}] at {place}"
        said = {text.split(" ")[0].split("[")[0]: _bound(text) for text in specs}
        if said.keys() != needed.keys():
            self.wrong.append(f"{what}: {sorted(said)} instead of {sorted(needed)}")
            return
        for project, specifier in needed.items():
            self.counted["dependencies"] += 1
            versions = self._versions(project, specifier)
            self.asked.setdefault(said[project] or "*", set()).update(versions)
            self.meant[said[project] or "*"] = str(specifier)
            for text, order, is_named in _differences(said[project], str(specifier), versions):
                self.counted[f"versions that differ in {order}, as documented"] += is_named
                if not is_named:
                    became = f"{project}{specifier} became {said[project]!r}"
                    self.wrong.append(f"{what}: {became}, which differs on {text} in {order}")
            self.counted["versions"] += len(versions)

    def _versions(self, project: str, specifier: SpecifierSet) -> tuple[str, ...]:
        """Versions to ask: those that were published, and neighbours of what the specifier names."""
        published = {str(Version(each.version)) for each in self.universe.get(project, ())}
        return tuple(sorted(published | _neighbours(str(specifier))))


@cache
def _parsed(lines: tuple[str, ...]) -> tuple[Requirement, ...]:
    return tuple(Requirement(text) for text in lines)


@cache
def _marker(text: str) -> Marker:
    return Marker(text)


@cache
def _holds_at(marker: str, place: tuple[str, str], extra: str) -> bool:
    return _marker(marker).evaluate({**environment(place), "extra": extra})


@dataclass(frozen=True, slots=True)
class _Line:
    """A requirement taken apart once."""

    project: str
    specifier: SpecifierSet
    extras: tuple[str, ...]
    marker: str


@cache
def _lines(texts: tuple[str, ...]) -> tuple[_Line, ...]:
    return tuple(
        _Line(
            canonicalize_name(each.name),
            each.specifier,
            tuple(map(canonicalize_name, each.extras)),
            str(each.marker or ""),
        )
        for each in _parsed(texts)
    )


def _holds(line: _Line, place: tuple[str, str], extra: str) -> bool:
    return not line.marker or _holds_at(line.marker, place, extra if "extra" in line.marker else "")


def _admits(requires_python: str | None, python: str) -> bool:
    return not requires_python or SpecifierSet(requires_python).contains(python, prereleases=True)


def _bound(text: str) -> str:
    """The version part of a MatchSpec as it is written in a record."""
    if "[" in text:
        return text.partition("version='")[2].partition("'")[0]
    return text.partition(" ")[2]


@cache
def _neighbours(specifier: str) -> frozenset[str]:
    found = set()
    for clause in SpecifierSet(specifier):
        try:
            version = Version(clause.version.removesuffix(".*"))
        except InvalidVersion:
            continue
        release = version.release
        for parts in (
            release,
            (*release[:-1], release[-1] + 1),
            (*release, 1),
            (*release[:-1], max(release[-1] - 1, 0)),
        ):
            text = f"{version.epoch}!" * bool(version.epoch) + ".".join(map(str, parts))
            found |= {f"{text}{suffix}" for suffix in ("", ".dev1", "a1", "rc1", ".post1", "+local", "+1", "rc1.dev1")}
    return frozenset(found)


@cache
def _differences(bound: str, specifier: str, versions: tuple[str, ...]) -> tuple[tuple[str, str, bool], ...]:
    """Return the versions on which a bound differs from a specifier, in whose order, and whether that is documented."""
    wanted = SpecifierSet(specifier)
    found = []
    for text in versions:
        is_wanted = wanted.contains(text, prereleases=True)
        for order, accepts in (("rattler", _matches), ("libsolv", libsolv_order.accepts)):
            looser = not bound or accepts(bound, text)
            if looser != is_wanted:
                found.append((text, order, any(is_documented(clause, text, looser=looser) for clause in wanted)))
    return tuple(found)


@cache
def _spec(bound: str) -> VersionSpec:
    return VersionSpec(bound)


@cache
def _version(text: str) -> CondaVersion:
    return CondaVersion(text)


def _matches(bound: str, text: str) -> bool:
    return _spec(bound).matches(_version(text))


def _padded(release: tuple[int, ...]) -> tuple[int, ...]:
    return (*release, *[0] * (8 - len(release)))


def is_documented(clause: Specifier, text: str, *, looser: bool) -> bool:
    """Whether docs/conversion.md names the difference on `text` that `clause` may make."""
    version = Version(text)
    if clause.operator == "===":
        return looser and version == Version(clause.version)
    bound = Version(clause.version.removesuffix(".*"))
    same_release = _padded(version.release) == _padded(bound.release) and version.epoch == bound.epoch
    if version.local is not None and Version(version.public) in (Version(bound.public), Version(bound.base_version)):
        is_at_least = clause.operator in (">=", "~=") or (clause.operator == ">" and bound.is_prerelease)
        is_below = clause.operator == "<" and (bound.is_prerelease or bound.is_postrelease)
        if (clause.operator == "!=" or is_below) if looser else is_at_least:
            return True  # local versions of the bound itself
    other_zeros = same_release and len(version.release) != len(bound.release)
    if other_zeros and (version.is_prerelease or version.is_postrelease):
        return True
    is_shorter = version.epoch == bound.epoch and len(version.release) < len(bound.release)
    if version.is_postrelease and is_shorter and bound.release[: len(version.release)] == version.release:
        return True  # 1.post1 passes >=1.0.2
    is_development = version.dev is not None and version.pre is None
    return not looser and clause.operator in ("<", "<=") and bound.pre is not None and same_release and is_development

"""An independent judge of small universes: is a solution consistent, and does any exist?

Written against the rules that the resolver promises (`docs/decisions/0004-resolver.md`), not against its code: plain
sets of chosen packages, judged as a whole, and a search that tries everything. Pre-releases are not judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion
from packaging.version import Version as PyVersion
from rattler import MatchSpec, Version, VersionSpec

from bridge.errors import NoSolutionError
from bridge.model import Resolution
from converters.record import Record
from tests.support.resolver_worlds import Wheel, World


@dataclass(frozen=True, slots=True)
class Chosen:
    """A set of packages: conda records by name, wheels by project."""

    conda: Mapping[str, Record] = field(default_factory=dict)
    wheels: Mapping[str, Wheel] = field(default_factory=dict)

    def with_record(self, record: Record) -> Chosen:
        return replace(self, conda={**self.conda, record.name: record})

    def with_wheel(self, wheel: Wheel) -> Chosen:
        return replace(self, wheels={**self.wheels, wheel.file.project: wheel})


@dataclass(frozen=True, slots=True)
class Need:
    """A requirement in force: `text` in conda's syntax or in PEP 508's; `bound` to one ecosystem where it is."""

    kind: str
    text: str
    bound: str = ""


@cache
def _spec(text: str) -> tuple[str, VersionSpec | None, MatchSpec]:
    spec = MatchSpec(text)
    name = str(getattr(spec.name, "normalized", spec.name))
    return name, VersionSpec(str(spec.version)) if spec.version else None, spec


def conda_name(text: str) -> str:
    """The name that a MatchSpec is about."""
    return _spec(text)[0]


@cache
def conda_accepts(text: str, version: str) -> bool:
    versions = _spec(text)[1]
    return versions is None or versions.matches(Version(version))


@cache
def build_matches(text: str, build: str | None) -> bool:
    """Whether a MatchSpec accepts a build; `None` is the build of a wheel, which only a spec without one accepts."""
    wanted = _spec(text)[2].build
    if wanted is None or wanted == "*":
        return True
    if build is None:
        return False
    head, star, tail = wanted.partition("*")  # the test's globs have one star at most
    return build.startswith(head) and build.endswith(tail) if star else build == wanted


@cache
def pep440_accepts(specifier: str, version: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(PyVersion(version), prereleases=True)
    except InvalidVersion:
        return not specifier


class Oracle:
    """Judges one world.

    `is_lenient`: a conda record serves an extra of which nothing is known, for want of a wheel of the same version.
    """

    def __init__(self, world: World, *, is_lenient: bool = True) -> None:
        self.world = world
        self._is_lenient = is_lenient
        self.records: dict[str, list[Record]] = {}
        for record in world.records:
            if record.subdir in (world.target.subdir, "noarch"):
                self.records.setdefault(record.name, []).append(record)
        self.wheels: dict[str, list[Wheel]] = {}
        for wheel in world.wheels:
            self.wheels.setdefault(wheel.file.project, []).append(wheel)

    # Names

    def provides(self, record: Record) -> set[str]:
        """The PyPI names of a record: the table's, or its own where the table is silent and it depends on python."""
        if record.name in self.world.names:
            row = self.world.names[record.name]
            return {canonicalize_name(name) for name in row} if isinstance(row, (list, tuple)) else set()
        is_python = any(text.split(" ")[0] == "python" for text in record.requirements)
        return {canonicalize_name(record.name)} if is_python else set()

    def standin(self, name: str) -> str | None:
        """The project whose wheel may meet a conda dependency on `name`."""
        if name in self.world.names:
            row = self.world.names[name]
            projects: set[str] = {canonicalize_name(one) for one in row} if isinstance(row, (list, tuple)) else set()
        else:
            projects = {project for record in self.records.get(name, ()) for project in self.provides(record)}
        if canonicalize_name(name) in projects:
            return canonicalize_name(name)
        return next(iter(projects)) if len(projects) == 1 else None

    # What is in force

    def needs(self, chosen: Chosen, asked: Sequence[Need]) -> Iterator[Need]:
        """Every requirement in force beside what is chosen."""
        if chosen.wheels or any(need.kind == "pypi" and self.may_hold(need) for need in asked):
            yield Need("conda", "python", "conda")
        yield from (n for n in asked if n.kind == "conda" or self.holds(Requirement(n.text).marker, chosen))
        for record in chosen.conda.values():
            for text in record.requirements:
                yield Need("conda", text)
        for wheel in chosen.wheels.values():
            for text in wheel.metadata.requires_dist:
                if self.holds(Requirement(text).marker, chosen):
                    yield Need("pypi", text)

    def _extra_needs(self, need: Need, chosen: Chosen) -> list[Need] | None:
        """What the extras of a met requirement need; `None` where what meets it cannot serve them."""
        parsed = Requirement(need.text)
        project = canonicalize_name(parsed.name)
        found: list[Need] = []
        for extra in sorted(map(canonicalize_name, parsed.extras)):
            metadata = chosen.wheels[project].metadata if project in chosen.wheels else None
            if metadata is None:
                meeting = [r for r in chosen.conda.values() if project in self.provides(r)]
                version = next(r.version for r in meeting if pep440_accepts(str(parsed.specifier), r.version))
                same = [w.metadata for w in self.wheels.get(project, ()) if w.file.version == version]
                if not same and self._is_lenient:
                    continue
                if not same or extra not in same[0].provides_extra:
                    return None
                metadata = same[0]
            for text in metadata.requires_dist:
                marker = Requirement(text).marker
                if self.holds(marker, chosen, extra) and not self.holds(marker, chosen):
                    found.append(Need("pypi", text))
        return found

    def _environment(self, chosen: Chosen) -> dict[str, str]:
        version = chosen.conda["python"].version
        major, minor = version.split(".")[:2]
        return {
            "python_version": f"{major}.{minor}",
            "python_full_version": version,
            "implementation_version": version,
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "os_name": "posix",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
            "platform_release": "",
            "platform_version": "",
        }

    def may_hold(self, need: Need) -> bool:
        """Whether a request is in force for some python; where no channel has one, it is as well."""
        marker, pythons = Requirement(need.text).marker, self.records.get("python", ())
        return not pythons or any(self.holds(marker, Chosen({"python": python})) for python in pythons)

    def holds(self, marker: Marker | None, chosen: Chosen, extra: str = "") -> bool:
        if marker is None:
            return True
        return "python" in chosen.conda and marker.evaluate({**self._environment(chosen), "extra": extra})

    # Judging

    def is_consistent(self, chosen: Chosen, asked: Sequence[Need]) -> bool:
        """Whether everything in force is met and nothing excludes anything."""
        if not self._is_free_of_conflicts(chosen):
            return False
        needs = list(self.needs(chosen, asked))
        for need in needs:  # grows: extras add to it
            if not self.is_met(need, chosen):
                return False
            if need.kind == "pypi" and Requirement(need.text).extras:
                added = self._extra_needs(need, chosen)
                if added is None:
                    return False
                needs += [one for one in added if one not in needs]
        return True

    def _is_free_of_conflicts(self, chosen: Chosen) -> bool:
        for record in chosen.conda.values():
            provided = self.provides(record)
            for project in provided & set(chosen.wheels):
                if len(provided) == 1 or canonicalize_name(record.name) == project:
                    return False
            if any(not self.is_met(Need("conda", text), chosen, is_optional=True) for text in record.constraints):
                return False
            if any(t.startswith("__") and not self.is_met(Need("conda", t), chosen) for t in record.requirements):
                return False
        return all(self.runs(wheel, chosen) for wheel in chosen.wheels.values())

    def runs(self, wheel: Wheel, chosen: Chosen) -> bool:
        python = chosen.conda.get("python")
        if python is None:
            return True  # not yet; `needs` asks for it
        if wheel.file.requires_python and not pep440_accepts(wheel.file.requires_python, python.version):
            return False
        major, minor = (int(part) for part in python.version.split(".")[:2])
        return bool(parse_wheel_filename(wheel.file.filename)[3] & _tags(major, minor))

    def is_met(self, need: Need, chosen: Chosen, *, is_optional: bool = False) -> bool:
        if need.kind == "pypi":
            parsed = Requirement(need.text)
            project, specifier = canonicalize_name(parsed.name), str(parsed.specifier)
            if project in chosen.wheels:
                return pep440_accepts(specifier, chosen.wheels[project].file.version)
            return need.bound != "wheel" and any(
                project in self.provides(record) and pep440_accepts(specifier, record.version)
                for record in chosen.conda.values()
            )
        name = _spec(need.text)[0]
        if name.startswith("__"):
            version = self.world.target.virtual(name)
            return is_optional if version is None else conda_accepts(need.text, version)
        if name in chosen.conda:
            record = chosen.conda[name]
            return conda_accepts(need.text, record.version) and build_matches(need.text, record.build)
        wheel = chosen.wheels.get(self.standin(name) or "")
        if wheel is not None and need.bound != "conda":
            return conda_accepts(need.text, wheel.file.version) and build_matches(need.text, None)
        return is_optional and wheel is None

    # Searching

    def solutions(self, asked: Sequence[Need], start: Chosen | None = None) -> Iterator[Chosen]:
        """Consistent sets that have nothing without a reason: need by need, every way to meet it."""
        chosen = start or Chosen()
        if not self._is_free_of_conflicts(chosen):
            return
        needs = list(self.needs(chosen, asked))
        for need in needs:
            if not self.is_met(need, chosen):
                for wider in self._ways(need, chosen):
                    yield from self.solutions(asked, wider)
                return
            if need.kind == "pypi" and Requirement(need.text).extras:
                added = self._extra_needs(need, chosen)
                if added is None:
                    return
                needs += [one for one in added if one not in needs]
        yield chosen

    def has_solution(self, asked: Sequence[Need], start: Chosen | None = None) -> bool:
        return any(self.is_consistent(chosen, asked) for chosen in self.solutions(asked, start))

    def _ways(self, need: Need, chosen: Chosen) -> Iterator[Chosen]:
        """Every package that could meet an unmet need; it may conflict with what is chosen, and is judged then."""
        if need.kind == "pypi":
            project: str = canonicalize_name(Requirement(need.text).name)
            if project in chosen.wheels:
                return
            if need.bound != "wheel":
                for name, records in self.records.items():
                    if name not in chosen.conda:
                        yield from (chosen.with_record(r) for r in records if project in self.provides(r))
        else:
            name = _spec(need.text)[0]
            if name.startswith("__") or name in chosen.conda:
                return
            yield from (chosen.with_record(record) for record in self.records.get(name, ()))
            found = self.standin(name)
            if need.bound == "conda" or found is None or found in chosen.wheels or name == "python":
                return
            project = found
        for wheel in self.wheels.get(project, ()):
            after = chosen.with_wheel(wheel)
            if self.is_met(need, after):
                yield after


@cache
def _tags(major: int, minor: int) -> frozenset[Tag]:
    platforms = [*(f"manylinux_2_{floor}_x86_64" for floor in range(36, 4, -1)), "linux_x86_64"]
    specific = cpython_tags((major, minor), [f"cp{major}{minor}"], platforms)
    return frozenset([*specific, *compatible_tags((major, minor), f"cp{major}{minor}", platforms)])


def asked_of(conda: Iterable[str], pypi: Iterable[str]) -> list[Need]:
    """The person's requests; `conda:` and `pypi:` bind them."""
    found = []
    for kind, texts in (("conda", conda), ("pypi", pypi)):
        for text in texts:
            prefix, colon, body = text.partition(":")
            is_bound = bool(colon) and prefix in ("conda", "pypi")
            bound = {"conda": "conda", "pypi": "wheel"}[prefix] if is_bound else ""
            found.append(Need(kind, body if is_bound else text, bound))
    return found


def chosen_of(world: World, resolution: Resolution) -> Chosen:
    """The packages of a resolution, as this judge sees them."""
    by_file: dict[str, Wheel] = {each.file.filename: each for each in world.wheels}
    by_identity = {one.identity: one for one in world.records}
    chosen = Chosen()
    for package in resolution.packages:
        if package.record.ecosystem == "conda":
            chosen = chosen.with_record(by_identity[package.record.identity])
        else:
            chosen = chosen.with_wheel(by_file[package.record.filename])
    return chosen


def solve(world: World, conda: Sequence[str], pypi: Sequence[str]) -> Resolution | None:
    """What the resolver answers; `None` where it says that there is no solution."""
    try:
        return world.solve(conda, pypi)
    except NoSolutionError as error:
        if error.id != "no-solution":  # given up
            raise
        return None

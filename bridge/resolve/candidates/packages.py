"""The candidates of one conda name or one PyPI project: a list, best first, and the masks that meet requirements.

Bit 0 of a mask means "absent", bit i+1 the i-th candidate. Each distinct requirement text becomes a mask once, and each
distinct version is compared once per text.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag

from bridge.errors import UnsafeInputError
from bridge.model import IndexFile
from bridge.requirements.algebra import CondaSpec, conda_version, pep440_version, pins, specifier_accepts
from bridge.resolve.candidates.needs import Need, needs
from bridge.resolve.candidates.provides import canonical, provided_by, wheel_project_of
from bridge.resolve.candidates.ranks import file_rank, record_rank
from bridge.resolve.ruling import barred_records, file_rule
from bridge.resolve.sources import Options
from converters.deferred import regex, replace
from converters.names import NameMap, Provided
from converters.record import Record
from converters.target import Python, Target
from converters.wheel import parse_wheel_name

__all__ = ["POLICY", "CondaName", "Project"]

POLICY = "policy: "
"""The start of the reason for which the policy excludes files; the rule follows."""

_FREE_THREADED = regex(r"cp3\d+t\Z")


class CondaName:
    """The records of one conda name, best first, and the masks that meet requirements."""

    __slots__ = (
        "_masks",
        "_needs",
        "_pypi_masks",
        "_with_projects",
        "barred",
        "depends",
        "everything",
        "name",
        "projects",
        "provided",
        "records",
        "too_new",
        "wheel_project"
    )  # fmt: skip

    def __init__(self, name: str, records: Sequence[Record], names: NameMap, options: Options) -> None:
        self.name = name
        # If several channels serve a name (flexible priority), records of the first channel come first.
        channels = {origin: -place for place, origin in enumerate(dict.fromkeys(r.origin for r in records))}
        ranked = sorted(records, key=lambda record: (channels[record.origin], *record_rank(record)), reverse=True)
        self.records = tuple(ranked)
        self.provided = tuple(provided_by(record, names) for record in self.records)
        self.projects = frozenset(project for provided in self.provided for project in provided.projects)
        self.wheel_project = wheel_project_of(name, self.provided, names)
        self.depends = _group(record.requirements for record in self.records)
        self.everything = (1 << len(self.records) + 1) - 2  # the bits of all records
        self.too_new = _too_new(self.records, self.provided, options)
        self.barred: dict[str, int] = {}  # rule of the policy → the records that break it
        if options.policy is not None:
            self.barred = barred_records(self.records, self.provided, options.policy)
        self._with_projects: dict[int, Record] = {}
        self._masks: dict[str, int] = {}
        self._needs: tuple[tuple[Need, ...], tuple[Need, ...]] | None = None
        self._pypi_masks: dict[tuple[str, str], int] = {}

    @property
    def excluded(self) -> int:
        """The records that the cooldown or the policy excludes."""
        excluded = self.too_new
        for bits in self.barred.values():
            excluded |= bits
        return excluded

    def record(self, position: int) -> Record:
        """Return a record with the projects that it provides."""
        known = self._with_projects.get(position)
        if known is None:
            known = replace(self.records[position], pypi_names=self.provided[position].projects)
            self._with_projects[position] = known
        return known

    @property
    def needs(self) -> tuple[tuple[Need, ...], tuple[Need, ...]]:
        """The requirements and constraints of the records: those on python, and all others."""
        if self._needs is None:
            self._needs = needs(self.depends, _group(record.constraints for record in self.records))
        return self._needs

    @property
    def wheel_bit(self) -> int:
        """The bit after all records: "the wheel of the project that this name provides"."""
        return 1 << len(self.records) + 1

    def meets(self, spec: CondaSpec) -> int:
        """Return the records that meet a MatchSpec, by conda's version order."""
        known = self._masks.get(spec.text)
        if known is None:
            known = _meeting(self.records, spec.accepts_version)
            if spec.names_a_build:
                known &= _mask(
                    spec.accepts_build(record.build, record.build_number, record.origin, record.subdir)
                    and spec.accepts_artifact(record)
                    for record in self.records
                )
            self._masks[spec.text] = known
        return known

    def meets_pypi(self, project: str, specifier: SpecifierSet | None) -> int:
        """Return the records that provide `project` at a version that the specifier accepts (PEP 440)."""
        key = (project, str(specifier or ""))
        known = self._pypi_masks.get(key)
        if known is None:
            known = _mask(project in provided.projects for provided in self.provided)
            if known and specifier is not None:
                known &= _meeting(self.records, partial(specifier_accepts, specifier))
            self._pypi_masks[key] = known
        return known

    def at(self, version: str) -> int:
        """Return the records of a version, equal by conda's order."""
        wanted = conda_version(version)
        return _meeting(
            self.records, lambda text: text == version or (wanted is not None and conda_version(text) == wanted)
        )

    def owns(self, project: str) -> int:
        """Return the records that exclude a wheel of `project`: they provide only that project, or have its name."""
        is_eponymous = canonical(self.name) == project
        return _mask(project in each.projects and (is_eponymous or len(each.projects) == 1) for each in self.provided)

    def extra_depends(self, extra: str) -> tuple[int, dict[str, int]]:
        """Return the records that define an extra (CEP 44), and its requirements: MatchSpec text → bits of records."""
        offering = 0
        texts: dict[str, int] = {}
        for position, record in enumerate(self.records):
            for name, added in record.extra_requirements:
                if canonical(name) == canonical(extra):
                    offering |= 2 << position
                    for text in added:
                        texts[text] = texts.get(text, 0) | 2 << position
        return offering, texts

    def python(self, position: int) -> Python | None:
        """Return the interpreter in a record of the name `python`; `None` if it is not CPython."""
        record = self.records[position]
        if "pypy" in record.build or pep440_version(record.version) is None:
            return None
        return Python(version=record.version, free_threaded=bool(_FREE_THREADED.search(record.build)))

    def pythons(self) -> tuple[Python | None, ...]:
        """Return the interpreter of each record."""
        return tuple(self.python(position) for position in range(len(self.records)))


class Project:
    """The files of one PyPI project that can run on the target, best first, and the masks that meet requirements."""

    __slots__ = ("_conda_masks", "_masks", "by_python", "by_tags", "excluded", "files", "name", "prereleases", "yanked")

    def __init__(self, name: str, files: Sequence[IndexFile], target: Target, options: Options) -> None:
        self.name = name
        self.excluded: dict[str, list[IndexFile]] = {}  # reason → files that are no candidates
        usable = [file for file in files if self._is_usable(file, target, options)]
        self.files: list[IndexFile] = sorted(usable, key=file_rank(target, has_early=options.pre), reverse=True)
        self.prereleases = 0
        self.yanked = 0
        self.by_tags: dict[frozenset[Tag], int] = {}
        self.by_python: dict[str, int] = {}
        for position, file in enumerate(self.files):
            self._index(position, file)
        self._masks: dict[str, int] = {}
        self._conda_masks: dict[str, int] = {}

    @property
    def everything(self) -> int:
        """The bits of all files."""
        return (1 << len(self.files) + 1) - 2

    def _is_usable(self, file: IndexFile, target: Target, options: Options) -> bool:
        reason = _exclusion(file, target, options)
        if reason is not None:
            self.excluded.setdefault(reason, []).append(file)
        return reason is None

    def _index(self, position: int, file: IndexFile) -> None:
        bit = 2 << position
        version = pep440_version(file.version)
        if version is not None and version.is_prerelease:
            self.prereleases |= bit
        if file.yanked is not None:
            self.yanked |= bit
        tags = parse_wheel_name(file.filename).tags if file.is_wheel else frozenset()
        self.by_tags[tags] = self.by_tags.get(tags, 0) | bit
        if file.requires_python:
            self.by_python[file.requires_python] = self.by_python.get(file.requires_python, 0) | bit

    def with_file(self, file: IndexFile) -> tuple[Project, int]:
        """Return the project with the file of a URL requirement appended, and that file's bit."""
        for position, known in enumerate(self.files):
            if known.url == file.url:
                return self, 2 << position
        wider = copy.copy(self)
        wider.files = [*self.files, file]
        wider.by_tags, wider.by_python = dict(self.by_tags), dict(self.by_python)
        wider._masks, wider._conda_masks = {}, {}
        wider._index(len(self.files), file)
        return wider, 2 << len(self.files)

    @classmethod
    def of_file(cls, file: IndexFile, target: Target, options: Options) -> Project:
        """Make a project of one file, given by its URL: no index is read, and only its tags can exclude it."""
        return cls(file.project, (), target, options).with_file(file)[0]

    def meets(self, specifier: SpecifierSet | None) -> int:
        """Return the files whose version the specifier accepts (PEP 440)."""
        key = str(specifier or "")
        known = self._masks.get(key)
        if known is None:
            known = (
                self.everything if specifier is None else _meeting(self.files, partial(specifier_accepts, specifier))
            )
            self._masks[key] = known
        return known

    def meets_conda(self, spec: CondaSpec) -> int:
        """Return the files whose version, by conda's order, and whose channel a MatchSpec accepts."""
        known = self._conda_masks.get(spec.text)
        if known is None:
            known = _meeting(self.files, spec.accepts_version)
            if spec.channel is not None:
                known &= _mask(file.is_of_channel and spec.accepts_channel(file.origin) for file in self.files)
            self._conda_masks[spec.text] = known
        return known

    def pinned(self, specifier: SpecifierSet | None) -> int:
        """Return the files with the exact version that a clause pins."""
        return 0 if specifier is None else _meeting(self.files, partial(pins, specifier))

    def at(self, version: str) -> int:
        """Return the files of a version, equal by PEP 440."""
        wanted = pep440_version(version)
        return 0 if wanted is None else _meeting(self.files, lambda text: pep440_version(text) == wanted)

    def of_version(self, version: str) -> list[IndexFile]:
        """Return the files of one version, equal by PEP 440, files that run here first."""
        wanted = pep440_version(version)
        others = (file for files in self.excluded.values() for file in files if file.is_wheel)
        return [f for f in (*self.files, *others) if wanted is not None and pep440_version(f.version) == wanted]


def _mask(holds: Iterable[bool]) -> int:
    """Return the bits of the candidates for which a condition holds."""
    return sum(2 << position for position, is_met in enumerate(holds) if is_met)


def _meeting(candidates: Iterable[Record | IndexFile], accepts: Callable[[str], bool]) -> int:
    """Return the bits of the candidates with an accepted version; each distinct version is matched once."""
    verdicts: dict[str, bool] = {}
    mask = 0
    for position, candidate in enumerate(candidates):
        version = candidate.version
        verdict = verdicts.get(version)
        if verdict is None:
            verdict = verdicts[version] = accepts(version)
        if verdict:
            mask |= 2 << position
    return mask


def _group(texts_of_records: Iterable[Sequence[str]]) -> dict[str, int]:
    """Map each requirement text to the bits of the records that state it."""
    groups: dict[str, int] = {}
    for position, texts in enumerate(texts_of_records):
        bit = 2 << position
        for text in texts:
            groups[text] = groups.get(text, 0) | bit
    return groups


def _too_new(records: Sequence[Record], provided: Sequence[Provided], options: Options) -> int:
    """Return the records that the cooldown excludes. A record without a time stays, as with conda."""
    if not options.cooldown.is_on:
        return 0
    limit = options.cooldown.limit
    return _mask(
        record.timestamp is not None
        and (latest := limit((record.name, *each.projects), record.origin)) is not None
        and record.timestamp > latest
        for record, each in zip(records, provided, strict=True)
    )


def _exclusion(file: IndexFile, target: Target, options: Options) -> str | None:
    """Return why a file is no candidate on this target with any python; `None` if it is one."""
    if pep440_version(file.version) is None:
        return "version"
    if options.policy is not None and (rule := file_rule(file, options.policy)) is not None:
        return f"{POLICY}{rule}"
    if options.cooldown.is_on:
        latest = options.cooldown.limit((file.project,), file.origin)
        if latest is not None and (file.upload_time is None or file.upload_time > latest):
            return "no-time" if file.upload_time is None else "too-new"
    if not file.is_wheel and (options.no_build or options.builds.bars(file.project, is_wheel=False)):
        return "sdist"
    if file.is_wheel and (reason := _wheel_exclusion(file, target, options)):
        return reason
    return "hash" if file.expected and file.sha256 is not None and file.sha256 not in file.expected else None


def _wheel_exclusion(file: IndexFile, target: Target, options: Options) -> str | None:
    if options.builds.bars(file.project, is_wheel=True):
        return "no-binary"
    platforms = file.filename[:-4].rsplit("-", 1)[-1].split(".")
    if not any(platform == "any" or platform in _platforms(target) for platform in platforms):
        return "platform"
    try:
        parse_wheel_name(file.filename)
    except UnsafeInputError:
        return "name"
    return None


@lru_cache(maxsize=16)
def _platforms(target: Target) -> frozenset[str]:
    return frozenset(target.platform_tags())

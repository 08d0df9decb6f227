"""Jobs that convert one wheel each, as values that can be sent to other processes and machines.

A job names a file, or a requirement to find one for; each worker opens its own session with the same settings. On a
cluster the output directory and local wheels must have the same paths on all machines.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet

from bridge.config import Settings
from bridge.convert import wheel as conversions
from bridge.convert.resuming import ConversionLog
from bridge.convert.warnings import warnings_of
from bridge.convert.wheel import ConvertedPackage, DescribedWheel
from bridge.convert.workers import kept_memory, unsampled
from bridge.errors import BridgeError, IntegrityError, NetworkError, NoSolutionError
from bridge.fetch.urls import local_path
from bridge.index.attestations import provenance_of
from bridge.model import IndexFile
from bridge.requirements import algebra
from bridge.requirements.names import name_of
from bridge.secrets import masked
from converters.deferred import replace
from converters.dependencies import MetadataLookup
from converters.metadata import CoreMetadata
from converters.names import projects_of_purls
from converters.notes import Note
from converters.rules import DependencyRules
from converters.wheel import WheelInfo

if TYPE_CHECKING:
    from bridge.resolve.attesting import Demands
    from bridge.resolve.ports import RunPort

__all__ = ["Conversion", "ConversionTask", "Converter", "Job", "JobResult", "perform", "perform_all"]

_MOST_SHOWN = 20  # names in a warning
_MOST_THREADS = 4  # of zstd; each needs memory of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionTask:
    """What all jobs of a command share.

    :param opens: opens a session in the worker; must be picklable.
    :param platforms: make only the packages that serve these subdirs; empty: all.
    :param as_records: write records that point to the wheels, and no packages.
    :param is_alone: whether this is the only process, which may use several threads.
    :param rows: rows of the name map that a solve found. `rules`: the user's for dependencies.
    """

    settings: Settings
    opens: Callable[[Settings], RunPort]
    output: Path
    archive_format: conversions.Format = "conda"
    level: int
    platforms: tuple[str, ...] = ()
    as_records: bool = False
    is_alone: bool = True
    rows: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: DependencyRules = field(default_factory=DependencyRules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A wheel to convert. `text` is the user's request; `file` is set if a solve chose it.

    `may_build`: source code may be built, which the user has been told.
    """

    text: str
    file: IndexFile | None = None
    may_build: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The result of a job: packages, or records that point to its wheel, or an error.

    `is_reused`: the packages are from an earlier run. `notes` are about the wheel, not its packages. `to_build`: not
    done, since this source would be built; repeat the job with `may_build`. `tested`: the modules that were
    imported, up to the error; `untested`: why there was no test.
    """

    text: str
    packages: tuple[ConvertedPackage, ...] = ()
    wheels: tuple[DescribedWheel, ...] = ()
    error: BridgeError | None = None
    is_reused: bool = False
    seconds: float = 0.0
    notes: tuple[Note, ...] = ()
    to_build: tuple[str, ...] = ()
    tested: tuple[str, ...] = ()
    untested: str | None = None

    @property
    def name(self) -> str:
        """The wheel's name and version, or the request if nothing was made."""
        if self.packages:
            return f"{self.packages[0].record.name} {self.packages[0].record.version}"
        if self.wheels:
            record = self.wheels[0].entry.record
            return f"{record['name']} {record['version']}"
        return self.text

    @property
    def remarks(self) -> Iterator[Note]:
        """All notes, those about the wheel first."""
        yield from self.notes
        yield from (note for package in self.packages for note in package.notes)
        yield from (note for wheel in self.wheels for note in wheel.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """The results of all jobs, in the order of the requests. `unmatched`: warnings about rules that changed nothing."""

    done: tuple[JobResult, ...]
    seconds: float
    unmatched: tuple[str, ...] = ()

    @property
    def packages(self) -> tuple[ConvertedPackage, ...]:
        return tuple(package for done in self.done for package in done.packages)

    @property
    def wheels(self) -> tuple[DescribedWheel, ...]:
        return tuple(wheel for done in self.done for wheel in done.wheels)

    @property
    def names(self) -> frozenset[str]:
        """The conda names of all packages, and of what they and their extras depend on."""
        extras = (specs for package in self.packages for _, specs in package.record.extra_requirements)
        records = [wheel.entry.record for wheel in self.wheels]
        of_records = (value for each in records if isinstance(value := each.get("extra_depends"), Mapping))
        depends = (
            *(package.record.requirements for package in self.packages),
            *extras,
            *(_texts(each["depends"]) for each in records),
            *(_texts(specs) for groups in of_records for specs in groups.values()),
        )
        own = {*(package.record.name for package in self.packages), *(str(each["name"]) for each in records)}
        return frozenset({*own, *(name_of(spec) for specs in depends for spec in specs)})

    @property
    def unconfirmed(self) -> tuple[str, ...]:
        """Names of dependencies that no map confirms, first those of bases and then those of extras.

        Projects that were converted in the same run are not among them.
        """
        made = {project for package in self.packages for project in projects_of_purls(package.record.purls)}
        made |= {wheel.entry.stem.rsplit("-", 2)[0] for wheel in self.wheels}
        guessed: dict[str, bool] = {}
        for depends, names in (
            *((package.record.requirements, package.guessed) for package in self.packages),
            *((_texts(wheel.entry.record["depends"]), wheel.guessed) for wheel in self.wheels),
        ):
            of_base = set(map(name_of, depends))
            for name in names:
                guessed[name] = guessed.get(name, False) or name in of_base
        return tuple(sorted(guessed.keys() - made, key=lambda name: (not guessed[name], name)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What concerns the user: the notes, each kind once, and the names that no map confirms."""
        names = self.unconfirmed
        more = f" and {len(names) - _MOST_SHOWN} more (--json lists all)" if names[_MOST_SHOWN:] else ""
        what = "nothing shows that the conda packages with these names are the required projects"
        how = "--with-deps converts those that no channel has, --name-map confirms names"
        guessed = (f"{what}: {', '.join(names[:_MOST_SHOWN])}{more} ({how})",) if names else ()
        notes: dict[str, list[Note]] = {}
        for done in self.done:
            notes.setdefault(done.name, []).extend(done.remarks)
        return (*warnings_of(notes), *guessed, *self.unmatched)

    @property
    def failures(self) -> dict[str, BridgeError]:
        return {done.text: done.error for done in self.done if done.error is not None}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()


_CONVERTERS: list[Converter] = []  # the last one of this process, kept for the caches of its session


def perform(job: Job, task: ConversionTask) -> JobResult:
    """Do a job in a worker process. An invalid wheel gives a result with an error; nothing is raised."""
    if not _CONVERTERS or _CONVERTERS[0].task != task:
        _CONVERTERS[:] = [Converter(task, task.opens(task.settings))]
    return _CONVERTERS[0].perform(job)


def perform_all(jobs: Sequence[Job], task: ConversionTask) -> list[JobResult]:
    """Perform several jobs."""
    with kept_memory(), unsampled():
        return [perform(job, task) for job in jobs]


class Converter:
    """Does the jobs of a task in one session."""

    def __init__(self, task: ConversionTask, session: RunPort) -> None:
        self.task = task
        self._session = session
        self._others: dict[str, RunPort] = {}
        self._names = session.names(session.local_channel_urls()).extended(task.rows).with_rules(task.rules)
        self._lookup = _metadata_lookup(session)
        options = (task.archive_format, str(task.level), self._names.digest(), *task.platforms)
        self._demands: Demands | None = None
        self._log = ConversionLog(task.output, options)

    def perform(self, job: Job) -> JobResult:
        """Do a job. Errors become part of the result, so that one bad wheel never stops the others."""
        started = time.perf_counter()
        try:
            done = self._done(job)
        except BridgeError as error:
            done = JobResult(text=job.text, error=error)
        except Exception as error:  # noqa: BLE001 - a defect of bridge must not stop the other wheels
            unexpected = BridgeError(
                "internal",
                f"{job.text} could not be converted: {type(error).__name__}: {error}",
                hint="this is a defect of bridge; the other wheels are not affected",
            )
            done = JobResult(text=job.text, error=unexpected)
        return replace(done, seconds=time.perf_counter() - started)

    def _done(self, job: Job) -> JobResult:
        files, notes = self._files(job)
        if not job.may_build and not self.task.settings.no_build:
            sources = [file for file in files if not file.is_wheel]
            if any(self.task.as_records or self._log.find(file) is None for file in sources):
                return JobResult(text=job.text, to_build=tuple(file.filename or masked(file.url) for file in sources))
        done = [self._of_file(job.text, file) for file in files]
        return JobResult(
            text=job.text,
            packages=tuple(package for each in done for package in each.packages),
            wheels=tuple(wheel for each in done for wheel in each.wheels),
            is_reused=all(each.is_reused for each in done),
            notes=(*notes, *(note for each in done for note in each.notes)),
        )

    def _files(self, job: Job) -> tuple[tuple[IndexFile, ...], list[Note]]:
        """Return the files to convert: the best one for each platform, several of which may be the same."""
        if job.file is not None:
            return (job.file,), []
        requirement = algebra.parse_pypi(job.text)
        if requirement.url is not None:  # the target does not matter
            return (self._session.index.file_of_url(requirement.url, requirement.name),), []
        from bridge.convert.newest import newest_file  # noqa: PLC0415 - slow to import

        files: dict[IndexFile, None] = {}
        refused: list[NoSolutionError] = []
        for subdir in self.task.platforms or (self._session.target.subdir,):
            try:
                files[newest_file(requirement, self._session_for(subdir))] = None
            except NoSolutionError as error:
                refused.append(error)
        if not files:
            raise refused[0]
        return tuple(files), [Note(kind="incomplete", text=error.message) for error in refused]

    def _session_for(self, subdir: str) -> RunPort:
        """Return a session whose target is `subdir`."""
        if subdir == self._session.target.subdir:
            return self._session
        if subdir not in self._others:
            self._others[subdir] = self.task.opens(replace(self.task.settings, platform=subdir))
        return self._others[subdir]

    def _of_file(self, text: str, file: IndexFile) -> JobResult:
        self._refuse(file)
        if not self.task.as_records and (known := self._log.find(file)) is not None:
            return JobResult(text=text, packages=known.all, notes=known.notes, is_reused=True)
        archive = self._session.index.fetch(file, self._session.progress)
        provenance, notes = self._provenance(file)
        origin = replace(_origin(file, archive), provenance=provenance)
        if self.task.as_records:
            url = archive.absolute().as_uri() if local_path(origin.url) is not None else origin.url
            described = conversions.describe_wheel(
                archive,
                url,
                platforms=self.task.platforms,
                names=self._names,
                origin=origin,
                lookup=self._lookup,
                rules=self.task.rules,
            )
            return JobResult(text=text, wheels=described.all, notes=(*described.notes, *notes))
        made = conversions.convert_wheel(
            archive,
            self.task.output,
            platforms=self.task.platforms,
            names=self._names,
            origin=origin,
            lookup=self._lookup,
            rules=self.task.rules,
            level=self.task.level,
            threads=min(os.cpu_count() or 1, _MOST_THREADS) if self.task.is_alone else 1,
            format=self.task.archive_format,
        )
        if not notes:
            self._log.keep(file, made)
        return JobResult(text=text, packages=made.all, notes=(*made.notes, *notes))

    def _provenance(self, file: IndexFile) -> tuple[bytes, list[Note]]:
        """Return the attestations that the index serves, which go along. Without them the wheel is still the wheel."""
        try:
            return provenance_of(file, self._session.client) or b"", []
        except (NetworkError, IntegrityError) as error:
            return b"", [Note(kind="attestation", text=f"{file.filename}: {error.message}")]

    def _refuse(self, file: IndexFile) -> None:
        """Refuse a file that breaks the policy, also one that an earlier run converted."""
        policy = self._session.policy
        if policy is None:
            return
        from bridge.resolve.attesting import Demands  # noqa: PLC0415 - slow to import
        from bridge.resolve.ruling import refuse_file, refuse_license  # noqa: PLC0415 - as above

        refuse_file(file, policy)
        self._demands = self._demands or Demands(policy, self._session.client)
        found = self._demands.of_file(file)
        if found is not None and found.breaches:
            raise policy.refusal(found.breaches)
        if policy.judges_licenses:
            refuse_license(file, self._session.index.metadata(file).license, policy)


def _origin(file: IndexFile, archive: Path) -> WheelInfo:
    """Return the origin of a wheel. If it was built from an sdist, the name is its own and no hash is expected."""
    return WheelInfo(
        filename=file.filename if file.is_wheel else archive.name,
        metadata=CoreMetadata(name=file.project, version=file.version),  # replaced by the wheel's own
        url=file.url,
        origin=file.origin,
        sha256=file.sha256 if file.is_wheel else None,
        size=file.size if file.is_wheel else None,
        yanked=file.yanked,
        upload_time=file.upload_time,
    )


def _metadata_lookup(session: RunPort) -> MetadataLookup:
    """Return a lookup that asks the index, and caches the answers.

    No code of a dependency runs for it: a source distribution counts only if its metadata is static (PEP 643).
    """

    @cache
    def lookup(project: str, specifier: SpecifierSet) -> CoreMetadata | None:
        from bridge.convert.newest import newest_file  # noqa: PLC0415 - as above

        try:
            requirement = algebra.parse_pypi(f"{project}{specifier}")
            file = newest_file(requirement, session)
            known = session.index.metadata_without_build(file)
            return known or CoreMetadata(name=file.project, version=file.version, is_unread=True)
        except NoSolutionError:
            return None
        except NetworkError as error:
            if error.id == "offline":
                return None  # not in the cache: unknown, as if no index had it
            raise

    return lookup

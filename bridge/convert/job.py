"""One wheel to convert, as a value that crosses processes and machines, and how it is done there.

A job names a file, or a requirement to find one for; whoever does it opens its own session with the same settings. On
a cluster the output folder, and wheels that are given as files, must be reachable under the same paths.
"""

from __future__ import annotations

import os
import platform
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.tags import Tag

from bridge.config import Settings
from bridge.convert import wheel as conversions
from bridge.convert.resuming import ConversionLog
from bridge.convert.wheel import ConvertedPackage, DescribedWheel
from bridge.errors import BridgeError, NoSolutionError
from bridge.fetch.urls import local_path
from bridge.model import IndexFile
from bridge.requirements import algebra
from bridge.resolve.candidates.packages import Project
from bridge.resolve.ports import RunPort
from converters.tags import targets_of
from converters.target import Python, Target
from converters.wheel import CoreMetadata, WheelInfo, parse_wheel_name

__all__ = ["Conversion", "ConversionTask", "Converter", "Job", "JobResult", "perform", "perform_all"]

_MOST_THREADS = 4  # of zstd; each holds tables and pieces of its own in memory
_Made = ConvertedPackage | DescribedWheel


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionTask:
    """What all jobs of one command have in common. `as_records`: nothing is repacked, records point to the wheels.

    :param opens: makes a run of the settings, in the process that does a job; it has to pickle by its name.
    """

    settings: Settings
    opens: Callable[[Settings], RunPort]
    output: Path
    archive_format: conversions.Format = "conda"
    level: int
    as_records: bool = False
    is_alone: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A wheel to convert. `text` is what led to it; `file` is known where a solve chose it, and `python` with it."""

    text: str
    file: IndexFile | None = None
    python: Python | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What became of a job: packages, or records that point to its wheel, or an error.

    `is_reused`: an earlier run had done it, and all of it is there. `notes` concern none of the packages alone.
    """

    text: str
    packages: tuple[ConvertedPackage, ...] = ()
    wheels: tuple[DescribedWheel, ...] = ()
    error: BridgeError | None = None
    is_reused: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What became of all jobs, in the order of what was asked."""

    done: tuple[JobResult, ...]
    seconds: float

    @property
    def packages(self) -> tuple[ConvertedPackage, ...]:
        return tuple(package for done in self.done for package in done.packages)

    @property
    def wheels(self) -> tuple[DescribedWheel, ...]:
        return tuple(wheel for done in self.done for wheel in done.wheels)

    @property
    def failures(self) -> dict[str, BridgeError]:
        return {done.text: done.error for done in self.done if done.error is not None}


_CONVERTERS: list[Converter] = []  # of this process: the last one, as its session may know much already


def perform(job: Job, task: ConversionTask) -> JobResult:
    """Do a job in a process of its own. Raises nothing that a wheel could bring about."""
    if not _CONVERTERS or _CONVERTERS[0].task != task:
        _CONVERTERS[:] = [Converter(task, task.opens(task.settings))]
    return _CONVERTERS[0].perform(job)


def perform_all(jobs: Sequence[Job], task: ConversionTask) -> list[JobResult]:
    """Several jobs, as `perform` does each."""
    return [perform(job, task) for job in jobs]


class Converter:
    """Does the jobs of one task over one session."""

    def __init__(self, task: ConversionTask, session: RunPort) -> None:
        self.task = task
        self._session = session
        self._names = session.names(session.local_channels())
        self._lookup = _Lookup(session)
        self._log = ConversionLog(task.output, (task.archive_format, str(task.level), self._names.digest()))

    def perform(self, job: Job) -> JobResult:
        """One job, done or failed: one bad wheel never stops the others."""
        started = time.perf_counter()
        try:
            done = self._done(job)
        except BridgeError as error:
            done = JobResult(text=job.text, error=error)
        except Exception as error:  # noqa: BLE001 - a defect of ours is no reason to lose the other wheels
            unexpected = BridgeError(
                "internal",
                f"{job.text} could not be converted: {type(error).__name__}: {error}",
                hint="this is a defect of bridge; the other wheels are not concerned",
            )
            done = JobResult(text=job.text, error=unexpected)
        return replace(done, seconds=time.perf_counter() - started)

    def _done(self, job: Job) -> JobResult:
        file = job.file or newest_file(algebra.parse_pypi(job.text), self._session)
        default = self._session.target.with_python(job.python or running_python())
        if not self.task.as_records and (known := self._log.find(file, default)) is not None:
            return JobResult(text=job.text, packages=known, is_reused=True)
        archive = self._session.index.fetch(file, self._session.progress)
        origin = _origin(file, archive)
        notes: list[str] = []
        made = [
            each
            for target in targets_of(parse_wheel_name(origin.filename).tags, default)
            for each in self._for_every_python(archive, origin, target, notes)
        ]
        packages = tuple(each for each in made if isinstance(each, ConvertedPackage))
        wheels = tuple(each for each in made if isinstance(each, DescribedWheel))
        if not self.task.as_records:
            self._log.keep(file, default, packages)
        return JobResult(text=job.text, packages=packages, wheels=wheels, notes=tuple(notes))

    def _for_every_python(self, archive: Path, origin: WheelInfo, target: Target, notes: list[str]) -> Iterator[_Made]:
        """The package for the target, and those for the pythons that it does not serve and the wheel does."""
        first = made = self._convert(archive, origin, target)
        yield made
        waiting = made.other_pythons
        while waiting:
            python, rest = waiting[-1], waiting[:-1]
            try:
                made = self._convert(archive, origin, target.with_python(Python(version=python)), first)
            except BridgeError as error:
                notes.append(f"{origin.filename}: no package for python {python}: {error.message}")
            else:
                yield made
                rest = tuple(version for version in rest if version in made.other_pythons)
            waiting = rest

    def _convert(self, archive: Path, origin: WheelInfo, target: Target, reuse: _Made | None = None) -> _Made:
        task = self.task
        if task.as_records:
            url = archive.absolute().as_uri() if local_path(origin.url) is not None else origin.url
            return conversions.describe_wheel(
                archive, url, target=target, names=self._names, origin=origin, lookup=self._lookup
            )
        return conversions.convert_wheel(
            archive,
            task.output,
            target=target,
            names=self._names,
            origin=origin,
            lookup=self._lookup,
            level=task.level,
            threads=min(os.cpu_count() or 1, _MOST_THREADS) if task.is_alone else 1,
            format=task.archive_format,
            reuse=reuse if isinstance(reuse, ConvertedPackage) else None,
        )


def _origin(file: IndexFile, archive: Path) -> WheelInfo:
    """Where a wheel comes from. Of one that was built here the name is its own, and nobody promised its hash."""
    return WheelInfo(
        filename=file.filename if file.is_wheel else archive.name,
        metadata=CoreMetadata(name=file.project, version=file.version),  # the wheel's own takes its place
        url=file.url,
        origin=file.origin,
        sha256=file.sha256 if file.is_wheel else None,
        size=file.size if file.is_wheel else None,
        yanked=file.yanked,
        upload_time=file.upload_time,
    )


def newest_file(requirement: algebra.Requirement, session: RunPort) -> IndexFile:
    """The best file of a project that meets a requirement on the target. Raises `NoSolutionError`."""
    if requirement.url is not None:
        return session.index.file_of_url(requirement.url, requirement.name)
    project = Project(requirement.name, session.index.files(requirement.name), session.target, session.options())
    meets = project.meets(requirement.specifier) & ~(project.yanked & ~project.pinned(requirement.specifier))
    finals = meets & ~project.prereleases
    wants_early = session.settings.pre or not finals
    tags = frozenset(session.target.with_python(running_python()).tags())
    for place, file in enumerate(project.files):
        if (meets if wants_early else finals) >> place + 1 & 1 and _runs(file, tags):
            return file
    raise NoSolutionError(
        "no-solution",
        f"no file of {requirement.name} meets `{requirement.text}` on {session.target.subdir}",
        context=[f"{reason}: {len(files)} files" for reason, files in project.excluded.items()],
        objects={"derivation": []},
    )


def _runs(file: IndexFile, tags: frozenset[Tag]) -> bool:
    return not file.is_wheel or not parse_wheel_name(file.filename).tags.isdisjoint(tags)


def running_python() -> Python:
    """The interpreter bridge runs on: the python for which a wheel's open markers are judged."""
    return Python(version=platform.python_version(), free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")))


class _Lookup:
    """The metadata of other projects, for the extras that a wheel asks of them; `None` where no index has them."""

    def __init__(self, session: RunPort) -> None:
        self._session = session
        self._known: dict[tuple[str, str], CoreMetadata | None] = {}

    def __call__(self, project: str, specifier: SpecifierSet) -> CoreMetadata | None:
        key = (project, str(specifier))
        if key not in self._known:
            self._known[key] = self._find(project, specifier)
        return self._known[key]

    def _find(self, project: str, specifier: SpecifierSet) -> CoreMetadata | None:
        try:
            requirement = algebra.parse_pypi(f"{project}{specifier}")
            return self._session.index.metadata(newest_file(requirement, self._session))
        except NoSolutionError:
            return None

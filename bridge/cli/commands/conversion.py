"""`bridge convert`: convert wheels to conda packages; a failure does not stop the others."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bridge import fs
from bridge.cli.commands.request import Request, read_request
from bridge.cli.options import Words
from bridge.cli.session import Session
from bridge.convert import wheel as conversions
from bridge.convert.job import Conversion, ConversionTask, Converter, Job, JobResult, perform, perform_all
from bridge.convert.workers import executor
from bridge.errors import BridgeError, FaultError, UsageError
from bridge.model import IndexFile, Resolution
from bridge.requirements import algebra
from bridge.sdists.location import source_of
from bridge.secrets import masked
from converters.deferred import replace
from converters.names import NameMap
from converters.record import Record
from converters.rules import DependencyRules
from converters.wheel import parse_wheel_name

if TYPE_CHECKING:
    from bridge.channels.sources import Channels

__all__ = ["Conversion", "Inputs", "Workers", "convert", "read_inputs", "run_jobs", "write_report"]

_LARGEST_BATCH = 16  # jobs handed over at once
_FEWEST_BATCHES = 32  # before any has more than one
_END = 4  # parts into which what is left is divided at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Where to convert: in `jobs` processes here, or on the workers of a Dask scheduler."""

    jobs: int = 1
    dask: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether this process does all the work."""
        return self.dask is None and self.jobs == 1

    @property
    def readers(self) -> int:
        """How many processes of this machine read the packages for the index."""
        return self.jobs if self.dask is None else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What to convert. `unreadable` are results for the arguments that are no requirements."""

    request: Request
    projects: tuple[Path, ...] = ()
    unreadable: tuple[JobResult, ...] = ()


def read_inputs(words: Words, platform: str | None = None, *, is_joint: bool) -> Inputs:
    """Sort the arguments of a command line into project directories and requirements.

    :param is_joint: all requirements go into one solve, so each must be readable. Otherwise one that cannot be read
        does not stop the others. Raises `UsageError`.
    """
    if words.editables:
        message = "a conda package cannot be a link to a folder"
        raise UsageError("usage", message, hint=f"name the folder without -e: {words.editables[0]}")
    # A joint solve takes a project as a requirement, for what it requires.
    projects = tuple(
        Path(text)
        for text in words.requirements
        if not is_joint and Path(text).is_dir() and os.path.basename(text) != text
    )
    texts: Sequence[str] = [text for text in words.requirements if Path(text) not in projects]
    unreadable: tuple[JobResult, ...] = ()
    if not is_joint and len(words.requirements) > 1:
        texts, unreadable = _readable(texts)
    if (projects or unreadable) and not texts and not words.files:
        request = Request(requirements=())
    else:
        request = read_request(replace(words, requirements=texts), platform)
    return Inputs(request=request, projects=projects, unreadable=unreadable)


def convert(
    inputs: Inputs,
    output: Path,
    session: Session,
    *,
    platforms: tuple[str, ...] = (),
    has_index: bool,
    archive_format: conversions.Format,
    level: int,
    workers: Workers,
    with_deps: bool = False,
    as_records: bool = False,
    rules: DependencyRules | None = None,
) -> Conversion:
    """Convert wheel files, projects (built first) and requirements that the index serves.

    :param platforms: make only the packages that serve these subdirs; empty: all.
    :param with_deps: solve jointly first, and convert every wheel of the solution.
    :param as_records: repack nothing; the channel's repodata points to the wheels.
    :param rules: the user's rules for dependencies.
    """
    started = time.perf_counter()
    output, request = output.absolute(), inputs.request
    if session.settings.has_channels:
        session.channel_urls()  # refuses an invalid one
    task = ConversionTask(
        opens=Session,
        settings=session.settings,
        output=output,
        archive_format=archive_format,
        level=level,
        platforms=platforms,
        as_records=as_records,
        rules=rules or DependencyRules(),
        is_alone=workers.is_here,
    )
    with ExitStack() as opened:
        if with_deps:
            jobs, rows = _closures(request, session, platforms, task.rules)
            task = replace(task, rows=rows)
            unbuilt: list[JobResult] = []
        else:
            jobs, unbuilt = _jobs(request, session)
        built, failed = _build(inputs.projects, opened, session) if inputs.projects else ([], [])
        unbuilt += failed
        jobs = list({job.text: job for job in [*jobs, *built]}.values())
        done_by_text = {done.text: done for done in run_jobs(jobs, task, session, workers)}
    done = (*(done_by_text[job.text] for job in jobs), *unbuilt, *inputs.unreadable)
    conversion = Conversion(done=done, seconds=time.perf_counter() - started)
    if (has_index or as_records) and (conversion.packages or conversion.wheels or output.is_dir()):
        from bridge.convert import channel_index

        index = channel_index.write_index(output, [wheel.entry for wheel in conversion.wheels], jobs=workers.readers)
        channel_index.write_names(
            index, session.names(session.local_channel_urls()).extended(task.rows).with_rules(task.rules)
        )
        bad = (JobResult(text=str(path), error=error) for path, error in index.failures.items())
        conversion = replace(conversion, done=(*done, *bad))
    return replace(conversion, seconds=time.perf_counter() - started)


def _readable(texts: Sequence[str]) -> tuple[list[str], tuple[JobResult, ...]]:
    """The texts that are requirements, and a failed result for each that is not."""
    good, bad = [], []
    for text in texts:
        try:
            read_request(Words(requirements=[text]))
            good.append(text)
        except BridgeError as error:
            bad.append(JobResult(text=text, error=error))
    return good, tuple(bad)


def _build(projects: Sequence[Path], opened: ExitStack, session: Session) -> tuple[list[Job], list[JobResult]]:
    """Build a wheel of each project, kept while `opened` is; returns jobs, and results for builds that failed."""
    from bridge.sdists.build import build_project
    from bridge.sdists.static import read_static

    scratch = Path(opened.enter_context(tempfile.TemporaryDirectory()))
    jobs, failed = [], []
    for number, folder in enumerate(projects):
        work = scratch / str(number)
        fs.make_directories(work)
        try:
            read_static(folder)  # raises for what is no project
            if not session.settings.no_build:
                _show_build([str(folder)], session)
            wheel = build_project(
                folder,
                work=work,
                settings=session.settings,
                requirements=session.index.build_requirements(),
                tell=session.tell,
            )
            file = session.index.file_of_url(wheel.as_uri(), parse_wheel_name(wheel.name).project)
            jobs.append(Job(text=str(folder), file=file))
        except BridgeError as error:
            failed.append(JobResult(text=str(folder), error=error))
    return jobs, failed


def write_report(path: Path, document: Mapping[str, object]) -> None:
    """Write the JSON document to a file. Raises `FaultError`."""
    fs.publish_file(path, [masked(json.dumps(document, indent=2, ensure_ascii=False)).encode() + b"\n"])


def run_jobs(jobs: Sequence[Job], task: ConversionTask, session: Session, workers: Workers) -> Iterator[JobResult]:
    """Run every job; results come in the order of completion.

    What would be built is shown first, because code of the project runs then.
    """
    waiting: list[Job] = []
    known = {job.text: job for job in jobs}
    for done in _attempted(jobs, task, session, workers):
        if done.to_build:
            _show_build(done.to_build, session)
            waiting.append(replace(known[done.text], may_build=True))
        else:
            yield done
    if waiting:
        yield from _attempted(waiting, task, session, workers)


def _show_build(labels: Iterable[str], session: Session) -> None:
    for label in labels:
        session.tell(f"{label} is source code: its wheel is built now, which runs code of the project")


def _attempted(jobs: Sequence[Job], task: ConversionTask, session: Session, workers: Workers) -> Iterator[JobResult]:
    if workers.is_here:
        converter = Converter(task, session)
        for job in jobs:
            session.check()
            yield converter.perform(job)
        return
    from concurrent.futures import BrokenExecutor, as_completed

    lost: list[Job] = []
    with executor(workers.jobs, workers.dask) as pool:
        waiting = _batches(jobs)
        while waiting:
            again: list[list[Job]] = []
            futures = {pool.submit(perform_all, batch, task): batch for batch in waiting}
            for future in as_completed(futures):
                session.check()
                batch = futures[future]
                try:
                    yield from future.result()
                except BrokenExecutor:  # one process died, which breaks the whole pool
                    lost += batch
                except Exception as error:  # noqa: BLE001 - each cluster has its own error for a dead worker
                    if len(batch) == 1:
                        yield _died(batch[0], error)
                    again += [[job] for job in batch if len(batch) > 1]
            waiting = again
    for job in lost:
        yield from _alone(job, task)


def _batches(jobs: Sequence[Job]) -> list[list[Job]]:
    """Group many jobs into tasks, each of which takes a cluster 7 ms. The last are small, so that none ends late."""
    batches: list[list[Job]] = []
    largest, place = min(_LARGEST_BATCH, len(jobs) // _FEWEST_BATCHES), 0
    while place < len(jobs):
        size = max(1, min(largest, (len(jobs) - place) // _END))
        batches.append(list(jobs[place : place + size]))
        place += size
    return batches


def _alone(job: Job, task: ConversionTask) -> Iterator[JobResult]:
    """Repeat a job of a broken pool in a pool of its own, which identifies the job that breaks it."""
    from concurrent.futures import BrokenExecutor

    with executor(2) as pool:
        try:
            yield pool.submit(perform, job, task).result()
        except BrokenExecutor as error:
            yield _died(job, error)


def _died(job: Job, error: BaseException) -> JobResult:
    failure = FaultError(
        "worker-died",
        f"the process that converted {job.text} ended",
        context=(f"{type(error).__name__}: {error}",),
        hint="it may have run out of memory; try fewer jobs at a time",
    )
    return JobResult(text=job.text, error=failure)


def _jobs(request: Request, session: Session) -> tuple[list[Job], list[JobResult]]:
    """A job for each requirement, and a failed result for source code that does not tell its project."""
    jobs, failed = [], []
    for requirement in request.requirements:
        # Source code may be built even to learn its project.
        is_source = requirement.url is not None and source_of(requirement.url) is not None
        if is_source and not session.settings.no_build:
            _show_build([masked(requirement.text)], session)
        try:
            jobs += [Job(text=each.text, may_build=is_source) for each in session.named([requirement])]
        except BridgeError as error:
            failed.append(JobResult(text=requirement.text, error=error))
    return jobs, failed


def _closures(
    request: Request, session: Session, platforms: Sequence[str], rules: DependencyRules
) -> tuple[list[Job], dict[str, tuple[str, ...]]]:
    """The wheels of a joint solution for each platform, and what they show of names. Raises `NoSolutionError`."""
    jobs: dict[str, Job] = {}
    rows: dict[str, tuple[str, ...]] = {}
    here = session.target.subdir
    for platform in platforms or (here,):
        with ExitStack() as opened:
            solving = session
            if platform != here:
                settings = replace(session.settings, platform=platform)
                solving = opened.enter_context(Session(settings, session.progress, request.locked, session.tell))
            closure, shown = _closure(request.named(solving), solving, rules)
            if solving is not session:
                session.warnings += [text for text in solving.warnings if text not in session.warnings]
        rows |= shown
        for job in closure:
            known = jobs.setdefault(job.text, job)
            if known.file != job.file and job.file is not None:
                other = replace(job, text=f"{job.text} ({job.file.filename})")
                jobs[other.text] = other
    return list(jobs.values()), rows


def _closure(wanted: Request, session: Session, rules: DependencyRules) -> tuple[list[Job], dict[str, tuple[str, ...]]]:
    """The wheels of one joint solution, and what it shows of names. Raises `NoSolutionError`."""
    roots = [algebra.parse_pypi(f"pypi:{each.text.removeprefix('pypi:')}") for each in wanted.requirements]
    channels = session.channels()
    names = session.with_channel_maps(session.names(channels.urls), channels).with_rules(rules)
    resolution = session.resolve(replace(wanted, requirements=tuple(roots)), channels, names)
    session.warnings += resolution.warnings
    wheels = [each.record for each in resolution.packages if each.record.ecosystem == "wheel"]
    jobs = [Job(text=_text(record), file=_file(record, session)) for record in wheels]
    return jobs, _rows(resolution, channels, names)


def _rows(resolution: Resolution, channels: Channels, names: NameMap) -> dict[str, tuple[str, ...]]:
    """The rows of the name map that a solution shows.

    A conda package in it provides projects, by evidence. A wheel in it is not the conda package that a channel has
    under the project's name (`libclang`, the C library).
    """
    from bridge.resolve.candidates.provides import provided_by

    rows: dict[str, tuple[str, ...]] = {}
    for each in resolution.packages:
        record = each.record
        if record.ecosystem == "conda":
            provided = provided_by(record, names)
            if provided.projects and names.row(record.name) is None:
                rows[record.name] = provided.projects
            continue
        for project in record.pypi_names:
            others = [] if names.is_known(project) else channels.records(project)
            if others and not any(project in provided_by(other, names).projects for other in others):
                rows[project] = ()
    return rows


def _text(record: Record) -> str:
    return f"{record.pypi_names[0] if record.pypi_names else record.name}=={record.version}"


def _file(record: Record, session: Session) -> IndexFile:
    """The file of the index for a record of the solution."""
    known = IndexFile.of_record(record)
    for file in session.index.files(known.project) if record.origin else ():
        if (file.filename, file.url) == (known.filename, known.url):
            return file
    return known

"""`bridge mirror`: keep a channel of converted wheels in step with an index."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge import fs
from bridge.cli.commands.conversion import Workers, run_jobs
from bridge.cli.commands.request import Request
from bridge.cli.session import Session
from bridge.convert import channel_index
from bridge.convert import wheel as conversions
from bridge.convert.indexed import read_pointers
from bridge.convert.job import Conversion, ConversionTask, Job, JobResult
from bridge.convert.mirrored import Mirrored, newest_files
from bridge.convert.resuming import converted_wheels
from bridge.errors import BridgeError, NoSolutionError, UsageError
from bridge.model import IndexFile
from bridge.requirements import algebra
from bridge.resolve.candidates.projects import Project
from converters.deferred import replace
from converters.rules import DependencyRules
from converters.tags import fits
from converters.wheel import parse_wheel_name

__all__ = ["Mirror", "mirror", "sentences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """What a mirror has. `newest`: versions of each project; `platforms`: subdirs, empty: this machine's.

    `many`: for so many projects it costs less to read the serials of all projects of an index.
    """

    output: Path
    newest: int = 1
    platforms: tuple[str, ...] = ()
    archive_format: conversions.Format = "conda"
    level: int
    as_records: bool = False
    rules: DependencyRules = field(default_factory=DependencyRules)
    prunes: bool = False
    many: int = 1000


def mirror(request: Request, wanted: Mirror, session: Session, workers: Workers) -> Mirrored:
    """Bring a mirror in step with the indexes.

    A project or a wheel that fails is a failed result, and nothing is deleted then. What earlier runs converted is
    kept, so that an interrupted run goes on where it was. Raises `UsageError`.
    """
    started = time.perf_counter()
    wanted = replace(wanted, output=wanted.output.absolute())
    locked, named = _projects(request, session)
    if not locked and not named:
        raise UsageError("usage", "no project to mirror", hint="give a file of requirements or a lock with -r")
    asked = [project for project in named if project not in locked]
    if len(asked) >= wanted.many:
        session.index.compare_serials()
    session.index.prefetch_files(asked)
    jobs, failed = _jobs(locked, named, wanted, session)
    if wanted.as_records:
        there = {str(each.record.get("sha256")) for path in wanted.output.glob("*/") for each in read_pointers(path)}
        waiting = [job for job in jobs if job.file is not None and job.file.sha256 not in there]
    else:
        waiting = jobs
    task = ConversionTask(
        opens=Session,
        settings=session.settings,
        output=wanted.output,
        archive_format=wanted.archive_format,
        level=wanted.level,
        platforms=wanted.platforms,
        as_records=wanted.as_records,
        rules=wanted.rules,
        is_alone=workers.is_here,
    )
    done_by_text = {done.text: done for done in run_jobs(waiting, task, session, workers)}
    done = [*(done_by_text[job.text] for job in waiting), *failed]
    deleted = _prune(jobs, done, wanted) if wanted.prunes and not any(each.error for each in done) else []
    if any(each.error is None for each in done) or wanted.output.is_dir():
        entries = [wheel.entry for each in done for wheel in each.wheels]
        index = channel_index.write_index(
            wanted.output, entries, without=_stale(jobs, wanted, done), jobs=workers.readers
        )
        channel_index.write_names(index, session.names(session.local_channel_urls()).with_rules(wanted.rules))
        done += [JobResult(text=str(path), error=error) for path, error in index.failures.items()]
    return Mirrored(
        conversion=Conversion(done=tuple(done), seconds=time.perf_counter() - started),
        projects=len(locked.keys() | named.keys()),
        wheels=len(jobs),
        known=len(jobs) - len(waiting),
        deleted=tuple(deleted),
    )


def _projects(
    request: Request,
    session: Session,
) -> tuple[Mapping[str, Sequence[IndexFile]], Mapping[str, Sequence[algebra.Requirement]]]:
    """Return the files that locks name, by project, and the requirements of other projects."""
    named: dict[str, list[algebra.Requirement]] = {}
    left_out: list[str] = []
    for each in request.requirements:
        try:
            requirement = algebra.parse_pypi(f"pypi:{each.text.removeprefix('pypi:')}")
        except UsageError:
            left_out.append(each.name)
            continue
        named.setdefault(requirement.name, []).append(requirement)
    if left_out:
        shown = ", ".join(dict.fromkeys(left_out))
        session.tell(f"left out, because a mirror of package indexes has no conda packages: {shown}")
    return request.locked, named


def _jobs(
    locked: Mapping[str, Sequence[IndexFile]],
    named: Mapping[str, Sequence[algebra.Requirement]],
    wanted: Mirror,
    session: Session,
) -> tuple[list[Job], list[JobResult]]:
    jobs: dict[str, Job] = {}
    failed: list[JobResult] = []
    for project in dict.fromkeys((*locked, *named)):
        try:
            files = (
                _locked_files(project, locked[project], wanted)
                if project in locked
                else [file for each in named[project] for file in _files(each, wanted, session)]
            )
        except BridgeError as error:
            failed.append(JobResult(text=project, error=error))
            continue
        jobs |= {file.filename: Job(text=file.filename, file=file) for file in files}
    return list(jobs.values()), failed


def _locked_files(project: str, files: Sequence[IndexFile], wanted: Mirror) -> list[IndexFile]:
    """Return the wheels of a lock that conda's pythons run on the platforms of the mirror.

    Locks list all files of a version, also those for musl or PyPy. Raises `NoSolutionError` if no platform runs any.
    """
    subdirs = {
        file: {fit.subdir for fit in fits(parse_wheel_name(file.filename).tags)} for file in files if file.is_wheel
    }
    if not any(subdirs.values()):
        what = "no wheel that a conda platform runs" if subdirs else "no wheel, only source code"
        raise _no_wheel(project, f"the lock has {what} of {project}", is_source=not subdirs)
    served = {*wanted.platforms, "noarch"}
    return [
        file
        for file, platforms in subdirs.items()
        if platforms and not (wanted.platforms and platforms.isdisjoint(served))
    ]


def _no_wheel(project: str, message: str, context: Sequence[str] = (), *, is_source: bool) -> NoSolutionError:
    hint = (
        f"`bridge convert {project} -o DIR --index` builds a wheel, and adds it to the channel" if is_source else None
    )
    return NoSolutionError("no-solution", message, context=context, hint=hint, objects={"derivation": []})


def _files(requirement: algebra.Requirement, wanted: Mirror, session: Session) -> list[IndexFile]:
    """Return the wheels to mirror for a requirement. Raises `NoSolutionError`, and what the index raises."""
    if requirement.url is not None:
        return [session.index.file_of_url(requirement.url, requirement.name)]
    files = session.index.files(requirement.name)
    targets = [Session(replace(session.settings, platform=subdir)).target for subdir in wanted.platforms]
    targets = targets or [session.target]
    projects = [Project(requirement.name, files, target, session.options()) for target in targets]
    newest = newest_files(projects, requirement.specifier, wanted.newest, pre=session.settings.pre)
    if not newest:
        reasons = {reason: len(excluded) for project in projects for reason, excluded in project.excluded.items()}
        message = f"no wheel of {requirement.name} meets `{requirement.text}` on {', '.join(t.subdir for t in targets)}"
        context = [f"{reason}: {count} files" for reason, count in reasons.items()]
        is_source = bool(files) and not any(file.is_wheel for file in files)
        raise _no_wheel(requirement.name, message, context, is_source=is_source)
    return newest


def _prune(jobs: Sequence[Job], done: Sequence[JobResult], wanted: Mirror) -> list[Path]:
    """Delete the packages of wheels that are no longer mirrored; return their paths."""
    current = {job.text for job in jobs}
    kept = {package.path for each in done for package in each.packages}
    deleted: list[Path] = []
    for document, wheel, paths in converted_wheels(wanted.output):
        if wheel not in current:
            gone = [path for path in paths if path not in kept and path.is_file()]
            for path in (*gone, document):
                fs.remove_tree(path)
            deleted += gone
    return deleted


def _stale(jobs: Sequence[Job], wanted: Mirror, done: Sequence[JobResult]) -> frozenset[str]:
    """Return the stems of records that point to wheels that are no longer mirrored."""
    if not wanted.as_records or not wanted.prunes or any(each.error for each in done):
        return frozenset()
    current = {job.file.sha256 for job in jobs if job.file is not None}
    pointers = [each for path in wanted.output.glob("*/") for each in read_pointers(path)]
    return frozenset(each.key for each in pointers if each.record.get("sha256") not in current)


def sentences(mirrored: Mirrored) -> Iterator[str]:
    """What the command did, for people."""
    for path in mirrored.deleted:
        yield f"deleted: {path}"
    done = mirrored.conversion.done
    reused = sum(each.is_reused for each in done) + mirrored.known
    new = sum(each.error is None and not each.is_reused for each in done)
    yield (
        f"{mirrored.wheels} wheels of {mirrored.projects} projects in {mirrored.conversion.seconds:.1f} s: {new} new, "
        f"{reused} there already, {len(mirrored.conversion.failures)} failed"
    )

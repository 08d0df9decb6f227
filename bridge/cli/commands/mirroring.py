"""`bridge mirror`: keep a channel of converted wheels in step with an index."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from bridge.resolve.candidates.packages import Project
from converters.rules import DependencyRules

__all__ = ["Mirror", "mirror", "sentences"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """What a mirror has. `newest`: versions of each project; `platforms`: subdirs, empty: this machine's."""

    output: Path
    newest: int = 1
    platforms: tuple[str, ...] = ()
    archive_format: conversions.Format = "conda"
    level: int
    as_records: bool = False
    rules: DependencyRules = field(default_factory=DependencyRules)
    prunes: bool = False


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
    session.index.prefetch_files(project for project in named if project not in locked)
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
    found = {done.text: done for done in run_jobs(waiting, task, session, workers)}
    done = [*(found[job.text] for job in waiting), *failed]
    deleted = _prune(jobs, done, wanted) if wanted.prunes and not any(each.error for each in done) else []
    if any(each.error is None for each in done) or wanted.output.is_dir():
        entries = [wheel.entry for each in done for wheel in each.wheels]
        index = channel_index.write_index(wanted.output, entries, without=_stale(jobs, wanted, done))
        channel_index.write_names(index, session.names(session.channel_urls()).with_rules(wanted.rules))
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
    for each in request.requirements:
        try:
            requirement = algebra.parse_pypi(f"pypi:{each.text.removeprefix('pypi:')}")
        except UsageError:
            session.tell(f"{each.text} is a requirement on a conda package, which a mirror of package indexes has not")
            continue
        named.setdefault(requirement.name, []).append(requirement)
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
                [file for file in locked[project] if file.is_wheel]
                if project in locked
                else [file for each in named[project] for file in _files(each, wanted, session)]
            )
        except BridgeError as error:
            failed.append(JobResult(text=project, error=error))
            continue
        jobs |= {file.filename: Job(text=file.filename, file=file) for file in files}
    return list(jobs.values()), failed


def _files(requirement: algebra.Requirement, wanted: Mirror, session: Session) -> list[IndexFile]:
    """Return the wheels to mirror for a requirement. Raises `NoSolutionError`, and what the index raises."""
    if requirement.url is not None:
        return [session.index.file_of_url(requirement.url, requirement.name)]
    files = session.index.files(requirement.name)
    targets = [Session(replace(session.settings, platform=subdir)).target for subdir in wanted.platforms]
    targets = targets or [session.target]
    projects = [Project(requirement.name, files, target, session.options()) for target in targets]
    found = newest_files(projects, requirement.specifier, wanted.newest, pre=session.settings.pre)
    if not found:
        reasons = {reason: len(excluded) for project in projects for reason, excluded in project.excluded.items()}
        raise NoSolutionError(
            "no-solution",
            f"no wheel of {requirement.name} meets `{requirement.text}` on {', '.join(t.subdir for t in targets)}",
            context=[f"{reason}: {count} files" for reason, count in reasons.items()],
            objects={"derivation": []},
        )
    return found


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


def sentences(found: Mirrored) -> Iterator[str]:
    """What the command did, for people."""
    for path in found.deleted:
        yield f"deleted: {path}"
    done = found.conversion.done
    reused = sum(each.is_reused for each in done) + found.known
    new = sum(each.error is None and not each.is_reused for each in done)
    yield (
        f"{found.wheels} wheels of {found.projects} projects in {found.conversion.seconds:.1f} s: {new} new, "
        f"{reused} there already, {len(found.conversion.failures)} failed"
    )

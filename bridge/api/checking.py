"""The functions that check an environment and convert wheels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from bridge.api.changing import words_of
from bridge.api.options import Options, StrPath, texts
from bridge.api.running import ProgressCallback, call
from bridge.api.values import AuditReport, Conversion, Converted
from bridge.cli.commands import auditing, conversion
from bridge.convert import job as jobs_of
from bridge.errors import CancelledError, UsageError
from converters.compression import DEFAULT_LEVEL, HIGHEST_LEVEL
from converters.deferred import replace
from converters.target import SUBDIRS

__all__ = ["audit", "convert"]


def audit(
    prefix: StrPath,
    words: Sequence[str] = (),
    *,
    checks: Sequence[str] = (),
    accept: Sequence[StrPath] = (),
    against: StrPath | None = None,
    environment: str | None = None,
    vulnerabilities: StrPath | None = None,
    allow_licenses: Sequence[str] = (),
    deny_licenses: Sequence[str] = (),
    online: bool = False,
    imports: bool = False,
    rehash: bool = False,
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> AuditReport:
    """Compare an environment with its records; findings are returned, not raised.

    `[tool.bridge.audit]` of a project is not read.

    :param words: kinds, packages and paths to restrict the report to; `checks`: ids and themes, `-` leaves one out.
    :param accept: TOML files with known findings.
    :param against: a lock that the environment is compared with. `environment`: one of that lock's environments.
    :param vulnerabilities: OSV advisories: a URL, a file, a directory, or `index`.
    :param imports: import every module, in the sandbox of builds.
    :param allow_licenses, deny_licenses: SPDX identifiers and patterns; other licences, or these, are findings.

    Raises `BridgeError`: `UsageError` (`not-an-environment`, `unknown-check`, `unknown-package`,
    `license-rule`).
    """
    chosen = texts(words, "words")
    with call(["audit", "-p", os.fspath(prefix), *chosen], options, progress) as running:
        request = auditing.read_request(
            chosen,
            checks=",".join(texts(checks, "checks")) if checks else "",
            accept=texts(accept, "accept"),
            fail_on=None,
            allow_licenses=texts(allow_licenses, "allow_licenses"),
            deny_licenses=texts(deny_licenses, "deny_licenses"),
            vulnerabilities=os.fspath(vulnerabilities) if vulnerabilities is not None else None,
            is_fresh=rehash,
            is_online=online,
            is_importing=imports,
            lock=os.fspath(against) if against is not None else None,
            lock_environment=environment,
            reads_project=False,
        )
        path = Path(os.path.abspath(prefix))
        with running.session(prefix=str(path)) as session:
            judged = auditing.judged(path, session, request)
    running.warn(judged.warnings)
    report = judged.report
    return AuditReport(
        prefix=path,
        files=report.files,
        findings=report.findings,
        accepted=report.accepted,
        warnings=tuple(running.warnings),
    )


def convert(
    requirements: Sequence[StrPath],
    output: StrPath,
    *,
    index: bool = False,
    with_dependencies: bool = False,
    as_records: bool = False,
    platforms: Sequence[str] = (),
    format: Literal["conda", "tar.bz2"] = "conda",  # noqa: A002 - the option's name
    compression: int = DEFAULT_LEVEL,
    jobs: int = 1,
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> Conversion:
    """Convert wheels to conda packages in the directory `output`. A failure does not stop the others.

    Packages that were complete when a call was cancelled stay; the next call reuses them.

    :param requirements: wheels, sdists, project directories or requirements.
    :param index: also write the channel's repodata.
    :param with_dependencies: also convert the dependencies that no channel has.
    :param as_records: write repodata that points to the wheels, and no packages.

    Raises `BridgeError` for the call as a whole; `Conversion.failures` has the errors of single requests.
    """
    if not 1 <= compression <= HIGHEST_LEVEL or jobs < 1:
        raise UsageError("option-value", f"compression is 1 to {HIGHEST_LEVEL}, and jobs at least 1")
    named, words = texts(platforms, "platforms"), words_of(texts(requirements, "requirements"))
    if unknown := sorted(set(named) - SUBDIRS.keys()):
        raise UsageError("option-value", f"platforms: {unknown[0]!r} is not a known platform")
    with call(["convert", *words.requirements, "-o", os.fspath(output)], options, progress) as running:
        parameters = {"platform": named[0]} if named else {}
        inputs = conversion.read_inputs(words, (*named, running.options.platform)[0], is_joint=with_dependencies)
        with running.session(inputs.request, **parameters) as session:
            converted = conversion.convert(
                inputs,
                Path(output),
                session,
                platforms=named or tuple(filter(None, [running.options.platform])),
                has_index=index,
                archive_format=format,
                level=compression,
                workers=conversion.Workers(jobs=jobs),
                with_deps=with_dependencies,
                as_records=as_records,
            )
        cancelled = next((each for each in converted.failures.values() if isinstance(each, CancelledError)), None)
        if cancelled is not None:
            raise cancelled
    return _conversion(converted, running.warnings)


def _conversion(conversion: jobs_of.Conversion, warnings: Sequence[str]) -> Conversion:
    packages = tuple(
        Converted(
            name=each.record.name,
            version=each.record.version,
            build=each.record.build,
            subdir=each.record.subdir,
            wheel=done.text,
            path=each.path,
            sha256=each.record.sha256,
            notes=tuple(note.text for note in each.notes),
        )
        for done in conversion.done
        for each in done.packages
    )
    records = tuple(
        replace(_described(each.entry.record, done.text), notes=tuple(note.text for note in each.notes))
        for done in conversion.done
        for each in done.wheels
    )
    return Conversion(
        packages=(*packages, *records),
        failures=conversion.failures,
        warnings=tuple(dict.fromkeys((*warnings, *conversion.warnings))),
        seconds=conversion.seconds,
    )


def _described(record: object, wheel: str) -> Converted:
    assert isinstance(record, dict)
    return Converted(
        name=str(record["name"]),
        version=str(record["version"]),
        build=str(record["build"]),
        subdir=str(record["subdir"]),
        sha256=record.get("sha256"),
        wheel=wheel,
    )

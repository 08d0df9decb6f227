"""The functions that solve and change no environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from bridge.api.changing import words_of
from bridge.api.options import Options, StrPath, texts
from bridge.api.running import ProgressCallback, call
from bridge.api.values import LockChange, LockResult, Solution, solution_of
from bridge.cli.commands import locking, solving
from bridge.cli.commands.request import Request, read_request
from bridge.cli.session import Session
from bridge.lock.outcome import Outcome

__all__ = ["lock", "resolve"]

LockFormat = Literal["rattler", "conda-lock", "pylock", "explicit", "requirements", "environment"]


def resolve(
    requirements: Sequence[str] = (),
    *,
    files: Sequence[StrPath] = (),
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> Solution:
    """Solve jointly for conda packages and wheels; nothing is installed.

    Raises `BridgeError`: `NoSolutionError` with the proof in its context, `NetworkError`.
    """
    words = words_of(requirements, files, extras, groups)
    with call(["resolve", *words.requirements], options, progress) as running:
        request = read_request(words, running.options.platform)
        with running.session(request) as session:
            resolution = solving.resolve(request, session)
    return solution_of(resolution, running.warnings)


def lock(
    requirements: Sequence[str] = (),
    *,
    output: StrPath | None = "bridge.lock",
    format: LockFormat | None = None,  # noqa: A002 - the option's name
    files: Sequence[StrPath] = (),
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    platforms: Sequence[str] = (),
    upgrade: Sequence[str] = (),
    upgrade_all: bool = False,
    check: bool = False,
    dry_run: bool = False,
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> LockResult:
    """Solve for each platform and write one lock with hashes; versions that are locked already stay where they fit.

    :param requirements: without any, and without files, what the lock that is there was made from.
    :param output: `None`: write nothing, return the text.
    :param check: only compare the lock that is there with what it should lock.

    Raises `BridgeError`: `NoSolutionError` (with `check` also `lock-outdated`), `UsageError` (`lock-inputs`).
    """
    words = words_of(requirements, files, extras, groups)
    with call(["lock", *words.requirements], options, progress) as running:
        parameters = dict(running.parameters)
        platform = parameters.pop("platform", None)
        named = texts(platforms, "platforms") or ((str(platform),) if platform else ())
        asked = locking.Locking(
            words=words,
            options={name: value for name, value in parameters.items() if name in locking.DECIDING},
            platforms=named,
            output="-" if output is None else os.fspath(output),
            format=format,
            upgrade=texts(upgrade, "upgrade"),
            upgrades_all=upgrade_all,
            is_check=check,
            is_dry_run=dry_run,
        )

        def open_place(
            deciding: Mapping[str, object], platform: str, request: Request
        ) -> AbstractContextManager[Session]:
            return running.session(request, **{**deciding, "platform": platform})

        outcome = locking.lock(asked, open_place)
    return _result(outcome, None if output is None else Path(output), running.warnings)


def _result(outcome: Outcome, path: Path | None, warnings: Sequence[str]) -> LockResult:
    return LockResult(
        path=path,
        text=outcome.text,
        changes=tuple(
            LockChange(name=each.name, before=each.before, after=each.after, places=each.places)
            for each in outcome.changes
        ),
        left_out=outcome.left_out,
        is_written=outcome.is_written,
        warnings=tuple(warnings),
    )

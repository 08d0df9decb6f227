"""The functions that change an environment, each in one transaction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bridge.api.options import Options, StrPath, texts
from bridge.api.running import ProgressCallback, call
from bridge.api.values import Outcome, outcome_of
from bridge.cli.commands import changes, syncing
from bridge.cli.commands.request import read_request
from bridge.cli.options import Words

__all__ = ["create", "install", "remove", "sync", "update", "words_of"]


def create(
    prefix: StrPath,
    requirements: Sequence[str] = (),
    *,
    files: Sequence[StrPath] = (),
    editables: Sequence[StrPath] = (),
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    dry_run: bool = False,
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> Outcome:
    """Create an environment; it appears complete or not at all.

    :param requirements: conda's MatchSpecs and PEP 508, as on the command line.
    :param files: requirements.txt, environment.yml, pyproject.toml, locks; `extras` and `groups` are parts of them.

    Raises `BridgeError`: `OwnershipError` (`prefix-exists`), `NoSolutionError`, and what fetching and staging raise.
    """
    words = words_of(requirements, files, extras, groups, editables)
    with call(["create", "-p", os.fspath(prefix), *_shown(words)], options, progress) as running:
        request = read_request(words, running.options.platform)
        with running.session(request, prefix=os.fspath(prefix)) as session:
            applied = changes.create(_path(prefix), request, session, is_dry_run=dry_run)
    return outcome_of(applied, running.warnings, dry_run=dry_run)


def install(
    prefix: StrPath,
    requirements: Sequence[str] = (),
    *,
    files: Sequence[StrPath] = (),
    editables: Sequence[StrPath] = (),
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    upgrade: bool = False,
    dry_run: bool = False,
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> Outcome:
    """Add requirements to an environment; installed packages keep their versions where possible.

    :param upgrade: also update the packages that the requirements name.

    Raises `BridgeError`, as `create`; `UsageError` (`not-an-environment`).
    """
    words = words_of(requirements, files, extras, groups, editables)
    upgrades = ["-U"] if upgrade else []
    with call(["install", "-p", os.fspath(prefix), *upgrades, *_shown(words)], options, progress) as running:
        request = read_request(words, running.options.platform)
        with running.session(request, prefix=os.fspath(prefix)) as session:
            applied = changes.install(_path(prefix), request, session, is_dry_run=dry_run, upgrades=upgrade)
    return outcome_of(applied, running.warnings, dry_run=dry_run)


def update(
    prefix: StrPath,
    names: Sequence[str] = (),
    *,
    dry_run: bool = False,
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> Outcome:
    """Update packages, without names all of them, to the newest versions that fit together. Raises `BridgeError`."""
    chosen = texts(names, "names")
    with (
        call(["update", "-p", os.fspath(prefix), *chosen], options, progress) as running,
        running.session(prefix=os.fspath(prefix)) as session,
    ):
        applied = changes.update(_path(prefix), chosen, session, is_dry_run=dry_run)
    return outcome_of(applied, running.warnings, dry_run=dry_run)


def remove(
    prefix: StrPath,
    names: Sequence[str],
    *,
    dry_run: bool = False,
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> Outcome:
    """Remove packages and what was installed only for them; needs no network.

    Raises `BridgeError`: `UsageError` (`not-installed`), `NoSolutionError` if another package needs one of them.
    """
    chosen = texts(names, "names")
    with (
        call(["remove", "-p", os.fspath(prefix), *chosen], options, progress) as running,
        running.session(prefix=os.fspath(prefix)) as session,
    ):
        applied = changes.remove(_path(prefix), chosen, session, is_dry_run=dry_run)
    return outcome_of(applied, running.warnings, dry_run=dry_run)


def sync(
    prefix: StrPath,
    lock: StrPath,
    *,
    environment: str | None = None,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    keep: bool = False,
    dry_run: bool = False,
    options: Options | None = None,
    progress: ProgressCallback | None = None,
) -> Outcome:
    """Make an environment exactly what a lock says, without a solve; one that does not exist is created.

    :param keep: keep installed packages that the lock does not name.

    Raises `BridgeError`: `UsageError` for a lock that does not fit this machine, `NetworkError` (`not-available`).
    """
    chosen = syncing.Chosen(
        path=os.fspath(lock),
        environment=environment,
        extras=texts(extras, "extras"),
        groups=texts(groups, "groups"),
    )
    with (
        call(["sync", "-p", os.fspath(prefix), os.fspath(lock)], options, progress) as running,
        running.session(prefix=os.fspath(prefix)) as session,
    ):
        applied = syncing.sync(_path(prefix), chosen, session, keeps=keep, is_dry_run=dry_run)
    return outcome_of(applied, running.warnings, dry_run=dry_run)


def words_of(
    requirements: Sequence[str],
    files: Sequence[StrPath] = (),
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    editables: Sequence[StrPath] = (),
) -> Words:
    """Return the requirements as a command has them. Raises `UsageError` (`option-value`)."""
    return Words(
        requirements=texts(requirements, "requirements"),
        files=texts(files, "files"),
        extras=texts(extras, "extras"),
        groups=texts(groups, "groups"),
        editables=texts(editables, "editables"),
    )


def _shown(words: Words) -> list[str]:
    """Return the words of a command line."""
    named = [("-r", words.files), ("-e", words.editables), ("--extra", words.extras), ("--group", words.groups)]
    return [*words.requirements, *(word for option, values in named for each in values for word in (option, each))]


def _path(prefix: StrPath) -> Path:
    return Path(os.path.abspath(prefix))

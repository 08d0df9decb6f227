"""What follows a solve: checks and warnings of its solution, or the explanation of its error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from bridge.cli.wheel_channels import differences
from bridge.errors import BridgeError, NoSolutionError
from bridge.fetch.urls import local_path
from bridge.index import Index
from bridge.model import Resolution
from bridge.requirements import algebra
from bridge.resolve import Catalog, SolveRequest, resolve
from bridge.resolve.channel_wheels import IndexWithChannels
from bridge.resolve.installed import IndexWithInstalled, InstalledCandidates
from bridge.resolve.locked_records import LockedRecords, with_locks
from bridge.resolve.preflight import (
    check_solution,
    solution_warnings,
    undated_warning,
    with_hashes,
    with_hidden_records,
    without_choices,
)
from bridge.secrets import masked

if TYPE_CHECKING:
    from bridge.channels.sources import Channels
    from bridge.config import Settings
    from bridge.fetch.client import Client
    from bridge.requirements.wanted import Wanted
    from bridge.resolve.recording import Recorder
    from bridge.resolve.search.joint import Watcher

__all__ = ["RunPort", "checked", "explained", "naming_indexes", "solved"]


class RunPort(Protocol):
    """What this module needs of `bridge.cli.session.Session`."""

    settings: Settings
    warnings: list[str]
    channel_index: IndexWithChannels | None
    records: LockedRecords | None
    watcher: Watcher | None

    @property
    def client(self) -> Client: ...

    @property
    def index(self) -> Index: ...

    @property
    def used_index(self) -> Index | None: ...

    def tell_once(self, warnings: Sequence[str]) -> None: ...


def solved(run: RunPort, request: SolveRequest, catalog: Catalog, recorder: Recorder | None) -> Resolution:
    """One solve; a recorder records it. Raises what `bridge.resolve.resolve` raises."""
    try:
        return resolve(request, catalog, run.watcher) if recorder is None else recorder.resolve(request, catalog)
    finally:
        catalog.results.save()


def checked(
    run: RunPort, resolution: Resolution, wanted: Wanted, catalog: Catalog, offered: InstalledCandidates | None
) -> Resolution:
    """Return a solution that is checked, with the hashes of its files; warnings go to the run.

    Raises `NoSolutionError` (`lock-environment`), `UnsafeInputError` (`hash-missing`), `IntegrityError`
    (`hash-mismatch`).
    """
    settings = run.settings
    if isinstance(catalog.index, IndexWithInstalled):
        run.warnings += [f"{name} stays: {masked(reason)}" for name, reason in catalog.index.gone.items()]
    installed, foreign = (offered.records, offered.foreign) if offered is not None else ((), ())
    kept_urls = {each.file.url for each in foreign} | {record.url for record in installed}
    check_solution(resolution, wanted, kept_urls, requires_hashes=wanted.requires_hashes or settings.require_hashes)
    if wanted.hashes:
        resolution = with_hashes(resolution, wanted.hashes, kept_urls, run.index.hash_of)
    if run.records is not None and run.records.versions:  # it chose from the lock, whatever channels and indexes have
        resolution = without_choices(resolution)
    index = run.used_index
    missing, statuses = (index.missing, index.statuses) if index is not None else ((), {})
    run.tell_once([f"--find-links: there is no {location}" for location in missing])
    run.tell_once(differences(resolution, run.channel_index))
    known = {record.identity for record in installed}
    records = [each.record for each in resolution.packages if each.requested and each.record.identity not in known]
    if projects := [record.pypi_names[0] for record in records if record.ecosystem == "wheel" and record.pypi_names]:
        from bridge.resolve.public_names import seldom_meant  # few runs request a new wheel

        run.tell_once([*seldom_meant(projects)])
    undated = undated_warning(resolution, catalog.options.cooldown, installed)
    run.tell_once([*solution_warnings(resolution, statuses, installed), *([undated] if undated else [])])
    return resolution


def explained(
    run: RunPort,
    error: NoSolutionError,
    requirements: Sequence[algebra.Requirement],
    channels: Channels,
    catalog: Catalog,
) -> BridgeError:
    """Return the error, with what later channels have, the indexes that were not asked, and names that were meant.

    If a channel of the environment failed, its error: the missing package may be there.
    """
    from bridge.resolve.near_names import KnownNames, with_near_names

    for url, failure in channels.dropped.items():
        if local_path(url) is None:
            return failure
        error.context = (*error.context, f"{failure.message}; the environment has packages from it")
    error.context = (*error.context, *channels.without_answer)
    if run.used_index is not None:
        error.context = (
            *error.context,
            *(f"--find-links: there is no {location}" for location in run.used_index.missing),
        )
    known = KnownNames(
        conda=channels.names,
        providers=catalog.names.providers,
        files=run.index.files if catalog.index is not None else lambda _: (),
    )
    error = with_near_names(with_hidden_records(error, requirements, channels.hidden), requirements, known)
    if run.records is not None and run.records.versions:
        return with_locks(error, run.records)
    return naming_indexes(run, error)


def naming_indexes(run: RunPort, error: NoSolutionError) -> NoSolutionError:
    """Return the error with the indexes that were not asked for a project."""
    from bridge.resolve.explain.indexes import Indexes, with_other_indexes

    settings = run.settings
    indexes = Indexes(
        urls=settings.index_urls,
        of_projects=settings.project_indexes,
        is_first=settings.index_strategy == "first",
        files=lambda url, name: Index(run.client, (url,), policy=run.index.policy).files(name),
    )
    return with_other_indexes(error, indexes)

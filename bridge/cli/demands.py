"""What precedes a solve: requirements bound to channels and checked, constraints and pins of settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from bridge.requirements import algebra
from bridge.resolve.installed import InstalledCandidates
from bridge.resolve.locked_records import LockedRecords
from bridge.resolve.preflight import bound_to_channels
from bridge.secrets import masked

if TYPE_CHECKING:
    from bridge.cache.results import Results
    from bridge.channels.sources import Channels
    from bridge.config import Settings

__all__ = ["bound", "check_files", "configured_constraints", "pinned"]


class RunPort(Protocol):
    """What this module needs of `bridge.cli.session.Session`."""

    records: LockedRecords | None

    def tell_once(self, warnings: Sequence[str]) -> None: ...


def configured_constraints(settings: Settings, results: Results) -> tuple[algebra.Requirement, ...]:
    """The constraints from pip's configuration."""
    if not settings.constraints:
        return ()
    from bridge.requirements.files.pip_format import read_constraints

    return read_constraints(settings.constraints, os.environ, results)


def pinned(settings: Settings) -> tuple[algebra.Requirement, ...]:
    """The pins from conda's configuration. Raises as `configured_pins`."""
    if not settings.conda.pinned_packages:
        return ()
    from bridge.install.frozen_and_pinned import configured_pins

    return configured_pins(settings)


def bound(
    run: RunPort,
    requirements: Sequence[algebra.Requirement],
    channels: Channels,
    offered: InstalledCandidates | None = None,
) -> tuple[algebra.Requirement, ...]:
    """Return the requirements, their channel clauses bound to channels; a channel not in this run is added, and told.

    Raises `UsageError` (`invalid-channel`).
    """
    installed = offered.records if offered is not None else ()
    origins = {record.origin for record in installed}
    known = {record.url for record in installed} | (run.records.urls if run.records is not None else frozenset())
    before = channels.urls
    try:
        return bound_to_channels(
            requirements,
            lambda name, clause: channels.reach(name, clause, offered=origins),
            channels.lists_wheels,
            given=known,
        )
    finally:
        if added := ", ".join(map(masked, channels.texts[len(before) :])):
            run.tell_once([f"added after the other channels, because a requirement names it: {added}"])


def check_files(requirements: Sequence[algebra.Requirement]) -> None:
    """Refuse damaged local files before a solve."""
    if any(requirement.url is not None for requirement in requirements):
        from bridge.resolve.local_files import check_local_files

        check_local_files(requirements)

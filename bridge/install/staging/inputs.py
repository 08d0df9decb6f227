"""The inputs of staging, and types shared by its modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path

from bridge.errors import IntegrityError
from bridge.fs.linking import LinkMode
from bridge.install.manifest import Manifest
from bridge.install.ownership import Judgement
from bridge.model import Entry, Fingerprint, Plan, PrefixState
from converters.deferred import dataclass
from converters.names import NameMap
from converters.record import Record

__all__ = ["StageInputs", "StagedPaths", "differs"]

StagedPaths = dict[str, tuple[Fingerprint, str]]
"""Path → the staged fingerprint, and its owner's `Record.identity`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInputs:
    """Everything that staging needs.

    :param state: the prefix before the change; empty for a new one.
    :param archives: `Record.identity` → the path of the archive, see `archive`; `manifests`: its checked content.
    :param unpacked: `Record.identity` → the unpacked package in the cache (`bridge.cache.contents`).
    :param predicted: `Record.identity` → its paths (`bridge.install.manifest.predict`).
    :param channel_records: `Record.identity` → the channel's record of installed conda packages, where already read.
    :param cache: for the files that conda-pack reads (`bridge.install.staging.originals`); `None`: none are kept.
    :param variables: environment variables to set for the activated environment.
    :param link_mode: how the files of the cache come into the environment.
    :param is_synced: the files will be synced to the disk together.
    :param compiles: compile modules; the interpreter must run on this machine.
    :param fetch: fetches an archive again.
    :param check: called before each package; may raise to end the change.
    :param command: the command line, for conda's history; `when`: `2026-11-22 10:00:00`; `version`: of bridge.
    """

    plan: Plan
    state: PrefixState
    archives: Mapping[str, Path]
    manifests: Mapping[str, Manifest]
    predicted: Mapping[str, tuple[Entry, ...]]
    judgement: Judgement
    names: NameMap
    command: str
    when: str
    version: str
    unpacked: Mapping[str, Path] = field(default_factory=dict)
    channel_records: Mapping[str, Record] = field(default_factory=dict)
    cache: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    compiles: bool = False
    link_mode: LinkMode = "auto"
    is_synced: bool = False
    fetch: Callable[[Record], Path] | None = None
    check: Callable[[], None] = lambda: None

    def archive(self, record: Record) -> Path:
        """Return an archive; the channel `host` writes it only now. Raises what fetching it raises."""
        path = self.archives[record.identity]
        return path if self.fetch is None or path.is_file() else self.fetch(record)


def changed(filename: str, *context: str) -> IntegrityError:
    """Return the error for an archive whose content is no longer what was checked."""
    return IntegrityError(
        "record-hash",
        f"{filename} changed after it was checked",
        context=context,
        hint="run the command again; if the error persists, check the disk and the memory",
    )


def differs(what: str, *context: str) -> IntegrityError:
    """Return the error for a staged path that differs from the prediction."""
    return IntegrityError(
        "staged-differs",
        f"{what} was not staged as its archive states; nothing was changed",
        context=context,
        hint="run the command again; if the error persists, report it as a bug of bridge",
    )

"""What staging is told, and what its parts tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import IntegrityError
from bridge.install.manifest import Manifest
from bridge.install.ownership import Judgement
from bridge.model import Entry, Fingerprint, Plan, PrefixState
from converters.names import NameMap
from converters.record import Record

__all__ = ["StageInputs", "StagedPaths", "differs"]

StagedPaths = dict[str, tuple[Fingerprint, str]]
"""Path → what was staged, and the identity of whose it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInputs:
    """All that staging needs to know.

    :param state: the prefix as it is; for a new one, an empty state.
    :param archives: `Record.identity` → the fetched archive; `manifests`: what it was judged to hold.
    :param unpacked: `Record.identity` → where a wheel lies unpacked in the cache (`bridge.cache.wheels`).
    :param predicted: `Record.identity` → its paths (`bridge.install.manifest.predict`).
    :param channel_records: `Record.identity` → what the channels say of installed conda packages, as far as that was
        read anyway.
    :param cache: where what conda-pack reads is kept (`bridge.install.staging.originals`); `None`: nowhere.
    :param compiles: whether modules are compiled; the interpreter must run on this machine.
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
    compiles: bool = False


def differs(what: str, *context: str) -> IntegrityError:
    """The error for something staged that is not what was foreseen."""
    return IntegrityError(
        "staged-differs",
        f"{what} was not staged as its archive said; nothing was changed",
        context=context,
        hint="run the command again; if it happens again, this is a fault of bridge: report it",
    )

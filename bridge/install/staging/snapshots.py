"""Stage snapshots of the prefix, so that `bridge rollback` can restore it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bridge import fs
from bridge.errors import UnsafeInputError
from bridge.faults import faults
from bridge.install.provenance import snapshot_record
from bridge.install.staging.inputs import StageInputs
from bridge.model import Fingerprint, Installed, PathChange, Resolved
from bridge.prefix.claims import incoming, leaving
from bridge.prefix.revisions import (
    HISTORY,
    SNAPSHOTS,
    Revision,
    parse_revisions,
    read_snapshot,
    snapshot_path,
    write_snapshot,
)

__all__ = ["expired_snapshots", "stage_snapshots"]

_KEPT = 50  # snapshots; of 100 packages each has about 20 kB


def stage_snapshots(inputs: StageInputs, staging: Path, staged: Iterable[str]) -> dict[str, Fingerprint]:
    """Stage a snapshot of the state after the change, and one of the state before where there is none yet.

    A change without a revision of its own (a repair, a new request for an installed package) renews the snapshot of
    the current one.

    :param staged: the paths of unowned files; conda's history is among them if the change adds a revision.
    """
    prefix, is_revised = inputs.state.prefix, HISTORY in staged
    before = _revisions(prefix / HISTORY)
    after = _revisions(staging / HISTORY) if is_revised else before
    written: dict[str, Fingerprint] = {}
    old = {each.record.identity: each for each in inputs.state.installed if each.record.url}
    if is_revised and len(after) > 1 and old:
        previous = after[-2]
        if not _has_same(prefix / snapshot_path(previous.number), old.values()):
            written |= _write(staging, previous, old.values())
    if after:
        gone = {each.record.identity for each in leaving(inputs.plan)}
        kept = [each for identity, each in old.items() if identity not in gone]
        written |= _write(staging, after[-1], [*kept, *incoming(inputs.plan)])
    return written


def expired_snapshots(prefix: Path, written: Iterable[str]) -> tuple[PathChange, ...]:
    """Return the removal of the oldest snapshots."""
    numbers = sorted({*_names(prefix), *(path.rpartition("/")[2] for path in written)})
    changes = []
    for name in numbers[:-_KEPT]:
        path = f"{SNAPSHOTS}/{name}"
        fingerprint = fs.fingerprint(prefix, path)
        if fingerprint is not None and path not in written:
            changes.append(PathChange(path=path, before=fingerprint, after=None, is_record=True))
    return tuple(changes)


def _names(prefix: Path) -> list[str]:
    directory = prefix / SNAPSHOTS
    with faults(directory):
        return [path.name for path in directory.iterdir()] if directory.is_dir() else []


def _revisions(path: Path) -> tuple[Revision, ...]:
    with faults(path):
        data = fs.read_content(path) if path.is_file() else b""
    return parse_revisions(data.decode("utf-8", "replace"))


def _write(staging: Path, revision: Revision, packages: Iterable[Installed | Resolved]) -> dict[str, Fingerprint]:
    documents: list[Mapping[str, object]] = [
        snapshot_record(each.record, each.requested, each.choice if isinstance(each, Resolved) else "")
        for each in packages
    ]
    path = snapshot_path(revision.number)
    return {path: fs.write_file(staging, path, [write_snapshot(documents, date=revision.date)])}


def _has_same(path: Path, packages: Iterable[Installed]) -> bool:
    """Whether a snapshot has these packages, whatever else differs."""
    try:
        with faults(path):
            data = fs.read_content(path) if path.is_file() else b""
        known = read_snapshot(data, str(path))[1]
    except UnsafeInputError:
        return False
    return {_key(each) for each in known} == {_key(each) for each in packages}


def _key(installed: Installed) -> tuple[str, str | None, tuple[str, ...]]:
    return installed.record.identity, installed.record.sha256, tuple(sorted(installed.requested))

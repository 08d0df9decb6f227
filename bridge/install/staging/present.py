"""Staging records for what lies in the prefix already: its files stay, their owner is written down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge import fs
from bridge.faults import faults
from bridge.install.provenance import INSTALLER, conda_depends, conda_meta, meta_path, record_file
from bridge.install.staging import Staged
from bridge.install.staging.originals import Originals
from bridge.install.staging.own import stage_own, state_after
from bridge.install.staging.renewal import renew_records
from bridge.install.staging.replacement import replace_paths
from bridge.install.staging.task import Task
from bridge.model import Distribution, Entry, Fingerprint, Resolved
from bridge.prefix.claims import incoming, is_bytecode

__all__ = ["stage_present"]


def stage_present(task: Task, staging: Path, distributions: Mapping[str, Distribution]) -> Staged:
    """Write INSTALLER, RECORD and the conda-meta record of distributions that are there.

    :param distributions: `Record.identity` → the distribution; `task.predicted` has its paths.

    Raises `FaultError` (the system refused). The prefix is only read.
    """
    found: dict[str, tuple[Fingerprint, str]] = {}
    for resolved in incoming(task.plan):
        for entry in _record(task, staging, resolved, distributions[resolved.record.identity]):
            found[entry.path] = entry.fingerprint, resolved.record.label
    found |= renew_records(task, staging)
    after = state_after(task, staging)
    found |= {path: (fingerprint, "") for path, fingerprint in stage_own(task, staging, after).items()}
    replacement = replace_paths(task.state, task.plan, found, staging, task.judgement)
    return Staged(changes=replacement.changes, kept_aside=replacement.kept_aside, state=after)


def _record(task: Task, staging: Path, resolved: Resolved, distribution: Distribution) -> tuple[Entry, ...]:
    """Every path of the distribution as it is to be, its records written."""
    record, info = resolved.record, distribution.path
    site = info.rpartition("/")[0]
    written = {f"{info}/RECORD", f"{info}/INSTALLER", meta_path(record)}
    kept = [entry for entry in task.predicted[record.identity] if entry.path not in written]
    with fs.WritableTree(staging) as tree:
        entries = [_copied(task, tree, entry) or _lying(task, entry) for entry in kept]
        path = f"{info}/INSTALLER"
        entries.append(Entry(path=path, fingerprint=fs.write_file(tree, path, [INSTALLER])))
        path = f"{info}/RECORD"
        data = record_file(entries, site, path)
        entries.append(Entry(path=path, fingerprint=fs.write_file(tree, path, [data])))
        target = task.plan.target
        depends = conda_depends(record, target, task.names) if target.python is not None else ()
        path = meta_path(record)
        source = Originals(task.cache).plain()
        data = conda_meta(record, entries, depends=depends, requested=resolved.requested, source=source)
        entries.append(Entry(path=path, fingerprint=fs.write_file(tree, path, [data])))
    return tuple(entry if not is_bytecode(entry.path) else _as_it_lies(task, entry) for entry in entries)


def _copied(task: Task, tree: fs.WritableTree, entry: Entry) -> Entry | None:
    """A file of its own for what lies there as a link into an installer's cache: the cache may be pruned."""
    path = task.state.prefix / entry.path
    if entry.fingerprint.kind != "file" or not path.is_symlink():
        return None
    with faults(task.state.prefix, entry.path), path.open("rb") as stream:
        mode = entry.fingerprint.mode or 0o644
        return Entry(path=entry.path, fingerprint=fs.write_file(tree, entry.path, stream, mode=mode))


def _lying(task: Task, entry: Entry) -> Entry:
    """What lies there, hashed, where that was not foreseen; bytecode has no hash in any record."""
    if entry.fingerprint.sha256 is not None or is_bytecode(entry.path):
        return entry
    return _as_it_lies(task, entry)


def _as_it_lies(task: Task, entry: Entry) -> Entry:
    found = fs.fingerprint(task.state.prefix, entry.path)
    return Entry(path=entry.path, fingerprint=found) if found is not None else entry

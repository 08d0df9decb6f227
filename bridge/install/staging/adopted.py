"""Stage the records of adopted distributions, whose files stay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge import fs
from bridge.faults import faults
from bridge.install.provenance import INSTALLER, conda_depends, conda_meta, meta_path
from bridge.install.record_text import record_file
from bridge.install.staging import StagedPlan
from bridge.install.staging.history import stage_history
from bridge.install.staging.inputs import StageInputs
from bridge.install.staging.originals import Originals
from bridge.install.staging.renewal import renew_records
from bridge.install.staging.replacement import replace_paths
from bridge.install.staging.snapshots import stage_snapshots
from bridge.model import Distribution, Entry, Fingerprint, Resolved
from bridge.prefix.claims import incoming, is_bytecode

__all__ = ["stage_adopted"]


def stage_adopted(inputs: StageInputs, staging: Path, distributions: Mapping[str, Distribution]) -> StagedPlan:
    """Write INSTALLER, RECORD and the conda-meta record of installed distributions.

    :param distributions: `Record.identity` → the distribution; `inputs.predicted` has its paths.

    Raises `FaultError` (the system refused). The prefix is only read.
    """
    staged: dict[str, tuple[Fingerprint, str]] = {}
    for resolved in incoming(inputs.plan):
        for entry in _record(inputs, staging, resolved, distributions[resolved.record.identity]):
            staged[entry.path] = entry.fingerprint, resolved.record.label
    staged |= renew_records(inputs, staging)
    unowned = stage_history(inputs, staging)
    unowned |= stage_snapshots(inputs, staging, unowned)
    staged |= {path: (fingerprint, "") for path, fingerprint in unowned.items()}
    replacement = replace_paths(inputs.state, inputs.plan, staged, staging, inputs.judgement)
    return StagedPlan(changes=replacement.changes, kept_aside=replacement.kept_aside)


def _record(inputs: StageInputs, staging: Path, resolved: Resolved, distribution: Distribution) -> tuple[Entry, ...]:
    """Write the records of a distribution; return all its paths."""
    record, info = resolved.record, distribution.path
    site = info.rpartition("/")[0]
    written = {f"{info}/RECORD", f"{info}/INSTALLER", meta_path(record)}
    kept = [entry for entry in inputs.predicted[record.identity] if entry.path not in written]
    with fs.WritableTree(staging) as tree:
        entries = [_copied(inputs, tree, entry) or _hashed(inputs, entry) for entry in kept]
        path = f"{info}/INSTALLER"
        entries.append(Entry(path=path, fingerprint=fs.write_file(tree, path, [INSTALLER])))
        path = f"{info}/RECORD"
        data = record_file(entries, site, path)
        entries.append(Entry(path=path, fingerprint=fs.write_file(tree, path, [data])))
        target = inputs.plan.target
        depends = conda_depends(record, target, inputs.names) if target.python is not None else ()
        path = meta_path(record)
        source = Originals(inputs.cache).plain()
        data = conda_meta(record, entries, depends=depends, requested=resolved.requested, source=source)
        entries.append(Entry(path=path, fingerprint=fs.write_file(tree, path, [data])))
    return tuple(entry if not is_bytecode(entry.path) else _on_disk(inputs, entry) for entry in entries)


def _copied(inputs: StageInputs, tree: fs.WritableTree, entry: Entry) -> Entry | None:
    """Copy the target of a link into an installer's cache, which may be pruned."""
    path = inputs.state.prefix / entry.path
    if entry.fingerprint.kind != "file" or not path.is_symlink():
        return None
    with faults(inputs.state.prefix, entry.path), path.open("rb") as stream:
        mode = entry.fingerprint.mode or 0o644
        return Entry(path=entry.path, fingerprint=fs.write_file(tree, entry.path, stream, mode=mode))


def _hashed(inputs: StageInputs, entry: Entry) -> Entry:
    """Hash an unhashed entry; bytecode has no hash in any record."""
    if entry.fingerprint.sha256 is not None or is_bytecode(entry.path):
        return entry
    return _on_disk(inputs, entry)


def _on_disk(inputs: StageInputs, entry: Entry) -> Entry:
    current = fs.fingerprint(inputs.state.prefix, entry.path)
    return Entry(path=entry.path, fingerprint=current) if current is not None else entry

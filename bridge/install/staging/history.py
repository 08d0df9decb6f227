"""Files that a change writes besides packages: conda's history and the ledger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bridge import fs
from bridge.faults import faults
from bridge.install.manifest import site_packages_after
from bridge.install.provenance import history, meta_path
from bridge.install.staging.inputs import StageInputs
from bridge.model import Fingerprint, PrefixState, Reinstall, Remove
from bridge.paths import META
from bridge.prefix import condameta, ledger
from bridge.prefix.claims import incoming, leaving, owned_entries, superseded, unmanaged

__all__ = ["stage_history", "state_after"]

_HISTORY = f"{META}/history"


def state_after(inputs: StageInputs, staging: Path) -> PrefixState:
    """Return the prefix's records after the change, for the ledger."""
    gone = {old.meta_path for old in leaving(inputs.plan)}
    installed = [each for each in inputs.state.installed if each.meta_path not in gone]
    # Kept packages may have a renewed record in staging.
    paths = [meta_path(resolved.record) for resolved in incoming(inputs.plan)]
    renewed = [each.meta_path for each in installed if (staging / each.meta_path).is_file()]
    installed = [each for each in installed if each.meta_path not in renewed]
    for path in (*paths, *renewed):
        installed.append(condameta.parse((staging / path).read_bytes(), path)[0])
    taken = {entry.path for each in installed for entry in owned_entries(each)}
    going = {each.path for each in superseded(inputs.state, inputs.plan)}
    return replace(
        inputs.state,
        prefix=inputs.plan.prefix,
        installed=tuple(sorted(installed, key=lambda each: (each.record.name, each.meta_path))),
        distributions=tuple(
            each
            for each in unmanaged(inputs.state)
            if each.path not in going or not any(entry.path in taken for entry in each.entries or ())
        ),
        python=inputs.plan.python,
        site_packages=site_packages_after(inputs.plan, inputs.state),
    )


def stage_history(inputs: StageInputs, staging: Path, after: PrefixState) -> dict[str, Fingerprint]:
    """Stage conda's history and the ledger."""
    plan = inputs.plan
    repeated = {step.new.record.identity for step in plan.operations if isinstance(step, Reinstall)}
    added = [each for each in incoming(plan) if each.record.identity not in repeated]
    kept = {each.record.identity for each in incoming(plan)} & repeated
    removed = [each for each in leaving(plan) if each.record.identity not in kept]
    unwanted = [step.old for step in plan.operations if isinstance(step, Remove) and step.old.requested]
    found = {ledger.PATH: fs.write_file(staging, ledger.PATH, [ledger.build(after)])}
    if not (added or removed):
        return found  # A repair is no revision.
    path = inputs.state.prefix / _HISTORY
    with faults(path):
        old = fs.read_content(path) if path.is_file() else b""
    data = history(
        old,
        when=inputs.when,
        command=inputs.command,
        version=inputs.version,
        added=added,
        removed=removed,
        removed_specs=[old.record.name for old in unwanted],
        wheels={each.record.name for each in after.installed if each.record.ecosystem == "wheel"},
    )
    return found | {_HISTORY: fs.write_file(staging, _HISTORY, [data])}

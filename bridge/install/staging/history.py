"""The file that a change writes besides packages: conda's history."""

from __future__ import annotations

from pathlib import Path

from bridge import fs
from bridge.faults import faults
from bridge.install.provenance import history, with_unrecorded
from bridge.install.staging.inputs import StageInputs
from bridge.model import Change, Fingerprint, Reinstall, Remove
from bridge.paths import META
from bridge.prefix.claims import incoming, leaving

__all__ = ["stage_history"]

_HISTORY = f"{META}/history"


def stage_history(inputs: StageInputs, staging: Path) -> dict[str, Fingerprint]:
    """Stage conda's history with a new revision; a repair adds none."""
    plan = inputs.plan
    repeated = {step.new.record.identity for step in plan.operations if isinstance(step, Reinstall)}
    added = [each for each in incoming(plan) if each.record.identity not in repeated]
    kept = {each.record.identity for each in incoming(plan)} & repeated
    removed = [each for each in leaving(plan) if each.record.identity not in kept]
    unwanted = [step.old for step in plan.operations if isinstance(step, Remove) and step.old.requested]
    # Readers add the requests of the history to records without any, so a request that is taken back is told there.
    unwanted += [step.old for step in plan.operations if isinstance(step, (Change, Reinstall)) and _is_unasked(step)]
    if not (added or removed or unwanted):
        return {}
    path = inputs.state.prefix / _HISTORY
    with faults(path):
        old = fs.read_content(path) if path.is_file() else b""
    old = with_unrecorded(old, inputs.state.installed, when=inputs.when)
    gone = {each.meta_path for each in leaving(plan)}
    after = [each.record for each in inputs.state.installed if each.meta_path not in gone]
    after += [each.record for each in incoming(plan)]
    data = history(
        old,
        when=inputs.when,
        command=inputs.command,
        version=inputs.version,
        added=added,
        removed=removed,
        removed_specs=[old.record.name for old in unwanted],
        wheels={record.name for record in after if record.ecosystem == "wheel"},
    )
    return {_HISTORY: fs.write_file(staging, _HISTORY, [data])}


def _is_unasked(step: Change | Reinstall) -> bool:
    """Whether a conda package stays and its request is taken back."""
    is_conda = step.old.record.ecosystem == step.new.record.ecosystem == "conda"
    return is_conda and bool(step.old.requested) and not step.new.requested

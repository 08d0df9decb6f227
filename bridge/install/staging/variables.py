"""The variables of an activated environment, in `conda-meta/state`, as `conda env config vars` keeps them."""

from __future__ import annotations

import json
from pathlib import Path

from bridge import fs
from bridge.errors import UnsafeInputError
from bridge.faults import faults
from bridge.install.staging.inputs import StageInputs
from bridge.model import Fingerprint
from bridge.paths import META

__all__ = ["stage_variables"]

_STATE = f"{META}/state"


def stage_variables(inputs: StageInputs, staging: Path) -> dict[str, Fingerprint]:
    """Stage the state file with the variables added to those that it has.

    Raises `UnsafeInputError` (`state-invalid`) if the file that exists is not conda's.
    """
    if not inputs.variables:
        return {}
    path = inputs.state.prefix / _STATE
    with faults(path):
        text = fs.read_content(path) if path.is_file() else b"{}"
    try:
        state = json.loads(text)
        set_before = dict(state.get("env_vars", {}))
    except (AttributeError, TypeError, ValueError) as error:
        raise UnsafeInputError(
            "state-invalid",
            f"{path} is not the state that conda writes, so variables cannot be added to it",
            hint="move the file away, and run the command again",
        ) from error
    after = {"version": 1, **state, "env_vars": set_before | dict(inputs.variables)}
    if after == state:
        return {}
    return {_STATE: fs.write_file(staging, _STATE, [json.dumps(after).encode()])}

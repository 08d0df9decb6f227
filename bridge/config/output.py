"""How a run talks: options, `BRIDGE_*`, and `always_yes` of conda."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast, get_args

if TYPE_CHECKING:
    from typing import TypedDict

    from bridge.config import Lookup
    from bridge.config.condarc import CondaConfiguration

    class _Output(TypedDict):
        yes: bool
        json: bool
        quiet: bool
        verbose: bool
        traces: bool
        progress: bool
        color: Color


__all__ = ["Color", "load_output"]

Color = Literal["auto", "always", "never"]

_TRACES = 2  # `-vv`


def load_output(ask: Lookup, conda: CondaConfiguration) -> _Output:
    """Return the fields of `Settings` that concern the output; conda's `always_yes` counts. Raises `UsageError`."""
    traces = ask.level("verbose") >= _TRACES
    return {
        "yes": ask.flag("yes") if ask.source("yes") else conda.always_yes,
        "json": ask.flag("json"),
        "quiet": ask.flag("quiet"),
        "verbose": traces or ask.flag("verbose"),
        "traces": traces,
        "progress": not ask.flag("no_progress"),
        "color": cast("Color", ask.choice("color", get_args(Color), "auto")),
    }

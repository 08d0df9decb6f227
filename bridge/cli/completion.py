"""What a shell offers to complete: names of installed packages and of environments.

A shell asks while the user types, so the names come from the files' names alone, and errors are silent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["environment_names", "installed_names"]


def installed_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The packages of the environment that the command line names so far, or of the active one."""
    prefix = _prefix(context.params)
    try:
        records = os.listdir(prefix / "conda-meta") if prefix is not None else []
    except OSError:
        return []
    names = {each[: -len(".json")].rsplit("-", 2)[0] for each in records if each.endswith(".json")}
    return sorted(name for name in names if name.startswith(incomplete.lower()))


def environment_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    """The names of the known environments."""
    from bridge.config.condarc import read_condarc
    from bridge.config.environments import known_environments
    from bridge.errors import BridgeError

    try:
        known = known_environments(read_condarc(os.environ), os.environ)
    except (BridgeError, OSError):
        return []
    return [each.name for each in known if each.name.startswith(incomplete) and each.name]


def _prefix(options: Mapping[str, object]) -> Path | None:
    from bridge import config
    from bridge.errors import BridgeError

    given = {key: options.get(key) for key in ("prefix", "name")}
    try:
        return config.load(given, os.environ).prefix
    except BridgeError:
        return None

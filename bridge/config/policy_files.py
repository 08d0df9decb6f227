"""Finds the policy files of a run. A run without one imports nothing more for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.config.pip import BOOLEANS
from bridge.config.project import ProjectFiles, mentions_table
from converters.deferred import regex

if TYPE_CHECKING:
    from bridge.config.lookup import Lookup
    from bridge.config.policy import Policy

__all__ = ["FILE_NAME", "load_policy", "project_files"]

FILE_NAME = "bridge-policy.toml"
# A TOML text without this has no [tool.bridge.policy]. Most projects are not parsed.
_HAS_KEY = regex(rb"""\bpolicy["']?\s*[\].=]""")


def load_policy(
    ask: Lookup, environ: Mapping[str, str], now: float, project: ProjectFiles | None = None
) -> Policy | None:
    """Return the policy of a run: of `--policy`, else the project's, and beside it those of configuration files.

    :param now: seconds since the epoch, for durations.
    :raises UsageError: `policy-file`: a file cannot be read, or a key or a value is wrong.
    """
    given = ask.given.string("policy")
    configured = [text for text in ask.configured.all_strings("policy") if text != given]
    candidates = [] if given or _ignores_files(environ) else list(project_files(project or ProjectFiles()))
    if not (given or configured or candidates):
        return None
    from bridge.config.policy.reading import read_policy  # noqa: PLC0415 - most runs have no policy

    return read_policy([Path(text) for text in (given, *configured) if text], candidates, now)


def project_files(project: ProjectFiles) -> Iterator[Path]:
    """Yield files that may have the project's policy, the nearest first; a pyproject.toml may turn out to have none."""
    for folder in project.folders:
        if os.path.isfile(named := folder / FILE_NAME):
            yield named
            return
        if os.path.isfile(path := folder / "pyproject.toml") and _mentions_policy(project, path):
            yield path


def _mentions_policy(project: ProjectFiles, path: Path) -> bool:
    try:
        text = project.content(path)
    except OSError:  # It belongs to somebody else; the settings of such a project are not read either.
        return False
    return mentions_table(text) and _HAS_KEY.search(text) is not None


def _ignores_files(environ: Mapping[str, str]) -> bool:
    return BOOLEANS.get(environ.get("BRIDGE_NO_CONFIG", "").strip().lower() or "no", True)

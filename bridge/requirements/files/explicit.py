"""Explicit lists of conda packages (`conda list --explicit`): the URL of each, its hash behind `#`."""

from __future__ import annotations

from pathlib import Path

from bridge.errors import UsageError
from bridge.requirements.algebra import Requirement, conda_requirement
from bridge.requirements.files.values import FileRequirements, unique, wrong
from bridge.secrets import SECRETS

__all__ = ["is_explicit", "read_explicit"]

_MARK = "@EXPLICIT"
_HINT = f"after {_MARK} each line is the URL of a conda package, as `conda list --explicit --md5` writes them"


def is_explicit(text: str) -> bool:
    """Whether a text is an explicit list: a line says so."""
    return any(line.strip() == _MARK for line in text.splitlines())


def read_explicit(path: Path, text: str) -> FileRequirements:
    """Each URL as a requirement that only that file meets, in the channels that the URLs lie in.

    What the packages need is solved for like any other need, so a list from which one is missing is completed or
    refused, never installed broken. Raises `UsageError` (`requirement-file`).
    """
    found: list[Requirement] = []
    channels: dict[str, None] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line == _MARK or line.startswith("#"):
            continue
        try:
            requirement = conda_requirement(line)
        except UsageError as error:
            raise wrong(path, number, error.message, context=error.context, hint=_HINT) from error
        if requirement.conda is None or requirement.conda.url is None:
            raise wrong(path, number, f"{line!r} is no URL of a conda package", hint=_HINT)
        found.append(requirement)
        channels[SECRETS.learn(line.partition("#")[0].rsplit("/", 2)[0])] = None
    return FileRequirements(requirements=unique(found), channels=tuple(channels))

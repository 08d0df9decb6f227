"""The formats that locks are written in: which one a file name means, and its writer."""

from __future__ import annotations

import re
from pathlib import Path

from bridge.errors import UsageError
from bridge.lock.conda_lock import write_conda_lock
from bridge.lock.content import FORMATS, Content, Format, Written
from bridge.lock.environment_yml import write_environment
from bridge.lock.explicit import write_explicit
from bridge.lock.pylock import write_pylock
from bridge.lock.rattler_v6 import write_rattler
from bridge.lock.requirements_txt import write_requirements

__all__ = ["format_of", "write"]

_NAMES: tuple[tuple[str, Format], ...] = (
    (r"(?:.*[.-])?pylock(?:\.[^.]+)?\.toml", "pylock"),
    (r".*conda-lock\.ya?ml", "conda-lock"),
    (r".*\.ya?ml", "environment"),
    (r".*explicit.*\.(?:txt|lock)|conda-(?:linux|osx|win)-.*\.lock", "explicit"),
    (r".*\.txt", "requirements"),
    (r".*\.lock", "rattler"),
)
_WRITERS = {
    "rattler": write_rattler,
    "conda-lock": write_conda_lock,
    "pylock": write_pylock,
    "explicit": write_explicit,
    "requirements": write_requirements,
    "environment": write_environment,
}


def format_of(path: Path) -> Format:
    """Return the format that a file name means. Raises `UsageError` (`lock-format`)."""
    for pattern, form in _NAMES:
        if re.fullmatch(pattern, path.name.lower()):
            return form
    raise UsageError(
        "lock-format",
        f"{path.name} does not say which format it has",
        hint=f"choose one with --format: {', '.join(FORMATS)}",
    )


def write(content: Content, path: Path, form: Format) -> Written:
    """Return the text of `content` in a format, for a file at `path`.

    Raises `UsageError` (`lock-format`) where the format has no room for several platforms or environments.
    """
    return _WRITERS[form](content, path)

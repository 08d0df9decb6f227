"""`read`: a file of requirements, its kind told by its name or its content."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bridge.requirements.files.environment import read_environment
from bridge.requirements.files.explicit import is_explicit, read_explicit
from bridge.requirements.files.lock import read_lock
from bridge.requirements.files.pip_format import read_pip_file
from bridge.requirements.files.pyproject import read_pyproject
from bridge.requirements.files.values import FileRequirements, read_text, wrong

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["read"]

_LOCK = re.compile(r"pylock(\.[^.]+)?\.toml\Z")
_YAML_KEY = re.compile(r"^(dependencies|channels)[ \t]*:", re.MULTILINE)


def read(
    path: Path,
    *,
    extras: Sequence[str] = (),
    groups: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> FileRequirements:
    """Read a file of requirements. Its kind is told by its name; where that tells nothing, by its content.

    :param extras: of a pyproject.toml or a pylock.toml. `groups`: their dependency groups. Asking any other file for
        them is an error.
    :param environ: for `${NAME}` in pip's lines (default: the process's).

    Raises `UsageError` (`requirement-file`), and `UnsafeInputError` (`lock-invalid`) for a pylock.toml that PEP 751
    does not allow.
    """
    environ = os.environ if environ is None else environ
    suffix = path.suffix.lower()
    if suffix == ".toml":
        return _read_toml(path, extras, groups)
    if extras or groups:
        asked = f"extra {extras[0]!r}" if extras else f"dependency group {groups[0]!r}"
        raise wrong(path, None, f"only pyproject.toml and pylock.toml have extras and groups; {asked} was asked for")
    if suffix in {".yml", ".yaml"}:
        return _read_environment(path, environ)
    text = read_text(path)
    if is_explicit(text):
        return read_explicit(path, text)
    if suffix not in {".txt", ".in", ".pip"} and _YAML_KEY.search(text):
        return _read_environment(path, environ)
    return read_pip_file(path, environ)


def _read_environment(path: Path, environ: Mapping[str, str]) -> FileRequirements:
    # Importing YAML's parser takes 50 ms, which every command would pay for the few that read such a file.
    return read_environment(path, environ)


def _read_toml(path: Path, extras: Sequence[str], groups: Sequence[str]) -> FileRequirements:
    text = read_text(path)
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        problem = str(error) if isinstance(error, ValueError) else "nested too deep"
        raise wrong(path, None, f"not TOML: {problem}") from error
    if _LOCK.match(path.name) or "lock-version" in document:
        return read_lock(path, document, extras, groups)
    return read_pyproject(path, document, extras, groups)

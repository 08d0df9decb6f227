"""What was typed as it stands in a lock: without secrets, and with paths relative to the lock."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bridge.lock.rattler_v6 import relative
from bridge.secrets import SECRETS

__all__ = [
    "recorded_file",
    "recorded_option",
    "recorded_requirement",
    "typed_file",
    "typed_option",
    "typed_requirement",
]

_PATHS = frozenset({"channel", "find_links", "name_map"})  # options whose value may be a path
_LOCAL = re.compile(r"(?P<path>\.{1,2}(?:/[^\[;\s]*)?|/[^\[;\s]*)(?P<rest>.*)\Z", re.DOTALL)


def recorded_file(text: str, folder: Path) -> str:
    """Return the path of a file relative to the folder of the lock."""
    return relative(Path(text).absolute(), folder).removeprefix("./")


def typed_file(text: str, folder: Path) -> str:
    """Return a recorded path as it is typed in the working directory."""
    here, path = Path.cwd(), Path(os.path.normpath(folder / text))
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def recorded_requirement(text: str, folder: Path) -> str:
    """Return a requirement; one that is a path (`./DIR[extra]`) starts from the folder of the lock."""
    match = _LOCAL.match(text.strip())
    if match is None:
        return SECRETS.learn_all(text)
    return f"{relative(Path(os.path.abspath(match['path'])), folder)}{match['rest']}"


def typed_requirement(text: str, folder: Path) -> str:
    """Return a recorded requirement as it is typed in the working directory."""
    match = _LOCAL.match(text)
    if match is None:
        return text
    path = typed_file(match["path"], folder)
    return f"{path if path.startswith(('/', '.')) else f'./{path}'}{match['rest']}"


def recorded_option(name: str, value: object, folder: Path) -> object:
    """Return the value of an option; a path starts from the folder of the lock."""
    if isinstance(value, (tuple, list)):
        return tuple(recorded_option(name, each, folder) for each in value)
    if not isinstance(value, str):
        return value
    is_path = name in _PATHS and "://" not in value and Path(value).exists()
    return relative(Path(os.path.abspath(value)), folder) if is_path else SECRETS.learn_all(value)


def typed_option(name: str, value: object, folder: Path) -> object:
    """Return the value of a recorded option as it is typed in the working directory."""
    if isinstance(value, (tuple, list)):
        return tuple(typed_option(name, each, folder) for each in value)
    is_path = name in _PATHS and isinstance(value, str) and value.startswith((".", "/"))
    return os.path.normpath(folder / value) if is_path and isinstance(value, str) else value

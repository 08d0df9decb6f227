"""Read which environment the activation scripts of a virtual environment and Jupyter's kernels name. Reads only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from bridge.audit.look.inspection import Kernel
from bridge.prefix.records import content
from converters.deferred import regex

__all__ = ["activated_prefixes", "kernels"]

# venv's, virtualenv's and uv's, for any shell.
_SCRIPTS = ("activate", "activate.csh", "activate.fish", "activate.nu", "activate.xsh")
_NAMED = regex(
    r"(?i)(?:^|[\s;])(?:set(?:env)?\s+(?:-gx\s+)?|export\s+)?VIRTUAL_ENV[\s=]+"
    r"(?:'(/[^'\n]*)'|\"(/[^\"\n]*)\"|(/[^\s'\";]*))"
)
_KERNELS = "share/jupyter/kernels"
_MAX_SIZE = 1 << 20


def activated_prefixes(prefix: Path) -> dict[str, str]:
    """Script → the environment that it activates, if that is not this one."""
    prefixes = {}
    here = {str(prefix), os.path.realpath(prefix)}
    for name in _SCRIPTS:
        match = _NAMED.search(_text(prefix / "bin" / name))
        named = next(filter(None, match.groups()), "") if match else ""
        if named and os.path.normpath(named) not in here and os.path.realpath(named) not in here:
            prefixes[f"bin/{name}"] = named
    return prefixes


def kernels(prefix: Path) -> Iterator[tuple[str, Kernel]]:
    """The kernels of an environment whose interpreter is named by its path, or that Jupyter cannot read."""
    try:
        names = sorted(os.listdir(prefix / _KERNELS))
    except OSError:
        return
    for name in names:
        path = f"{_KERNELS}/{name}/kernel.json"
        try:
            document = json.loads(_text(prefix / path))
            interpreter, shown = document["argv"][0], document.get("display_name")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            if (prefix / path).is_file():
                yield path, Kernel(name=name, shown=name, interpreter="", is_there=False)
            continue
        if isinstance(interpreter, str) and interpreter.startswith("/") and "\0" not in interpreter:
            shown = shown if isinstance(shown, str) else name
            yield path, Kernel(name=name, shown=shown, interpreter=interpreter, is_there=os.path.exists(interpreter))


def _text(path: Path) -> str:
    try:
        return content(str(path), _MAX_SIZE).decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""

"""Running a command in this process: what `tests.fault.server` does in its children."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from pathlib import Path

# What a command imports on its way is imported here, once for all children.
from bridge.cli import main

__all__ = ["PACKAGES", "run_command"]

PACKAGES = "{packages}"
"""Stands for the folder of the packages in the words of a command."""


def run_command(prefix: Path, words: tuple[str, ...], durability: str) -> dict[str, object]:
    """Run `bridge` in this process; the answer is that of `tests.fault.server`."""
    folder = os.path.dirname(os.environ.get("BRIDGE_CHANNEL", ""))
    words = tuple(word.replace(PACKAGES, folder) for word in words)
    sys.argv = ["bridge", *words]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        status = main([*words, "-p", os.fspath(prefix), "--durability", durability, "--json"])
    if status == 0:
        return {}
    error = json.loads(said.getvalue())["error"]
    return {"exit_code": status, "error": error["id"], "context": [error["message"], *error["context"]]}

"""Run bridge in a child process: an interpreter that used rattler may abort while it finalises (`bridge.__main__`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Answer", "ask", "call"]

# `-c` puts the working directory first on `sys.path`, where a directory could shadow our modules.
_START = "import sys; sys.path[:] = filter(None, sys.path); from bridge.__main__ import run; run()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The output of a command with `--json`; `document` is `None` if it is not a JSON object."""

    status: int
    document: Mapping[str, object] | None
    errors: str

    @property
    def complaint(self) -> str:
        """Why the command failed: the error document, else standard error."""
        error = (self.document or {}).get("error")
        if isinstance(error, dict):
            context = [str(line) for line in error.get("context", ())]
            hint = [f"hint: {error['hint']}"] if error.get("hint") else []
            return "\n".join([f"{error.get('message')}", *context, *hint])
        return self.errors.strip() or f"bridge ended with status {self.status}"


def call(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run bridge on this terminal and return its exit status, or 128 + N if signal N ended it."""
    with subprocess.Popen(_command(words), env=dict(environ)) as child:
        while True:
            try:
                status = child.wait()
            except KeyboardInterrupt:
                continue  # The terminal interrupts the child too; wait until it has rolled back.
            return status if status >= 0 else 128 - status


def ask(words: Sequence[str]) -> Answer:
    """Run bridge with `--json` and return what it printed."""
    done = subprocess.run(
        _command([*words, "--json"]), capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    try:
        document = json.loads(done.stdout)
    except ValueError:
        document = None
    return Answer(status=done.returncode, document=document if isinstance(document, dict) else None, errors=done.stderr)


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-c", _START, *words]

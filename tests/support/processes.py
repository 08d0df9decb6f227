"""Processes of this machine, for tests that must leave none behind."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["processes_with", "wait_until"]


def processes_with(text: str) -> list[int]:
    """The processes whose command line holds a text; one that ended and that nobody waited for has none."""
    if not Path("/proc/self/cmdline").exists():
        lines = subprocess.run(["ps", "-axo", "pid=,args="], capture_output=True, text=True, check=True).stdout
        return [int(line.split()[0]) for line in lines.splitlines() if text in line]
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in line:
                found.append(int(folder.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition, or until the time is over."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)

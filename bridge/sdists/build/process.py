"""The process of a build, ended when it takes too long or fills the disk."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.faults import faults
from bridge.sdists.build.confinement import command
from bridge.sdists.confine.request import SandboxRequest
from bridge.secrets import hidden

__all__ = ["BuildResult", "run"]

_LAST_LINES = 20
_LONGEST_LINE = 300  # characters
_TAIL = 64 << 10  # bytes
_BLOCK = 1 << 16
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\\\)")
_UNPRINTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]")
_TICK = 0.5  # seconds
_LEAST_FREE = 64 << 20  # bytes
_GRACE = 6.0  # seconds for the sandbox to end its processes


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """How a build ended; `cut` is the reason if bridge ended it."""

    status: int
    lines: tuple[str, ...]
    cut: str | None = None


def run(
    request: SandboxRequest, environment: Mapping[str, str], *, directory: Path, timeout: float, body: str = "build"
) -> BuildResult:
    """Run one request in the sandbox; the end of its output is kept in memory.

    :param directory: the working directory; its file system must keep some free space.
    :param timeout: seconds; 0 for none.
    :param body: what the sandbox runs: `build`, or `program`.
    """
    with faults(directory):
        process = subprocess.Popen(
            command(body),
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    output = bytearray()
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(request.text().encode())
            process.stdin.close()
        cut = _read_output(process, output, directory, time.monotonic() + timeout if timeout else None)
    except BaseException:
        _end(process)
        raise
    if cut is not None:
        _end(process)
    status = process.wait()
    _end_group(process)
    return BuildResult(status=status, lines=tuple(_last_lines(bytes(output))), cut=cut)


def _read_output(
    process: subprocess.Popen[bytes], output: bytearray, directory: Path, deadline: float | None
) -> str | None:
    """Read until the process ends; return the reason if it must be ended."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    os.set_blocking(descriptor, False)
    least, checked = _least_free(directory), 0.0
    is_open = True
    with process.stdout:
        while True:
            has_ended = process.poll() is not None
            ready = select.select([descriptor], [], [], 0 if has_ended else _TICK)[0] if is_open else []
            block = os.read(descriptor, _BLOCK) if ready else b""
            output += block
            del output[:-_TAIL]
            if has_ended and not block:
                return None
            if ready and not block:
                is_open = False  # the build closed its output and may continue
            if not is_open and not has_ended:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_TICK)
            now = time.monotonic()
            if deadline is not None and now > deadline:
                return "it took longer than BRIDGE_BUILD_TIMEOUT allows"
            if now - checked > _TICK:
                checked = now
                if _free(directory) < least:
                    return "it filled the disk"


def _least_free(directory: Path) -> int:
    status = os.statvfs(directory)
    return min(_LEAST_FREE, status.f_blocks * status.f_frsize // 20)


def _free(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the sandbox and its processes: by SIGTERM first, so that a subreaper can end its descendants."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _last_lines(output: bytes) -> list[str]:
    text = _UNPRINTED.sub("", _ESCAPES.sub("", output.decode("utf-8", "replace").replace("\t", " ")))
    lines = [hidden(line.rstrip())[:_LONGEST_LINE] for line in text.splitlines() if line.strip()]
    return lines[-_LAST_LINES:]

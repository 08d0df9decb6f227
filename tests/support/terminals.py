"""Runs `bridge` on a pseudo-terminal, with someone who answers."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import selectors
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.command_line import clean_environment

__all__ = ["Seen", "on_terminal"]

_RUN = """
import json, os, sys
from bridge.cli import main
for words in json.loads(sys.argv[1]):
    status = main(words)
    print(f"[status {status}]", flush=True)
os._exit(status)  # an interpreter that used rattler may abort while it finalises
"""
_REACTION = 0.3  # seconds; a signal that comes just before a read begins does not end it
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ENDED = re.compile(r"\[status (-?\d+)\]\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What appeared on the terminal: of everything (`raw`), and of each command without control sequences."""

    status: int
    raw: str
    texts: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.texts[0] if self.texts else self.plain

    @property
    def plain(self) -> str:
        return _CONTROL.sub("", self.raw)


def on_terminal(
    *commands: Sequence[object],
    environ: Mapping[str, str],
    folder: Path,
    width: int = 80,
    answers: Sequence[tuple[str, bytes | signal.Signals]] = (),
    timeout: float = 120,
) -> Seen:
    """Run the commands one after another in one process whose standard streams are a terminal.

    :param answers: after a text has appeared, what is typed, or the signal that the process gets.
    """
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    words = json.dumps([[str(word) for word in command] for command in commands])
    environment = clean_environment() | {"TERM": "xterm-256color"} | dict(environ)
    for name in ("COLUMNS", "LINES", "NO_COLOR", "CI"):
        environment.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, words],
        stdin=end, stdout=end, stderr=end, env=environment, cwd=folder, start_new_session=True,
    )  # fmt: skip
    os.close(end)
    try:
        shown = _converse(terminal, process, list(answers), time.monotonic() + timeout)
    finally:
        os.close(terminal)
        process.kill()
        process.wait()
    raw = shown.decode("utf-8", "replace").replace("\r\n", "\n")
    parts = _ENDED.split(_CONTROL.sub("", raw))
    return Seen(status=process.returncode, raw=raw, texts=tuple(parts[:-1:2]))


def _converse(
    terminal: int, process: subprocess.Popen[bytes], answers: list[tuple[str, bytes | signal.Signals]], until: float
) -> bytes:
    shown, seen_to = b"", 0
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        while time.monotonic() < until:
            if not selector.select(0.5):
                continue
            try:
                block = os.read(terminal, 1 << 16)
            except OSError:  # The process has closed the terminal (Linux).
                process.wait(timeout=30)
                return shown
            shown += block
            if answers and (at := shown.find(answers[0][0].encode(), seen_to)) >= 0:
                seen_to = at + len(answers[0][0])
                _, answer = answers.pop(0)
                if isinstance(answer, signal.Signals):
                    time.sleep(_REACTION)
                    process.send_signal(answer)
                else:
                    os.write(terminal, answer)
    raise AssertionError(f"the commands did not end in time; the terminal shows\n{shown.decode('utf-8', 'replace')}")

"""Start to walk through an environment in other processes, before this one imports what an audit needs.

A warm audit is little more than that walk, and takes 25 ms to import what starts processes otherwise
(`bridge.fs.processes`), while the other processors have nothing to do: a tenth of its time. So this uses only modules
that Python has loaded anyway. `take` gives the walk to `bridge.audit.look.tree.walking`, which goes on as usual.
"""

from __future__ import annotations

import gc
import marshal
import os
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from bridge.audit.look.listed import Listed, read_listed
from bridge.audit.look.walker import Reader, digest_of, identity_of_records

__all__ = ["MANY", "Begun", "begin", "take"]

MANY = 64  # tasks from which other processes pay
# As in `bridge.fs.processes` and `bridge.fs.copies`.
_TOKEN, _MOST_TOKENS = struct.Struct("=II"), 1024
_LENGTH = struct.Struct("=Q")
_OTHERS = {"-h", "--help", "--checks", "-n", "--name"}  # options with which no prefix is walked, or another

_begun: Begun | None = None


class Begun:
    """A walk that was started early."""

    def __init__(self, prefix: str, listed: Listed) -> None:
        """Raises `OSError`."""
        self.prefix, self.started = prefix, time.time_ns()
        self.records = identity_of_records(prefix)
        self.read = Reader(prefix, listed)
        self.copies: list[tuple[int, int]] = []  # the processes, and where each answers
        self.tokens = -1  # of the tasks that nobody has taken yet

    def start(self, count: int) -> None:
        """Make the processes. Raises `OSError` if there can be none."""
        self.tokens, issuing = os.pipe()
        end, step = len(self.read), -(-len(self.read) // _MOST_TOKENS)
        with os.fdopen(issuing, "wb") as stream:
            stream.writelines(_TOKEN.pack(first, min(first + step, end)) for first in range(0, end, step))
        parent = os.getpid()
        with suppress(OSError):  # Those that there are, and this process, do the work.
            for _ in range(count):
                answers, answering = os.pipe()
                process = os.fork()
                if process == 0:
                    _work(self.read, self.tokens, answering, parent)
                os.close(answering)
                self.copies.append((process, answers))


def _work(read: Reader, tokens: int, answering: int, parent: int) -> None:
    """What `bridge.fs.copies.work` does. It never returns."""
    try:
        gc.disable()
        results, digests = {}, {}
        while (token := os.read(tokens, _TOKEN.size)) and os.getppid() == parent:
            for number in range(*_TOKEN.unpack(token)):
                with suppress(OSError):  # The parent repeats it and raises the same.
                    results[number] = rows = read(number)
                    digests[number] = digest_of(rows)
        with os.fdopen(answering, "wb") as stream:
            for answer in (digests, results):
                data = b"m" + marshal.dumps(answer)
                stream.write(_LENGTH.pack(len(data)) + data)
                stream.flush()
        os._exit(0)
    finally:
        os._exit(1)


def begin(words: Sequence[str], environ: Mapping[str, str]) -> None:
    """Start to walk through the environment that a command line names, if it is that of an audit."""
    global _begun  # noqa: PLW0603 - a process runs one command line
    named = environ.get("CONDA_PREFIX", "")
    for word, following in zip(words, (*words[1:], ""), strict=True):
        if word in {"-p", "--prefix"}:
            named = following
        elif word.startswith("--prefix="):
            named = word.partition("=")[2]
    # A pipe must not get the number of a stream that is closed.
    if words[:1] != ["audit"] or not named or _OTHERS & {*words} or None in {sys.stdin, sys.stdout, sys.stderr}:
        return
    with suppress(OSError):  # Whoever takes it, or walks without it, meets the same error.
        count = len(os.sched_getaffinity(0)) - 1 if sys.platform == "linux" else 0
        if not count or len(os.listdir("/proc/self/task")) > 1:  # A copy would inherit the locks of threads.
            return
        prefix = os.path.abspath(named)
        begun = Begun(prefix, {} if "--rehash" in words else read_listed(_reports(environ), prefix))
        if len(begun.read) >= MANY:
            begun.start(count)
            _begun = begun


def _reports(environ: Mapping[str, str]) -> str:
    """The directory of audits in the cache, unless a file says otherwise: then nothing is there."""
    home = environ.get("HOME") or os.path.expanduser("~")
    cache = environ.get("XDG_CACHE_HOME", "")
    cache = f"{cache if os.path.isabs(cache) else f'{home}/.cache'}/bridge"
    return f"{environ.get('BRIDGE_CACHE_DIR') or cache}/audit"


def take(prefix: str) -> Begun | None:
    """The walk that was started early through `prefix`, once. One through another prefix ends."""
    global _begun
    begun, _begun = _begun, None
    if begun is not None and begun.prefix != prefix:
        for process, answers in begun.copies:
            os.kill(process, 9)
            os.waitpid(process, 0)
            os.close(answers)
        os.close(begun.tokens)
        return None
    return begun

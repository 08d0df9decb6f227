"""Compiling what was staged: the environment's own interpreter makes the bytecode, several of it at a time.

The interpreter runs isolated and without site (`-I -S`), so that nothing of site-packages is imported; it only reads,
and what it answers is written here, by `bridge.fs`. Where it cannot be run there is no bytecode, and the reason is
told: a module works without.
"""

from __future__ import annotations

import json
import os
import select
import struct
import subprocess
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from bridge import fs
from bridge.faults import faults
from bridge.install.staging import bytecode_child
from bridge.model import Fingerprint

__all__ = ["Compiled", "Module", "compile_modules"]

_MAX_JOBS = 8
_MODULES_PER_JOB = 16  # below that, another interpreter costs more than it saves
_AHEAD = 4  # requests under way in one interpreter; few enough that their lines fit into a pipe
_PATIENCE = 60.0  # seconds for one module; what takes longer is left uncompiled
_MAX_BYTECODE = 1 << 30  # bytes of one module


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A source to compile: its prefix-relative path, and the time (seconds since the epoch) it will have in the prefix.

    `time` is `None` where that is the time of the staged file.
    """

    path: str
    time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Source path → the path of its bytecode and what was staged there; why there is none, where that is the system."""

    bytecode: Mapping[str, tuple[str, Fingerprint]] = field(default_factory=dict)
    problem: str = ""

    def of(self, sources: Iterable[str]) -> dict[str, Fingerprint]:
        """The bytecode of some sources: path → fingerprint."""
        return dict(self.bytecode[source] for source in sources if source in self.bytecode)


def compile_modules(
    interpreter: Path,
    modules: Iterable[Module],
    staging: Path,
    final: Path,
    *,
    taken: Collection[str] = (),
    jobs: int | None = None,
) -> Compiled:
    """Write the bytecode of staged modules beside them.

    :param final: the prefix that tracebacks are to name.
    :param taken: paths of bytecode that others bring: theirs stays.
    :param jobs: how many interpreters at most; by default one for each processor.

    A module that does not compile (a template, another python's syntax) has none, as with pip. With SOURCE_DATE_EPOCH
    set the bytecode is checked by hash and not by time, as `py_compile` has it. Raises as `bridge.fs.write_file`.
    """
    wanted = deque(modules)
    if not wanted:
        return Compiled()
    work = _Work(interpreter, wanted, staging, final, frozenset(taken))
    limit = jobs or min(_MAX_JOBS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    count = max(1, min(limit, len(wanted) // _MODULES_PER_JOB))
    try:
        if count == 1:
            found = dict(work.run())
        else:
            with ThreadPoolExecutor(count, thread_name_prefix="bridge-compile") as pool:
                runs = [pool.submit(work.run) for _ in range(count)]
                try:
                    found = {path: made for run in runs for path, made in run.result().items()}
                finally:
                    wanted.clear()  # Where one has failed, the others end with what they are at.
    except _UnusableError as error:
        return Compiled(problem=str(error))
    return Compiled(bytecode=found)


class _UnusableError(Exception):
    """The interpreter cannot be run; the text says why."""


class _Work:
    """What the workers share: the modules that are left."""

    def __init__(
        self, interpreter: Path, wanted: deque[Module], staging: Path, final: Path, taken: Collection[str]
    ) -> None:
        self.interpreter, self.wanted, self.staging, self.final, self.taken = interpreter, wanted, staging, final, taken
        self.is_by_hash = bool(os.environ.get("SOURCE_DATE_EPOCH"))

    def run(self) -> dict[str, tuple[str, Fingerprint]]:
        """Work until nothing is left; source path → what was made of it."""
        found: dict[str, tuple[str, Fingerprint]] = {}
        pending: deque[Module] = deque()
        with fs.WritableTree(self.staging) as tree:
            while pending or self.wanted:
                with _Interpreter(self.interpreter) as child:
                    again, pending = pending, deque()
                    while True:
                        self._ask(child, again, pending)
                        data = child.answer() if pending else None
                        if data is None:
                            break
                        module = pending.popleft()
                        path = _cached(module.path, child.tag)
                        if data and path not in self.taken:
                            found[module.path] = path, fs.write_file(tree, path, [data])
                    pending.extend(again)
                # The one it was at when it ended is to blame; those behind it are asked of another.
                if pending:
                    pending.popleft()
        return found

    def _ask(self, child: _Interpreter, again: deque[Module], pending: deque[Module]) -> None:
        while len(pending) < _AHEAD:
            try:
                module = again.popleft() if again else self.wanted.popleft()
            except IndexError:
                return
            pending.append(module)
            seconds: float | str | None = "by hash" if self.is_by_hash else module.time
            child.ask([str(self.staging / module.path), str(self.final / module.path), seconds])


def _cached(path: str, tag: str) -> str:
    """Where the bytecode of a source goes (PEP 3147)."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/__pycache__/{name[: -len('.py')]}.{tag}.pyc"


@final
class _Interpreter:
    """One run of the environment's interpreter. Raises `_UnusableError` where it does not start."""

    def __init__(self, interpreter: Path) -> None:
        command = [str(interpreter), "-I", "-S", "-B", "-W", "ignore", bytecode_child.__file__]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise _UnusableError(f"{interpreter} cannot be run: {error.strerror}") from error
        tag = self.answer()
        if not tag:
            self.__exit__()
            raise _UnusableError(f"{interpreter} does not run here")
        self.tag = tag.decode("ascii", "replace")

    def __enter__(self) -> _Interpreter:
        return self

    def __exit__(self, *_: object) -> None:
        # It holds nothing that it could lose.
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def ask(self, request: object) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # That it has ended is seen when its answer is read: there may be earlier ones.
            self._process.stdin.write(json.dumps(request).encode() + b"\n")

    def answer(self) -> bytes | None:
        """The next answer; `None` where it has ended, or takes too long."""
        until = time.monotonic() + _PATIENCE
        length = self._read(8, until)
        size = struct.unpack(">Q", length)[0] if length is not None else _MAX_BYTECODE + 1
        return self._read(size, until) if size <= _MAX_BYTECODE else None

    def _read(self, size: int, until: float) -> bytes | None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        ready = select.poll()
        ready.register(descriptor, select.POLLIN)
        blocks: list[bytes] = []
        with faults("the interpreter's answer"):
            while size:
                if not ready.poll(max(0.0, until - time.monotonic()) * 1000):
                    return None
                block = os.read(descriptor, min(size, 1 << 20))
                if not block:
                    return None
                blocks.append(block)
                size -= len(block)
        return b"".join(blocks)

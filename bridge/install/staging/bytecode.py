"""Compile staged modules with the environment's own interpreter, in several processes.

The interpreter runs isolated and without site (`-I -S`), so it imports nothing from site-packages; it only reads, and
`bridge.fs` writes its output. If it cannot run there is no bytecode, and the reason is reported: modules work without.
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
from dataclasses import field
from pathlib import Path
from typing import final

from bridge import fs
from bridge.faults import faults
from bridge.install.staging import bytecode_child
from bridge.model import Fingerprint
from converters.deferred import dataclass

__all__ = ["Compiled", "Module", "compile_modules"]

_MAX_JOBS = 8
_MODULES_PER_JOB = 16  # fewer do not pay for another interpreter
_AHEAD = 4  # pending requests of one interpreter; their lines must fit into a pipe
_PATIENCE = 60.0  # seconds for one module; slower ones stay uncompiled
_MAX_BYTECODE = 1 << 30  # bytes of one module


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A source to compile: its prefix-relative path, and its mtime in the prefix.

    `time` is `None` for the staged file's own.
    """

    path: str
    time: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Source path → bytecode path and staged fingerprint; `problem`: why the interpreter cannot run."""

    bytecode: Mapping[str, tuple[str, Fingerprint]] = field(default_factory=dict)
    problem: str = ""

    def of(self, sources: Iterable[str]) -> dict[str, Fingerprint]:
        """Return the bytecode of some sources: path → fingerprint."""
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

    :param final: the prefix that tracebacks name.
    :param taken: bytecode paths of other packages, which are skipped.
    :param jobs: maximum of interpreters; by default one per processor.

    A module that does not compile (a template, another python's syntax) gets none, as in pip. With SOURCE_DATE_EPOCH
    set the bytecode is checked by hash, not by time, as by `py_compile`. Raises as `bridge.fs.write_file`.
    """
    wanted = deque(modules)
    if not wanted:
        return Compiled()
    work = _Queue(interpreter, wanted, staging, final, frozenset(taken))
    limit = jobs or min(_MAX_JOBS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
    count = max(1, min(limit, len(wanted) // _MODULES_PER_JOB))
    try:
        if count == 1:
            compiled = dict(work.run())
        else:
            with ThreadPoolExecutor(count, thread_name_prefix="bridge-compile") as pool:
                runs = [pool.submit(work.run) for _ in range(count)]
                try:
                    compiled = {path: made for run in runs for path, made in run.result().items()}
                finally:
                    wanted.clear()  # If one failed, the others stop after their current module.
    except _UnusableError as error:
        return Compiled(problem=str(error))
    return Compiled(bytecode=compiled)


class _UnusableError(Exception):
    """The interpreter cannot run; the text is the reason."""


class _Queue:
    """The remaining modules, shared by all workers."""

    def __init__(
        self, interpreter: Path, wanted: deque[Module], staging: Path, final: Path, taken: Collection[str]
    ) -> None:
        self.interpreter, self.wanted, self.staging, self.final, self.taken = interpreter, wanted, staging, final, taken
        self.is_by_hash = bool(os.environ.get("SOURCE_DATE_EPOCH"))

    def run(self) -> dict[str, tuple[str, Fingerprint]]:
        """Compile until no module is left; return source path → its bytecode."""
        compiled: dict[str, tuple[str, Fingerprint]] = {}
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
                            compiled[module.path] = path, fs.write_file(tree, path, [data])
                    pending.extend(again)
                # The first pending module ended the interpreter; the others are sent to a new one.
                if pending:
                    pending.popleft()
        return compiled

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
    """Return the bytecode path of a source (PEP 3147)."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/__pycache__/{name[: -len('.py')]}.{tag}.pyc"


@final
class _Interpreter:
    """One process of the environment's interpreter. Raises `_UnusableError` if it does not start."""

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
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def ask(self, request: object) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # Its end shows when answers are read: earlier ones may be there.
            self._process.stdin.write(json.dumps(request).encode() + b"\n")

    def answer(self) -> bytes | None:
        """Return the next answer; `None` if the process ended or takes too long."""
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

"""Runs the tests that cover a mutant, each mutant in a child of its own."""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import Phase, settings

from tests.mutants.covering import Selection
from tests.mutants.sampling import Mutant, mutated
from tests.mutants.swapping import Functions

__all__ = ["Job", "Outcome", "Runner"]

_OPTIONS = ("-q", "-x", "--assert=plain", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:cov")
_LIBRARIES = (
    "hypothesis",
    "packaging",
    "requests",
    "rattler",
    "rich",
    "installer",
    "resolvelib",
    "yaml",
    "pysat.solvers",
)
_MAX_MEMORY = 6 << 30


@dataclass(frozen=True)
class Job:
    """A mutant and the tests for it."""

    mutant: Mutant
    selection: Selection


@dataclass(frozen=True)
class Outcome:
    """Whether a test noticed: `killed`, `timeout` (noticed, too), `survived`, `uncovered`, or `error`: not judged."""

    status: str
    killer: str | None
    seconds: float


class _FirstFailure:
    """Notes the first test that fails."""

    def __init__(self) -> None:
        self.test: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.test is None:
            self.test = report.nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """A failing example is enough; how small it can be made does not matter here."""
        settings.register_profile(
            "mutants", settings.get_profile("fixed"), phases=[Phase.explicit, Phase.generate], database=None
        )
        settings.load_profile("mutants")


class Runner:
    """Puts mutants into the files below `root` (a copy made for this) and runs tests of `root`."""

    def __init__(self, root: Path, report: Callable[[Job, Outcome], None]) -> None:
        self._root, self._report = root, report
        self._sound: set[str] = set()
        self._unsound: set[str] = set()
        self._written = 0
        for name in _LIBRARIES:
            with suppress(ImportError):
                importlib.import_module(name)

    def run(self, jobs: Sequence[Job]) -> None:
        """Run all jobs; first those for which nothing has to be imported anew."""
        for job in jobs:
            if not job.selection.tests:
                self._report(job, Outcome("uncovered", None, 0.0))
        cold = [job for job in jobs if job.selection.tests and job.selection.is_at_import]
        warm = [job for job in jobs if job.selection.tests and not job.selection.is_at_import]
        left = self._root / "left.json"
        if warm:
            left.unlink(missing_ok=True)
            child = os.fork()
            if child == 0:
                self._run_warm(warm, left)
            os.waitpid(child, 0)
            places = set(json.loads(left.read_text("utf-8")))
            cold += [job for job in warm if job.mutant.id in places]
        for job in cold:
            self._report(job, self._judge(job, partial(self._cold, job)))

    def _run_warm(self, jobs: Sequence[Job], left: Path) -> NoReturn:
        """In a child: collect the tests once, then fork for each mutant; note those that need a fresh import."""
        first = _FirstFailure()
        arguments = self._root / "tests.txt"
        files = sorted({test.partition("::")[0] for job in jobs for test in job.selection.tests})
        arguments.write_text("\n".join(files), "utf-8")
        loop = _Loop(self, jobs, first, left)
        status = pytest.main([*_OPTIONS, "-s", f"@{arguments}"], plugins=[first, loop])
        if not left.exists():
            print(f"the tests could not be collected: {status}", file=sys.stderr)
            left.write_text(json.dumps([job.mutant.id for job in jobs]), "utf-8")
        os._exit(0)

    def warm(self, job: Job, items: Mapping[str, pytest.Item], functions: Functions, first: _FirstFailure) -> bool:
        """Judge one mutant by tests that are collected already; `False`: it needs a fresh import."""
        source = (self._root / job.mutant.file).read_text("utf-8")
        fault = self._fault(job.mutant)
        seconds = dict(zip(job.selection.tests, job.selection.seconds, strict=True))

        def run(tests: Sequence[str], put: bool) -> Outcome:
            def body() -> int:
                if put and not functions.swap(job.mutant.file, source, fault):
                    return 3
                chosen = [items[test] for test in tests if test in items]
                for item, following in zip(chosen, [*chosen[1:], None], strict=True):
                    signal.setitimer(signal.ITIMER_VIRTUAL, 4 + 5 * seconds[item.nodeid])
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    if first.test is not None:
                        return 1
                return 0

            with self._on_disk(job.mutant, fault if put else source):
                return _in_child(body, first, self._limit(job))

        outcome = self._judge(job, run)
        if outcome.status == "fresh":
            return False
        self._report(job, outcome)
        return True

    def _judge(self, job: Job, run: Callable[[Sequence[str], bool], Outcome]) -> Outcome:
        """Run a mutant's tests; a test that fails without the mutant does not count, and is left out from then on.

        :param run: runs tests, with or without the mutant.
        """
        spent = 0.0
        while True:
            tests = [test for test in job.selection.tests if test not in self._unsound]
            outcome = run(tests, True)
            spent += outcome.seconds
            killer = outcome.killer
            if outcome.status != "killed" or killer is None or killer in self._sound:
                return Outcome(outcome.status, killer, round(spent, 2))
            if run([killer], False).status == "survived":
                self._sound.add(killer)
            else:
                self._unsound.add(killer)
                print(f"fails without a mutant: {killer}", file=sys.stderr)

    def _cold(self, job: Job, tests: Sequence[str], put: bool) -> Outcome:
        """Run tests by a process that imports everything anew."""
        first = _FirstFailure()
        arguments = self._root / "tests.txt"
        arguments.write_text("\n".join(tests), "utf-8")
        source = (self._root / job.mutant.file).read_text("utf-8")

        def body() -> int:
            status = pytest.main([*_OPTIONS, "-s", f"@{arguments}"], plugins=[first])
            return 0 if status == pytest.ExitCode.OK else 1

        with self._on_disk(job.mutant, self._fault(job.mutant) if put else source):
            return _in_child(body, first, 60.0 + self._limit(job))

    @staticmethod
    def _limit(job: Job) -> float:
        return 20.0 + 5 * sum(job.selection.seconds)

    def _fault(self, mutant: Mutant) -> str:
        return mutated((self._root / mutant.file).read_text("utf-8"), mutant)

    @contextmanager
    def _on_disk(self, mutant: Mutant, fault: str) -> Iterator[None]:
        """For tests that start the command: they import what lies on the disk."""
        path = self._root / mutant.file
        source = path.read_text("utf-8")
        times = path.stat()
        self._written += 1
        try:
            path.write_text(fault, "utf-8")
            # Bytecode is taken for that of the file by size and second: each mutant has a second of its own.
            os.utime(path, (times.st_mtime, 1_000_000_000 + os.getpid() * 1000 + self._written))
            yield
        finally:
            path.write_text(source, "utf-8")
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


class _Loop:
    """Takes the place of pytest's loop over tests."""

    def __init__(self, runner: Runner, jobs: Sequence[Job], first: _FirstFailure, left: Path) -> None:
        self._runner, self._jobs, self._first, self._left = runner, jobs, first, left

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        functions = Functions(session.config.rootpath)
        left = [job.mutant.id for job in self._jobs if not self._runner.warm(job, items, functions, self._first)]
        self._left.write_text(json.dumps(left), "utf-8")
        return True


def _in_child(body: Callable[[], int], first: _FirstFailure, limit: float) -> Outcome:
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix="mutant-"))
    mine, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            os.close(mine)
            _settle(scratch)
            status = body()
        finally:
            os.write(theirs, (first.test or "").encode())
            os._exit(status)
    os.close(theirs)
    descriptor = os.pidfd_open(child)
    is_late = not select.select([descriptor], [], [], limit)[0]
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(descriptor)
    with open(mine, "rb") as stream:
        os.set_blocking(stream.fileno(), False)
        killer = (stream.read() or b"").decode() or None
    shutil.rmtree(scratch, ignore_errors=True)
    name = (
        "timeout"
        if is_late
        else {0: "survived", 1: "killed", 3: "fresh", -signal.SIGVTALRM: "timeout"}.get(status, "error")
    )
    return Outcome(name, killer, round(time.monotonic() - started, 2))


def _settle(scratch: Path) -> None:
    """In the child: a process group, streams and temporary files of its own."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    os.environ["TMPDIR"] = os.environ["PYTEST_DEBUG_TEMPROOT"] = str(scratch)
    tempfile.tempdir = None

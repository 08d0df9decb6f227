"""`nox`: the suite on each python that this machine has, and the checks. Sessions reuse their environments (`-r`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests, on all cores, in a random order; arguments after `--` go to pytest."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", "-q", "-m", "", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session
def thorough(session: nox.Session) -> None:
    """What the suite samples, whole: faults at every call, and fresh examples of every property. Takes hours."""
    session.install("-e", ".[test]")
    environ = {"HYPOTHESIS_PROFILE": "search", "BRIDGE_THOROUGH": "1"}
    session.run(
        "python", "-m", "pytest", "-q", "-m", "", "-n", "auto", "--dist", "worksteal", *session.posargs, env=environ
    )
    session.run("python", "-m", "tests.fault.exhaustive")
    session.run("python", "-m", "tests.fault.crowd")


@nox.session
def lint(session: nox.Session) -> None:
    """What `.ci/run` checks beside the suite."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """The site, in `build/site`; `nox -s docs -- serve` shows it while you write."""
    session.install("-e", ".[docs]")
    session.run("mkdocs", *(session.posargs or ["build", "--strict"]), env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def mutants(session: nox.Session) -> None:
    """Faults put into a copy of the code, and whether the tests of `tests/unit` and `tests/scenarios` notice.

    Arguments after `--` go to `python -m tests.mutants`, as `--count 50 --seed 7`. `results.jsonl` is what came of it.
    """
    session.install("-e", ".[dev]")
    here, copy = Path.cwd(), Path(session.create_tmp()) / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(here, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "env", "env2"))
    data, seconds, out = copy / "coverage.sqlite", copy / "junit.xml", here / "results.jsonl"
    environ = {"BRIDGE_SHARED": str(here.parent / "shared"), "COVERAGE_FILE": str(data)}
    with session.chdir(copy):
        measure = ["--cov=bridge", "--cov=converters", "--cov-context=test", "--cov-report=", f"--junitxml={seconds}"]
        quiet = ["-q", "-m", "", "-n", "auto", "-p", "no:randomly", "-p", "no:cacheprovider"]
        # A test that fails here proves nothing later, and hinders nothing: what fails without a mutant does not count.
        folders = ["tests/unit", "tests/scenarios"]
        session.run("python", "-m", "pytest", *quiet, *measure, *folders, env=environ, success_codes=[0, 1])
        options = ["--data", str(data), "--seconds", str(seconds), "--out", str(out)]
        session.run("python", "-m", "tests.mutants", *options, *session.posargs, env=environ)


@nox.session
def manual(session: nox.Session) -> None:
    """The manual pages in `build/man/man1`, from the declarations of the commands."""
    session.install("-e", ".")
    session.run("python", "-m", "bridge.cli.manual", "build/man/man1")

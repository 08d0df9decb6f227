"""Checks of what is run: scripts and their interpreters, permissions, and python itself. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.finding import Finding, Level
from bridge.audit.look.inspection import Script
from bridge.audit.policy import is_kept_aside
from bridge.audit.view import View
from bridge.paths import ancestors
from converters.deferred import regex

_PYTHON = regex(r"(?:python|pypy)[\d.]*t?w?\Z")
_MINOR = regex(r"python(\d+\.\d+)t?\Z")


def foreign_shebang(view: View) -> Iterator[Finding]:
    """A script whose interpreter does not exist, or is the python of another environment.

    The system's own programs (`/bin/sh`, `/usr/bin/env`, `/usr/bin/perl`) are no finding.
    """
    for path, script in view.inspection.scripts.items():
        evidence, owner = _shebang_problem(view, script), view.owner(path)
        if evidence is None or (owner is None and (not view.is_environment or is_kept_aside(path))):
            continue
        commands: tuple[str, ...] = ()
        if owner is not None:
            is_moved = path in view.inspection.embedded
            commands = (repair.relocate(view, owner) if is_moved else ()) or repair.restore(view, owner)
        level: Level = "error" if owner is not None else "warning"
        yield Finding.of(owner, "foreign-shebang", level, path, evidence, repair=commands)


def is_foreign(view: View, path: str) -> bool:
    """Whether `foreign_shebang` reports the script at `path`."""
    script = view.inspection.scripts.get(path)
    return script is not None and _shebang_problem(view, script) is not None


def _shebang_problem(view: View, script: Script) -> str | None:
    interpreter, interpreters = script.interpreter, view.inspection.interpreters
    if script.is_inside:
        observed = view.observed.get(interpreter)
        if observed is not None and not observed.is_dangling and interpreters.get(interpreter, "exists") != "":
            return None
        # It may be below a linked directory, which was not walked.
        is_hidden = observed is None and any(view.is_linked(parent) for parent in ancestors(interpreter))
        return None if is_hidden else f"its interpreter {view.state.prefix / interpreter} does not exist"
    if not interpreter.startswith("/"):
        return f"its first line has the interpreter {interpreter!r}, not a path: it was not written for a prefix"
    if not view.inspection.outside.get(interpreter):
        return f"its interpreter {interpreter} does not exist"
    is_python = _PYTHON.match(posixpath.basename(interpreter)) is not None
    if is_python and view.is_environment and interpreter not in interpreters.values():
        return f"its interpreter {interpreter} is the python of another environment"
    return None


def not_executable(view: View) -> Iterator[Finding]:
    """A package's script in a directory of programs that the system will not run.

    A warning: pip leaves `.data/scripts` without the permission where the wheel has none.
    """
    for path in view.inspection.scripts:
        owner, observed = view.owner(path), view.observed.get(path)
        mode = observed.fingerprint.mode if observed else None
        if owner is not None and mode is not None and not mode & 0o111 and not view.target.is_windows:
            evidence = f"it begins with #!, but its mode {mode:04o} lets nobody run it"
            commands = repair.make_executable(view, path)
            yield Finding.of(owner, "not-executable", "warning", path, evidence, repair=commands)


def world_writable(view: View) -> Iterator[Finding]:
    """A package's file that every user of the machine may change."""
    for path in view.observed.writable:
        owner, mode = view.claims.by_path.owner(path), view.observed[path].fingerprint.mode
        if owner is not None:
            evidence = f"its mode {mode:04o} lets every user of this machine change it"
            commands = repair.forbid_others(view, path)
            yield Finding.of(owner, "world-writable", "warning", path, evidence, repair=commands)


def broken_kernel(view: View) -> Iterator[Finding]:
    """A kernel of Jupyter that names no program, or one that was moved or removed: notebooks do not start.

    Not reported for the record of a package, whose change is a modified file.
    """
    has_kernel = any(each.name == "ipykernel" for each in view.records.importable)
    for path, kernel in view.inspection.kernels.items():
        owner = view.owner(path)
        if kernel.is_there or owner is not None:
            continue
        is_python = _PYTHON.match(posixpath.basename(kernel.interpreter)) is not None
        if has_kernel and is_python:
            commands = repair.install_kernel(view, kernel)
        else:
            commands = repair.delete(view, posixpath.dirname(path))  # as `jupyter kernelspec remove` does
        evidence = "it does not say what to run, so that Jupyter leaves it out"
        evidence = f"its interpreter {kernel.interpreter} does not exist" if kernel.interpreter else evidence
        yield Finding.of(None, "broken-kernel", "warning", path, evidence, repair=commands)


def broken_interpreter(view: View) -> Iterator[Finding]:
    """A python that cannot run, or has another version than the site-packages.

    A virtual environment depends on an interpreter elsewhere, which may be removed or become another minor version.
    """
    for path, real in view.inspection.interpreters.items():
        if real == "":
            yield _interpreter(view, path, "its target does not exist: the python that it depends on was removed")
    venv = view.inspection.venv
    home = venv.get("home")
    if home and not view.inspection.outside.get(home):
        evidence = f"its home {home} does not exist: the python that it was created with was removed"
        yield _interpreter(view, "pyvenv.cfg", evidence)
    if not venv or view.state.python is None:
        return
    site = view.state.site_packages or ""
    for path, real in view.inspection.interpreters.items():
        match = _MINOR.match(posixpath.basename(real))
        if path in {"bin/python", "bin/python3"} and match and f"/python{match[1]}" not in f"/{site}":
            yield _interpreter(view, path, f"it runs python {match[1]}, which does not read the packages in {site}")
            return


def _interpreter(view: View, path: str, evidence: str) -> Finding:
    owner = view.owner(path)
    commands = repair.restore(view, owner) if owner is not None else ()
    return Finding.of(owner, "broken-interpreter", "error", path, evidence, repair=commands)

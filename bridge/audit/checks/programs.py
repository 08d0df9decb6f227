"""Checks of what is run: scripts and their interpreters, permissions, and the python itself. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.finding import Finding, Level, at_path
from bridge.audit.look.inspection import Script
from bridge.audit.policy import is_kept_aside
from bridge.audit.view import View

__all__ = ["broken_interpreter", "foreign_shebang", "is_foreign", "not_executable", "world_writable"]

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*t?w?\Z")
_MINOR = re.compile(r"python(\d+\.\d+)t?\Z")


def foreign_shebang(view: View) -> Iterator[Finding]:
    """A script whose interpreter is not there, or is a python of another environment.

    The system's own programs (`/bin/sh`, `/usr/bin/env`, `/usr/bin/perl`) are nobody's fault.
    """
    for path, script in view.inspection.scripts.items():
        said = _wrong_with(view, script)
        owner = view.owner(path)
        if said is None or (owner is None and (not view.is_environment or is_kept_aside(path))):
            continue
        is_moved = owner is not None and path in view.inspection.embedded
        repairs = repair.relocate(view, owner) if is_moved and owner is not None else ()
        level: Level = "error" if owner is not None else "warning"
        yield _of_path(view, "foreign-shebang", path, said, level=level, repairs=repairs or None)


def is_foreign(view: View, path: str) -> bool:
    """Whether `foreign_shebang` tells of the script at a path."""
    script = view.inspection.scripts.get(path)
    return script is not None and _wrong_with(view, script) is not None


def _wrong_with(view: View, script: Script) -> str | None:
    name = posixpath.basename(script.interpreter)
    if script.is_inside:
        path = script.interpreter
        found = view.observed.get(path)
        if found is not None and not found.is_dangling and view.inspection.interpreters.get(path, "there") != "":
            return None
        # It may be reached through a linked folder, which was not walked.
        is_hidden = found is None and any(view.is_linked(parent) for parent in _parents(path))
        return None if is_hidden else f"its interpreter {view.state.prefix / path} is not there"
    if not script.interpreter.startswith("/"):
        return f"its first line names {script.interpreter!r}, which is no path: it was not written for this prefix"
    if not view.inspection.outside.get(script.interpreter):
        return f"its interpreter {script.interpreter} is not there"
    if _PYTHON.match(name) and view.is_environment and script.interpreter not in view.inspection.interpreters.values():
        return f"it runs with {script.interpreter}, which is the python of another environment"
    return None


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def not_executable(view: View) -> Iterator[Finding]:
    """A script of a package, in the folder of programs, that the system will not run.

    pip leaves those so that a wheel brings in `.data/scripts` without the permission: a warning.
    """
    for path in view.inspection.scripts:
        owner, found = view.owner(path), view.observed.get(path)
        mode = found.fingerprint.mode if found else None
        if owner is None or mode is None or mode & 0o111 or view.target.is_windows:
            continue
        yield _of_path(
            view,
            "not-executable",
            path,
            f"it begins with #!, and its mode {mode:04o} lets nobody run it",
            level="warning",
            repairs=repair.make_executable(view, path),
        )


def world_writable(view: View) -> Iterator[Finding]:
    """A file of a package that everybody on the machine may change."""
    for path in view.observed.writable:
        owner, mode = view.claims.by_path.owner(path), view.observed[path].fingerprint.mode
        if owner is not None:
            said = f"its mode {mode:04o} lets everybody on this machine change it"
            yield Finding(
                id="world-writable",
                level="warning",
                package=owner.package,
                path=path,
                owner=owner.label,
                evidence=said,
                repair=repair.forbid_others(view, path),
            )


def broken_interpreter(view: View) -> Iterator[Finding]:
    """A python that cannot run, or is another than the one whose packages lie here.

    A virtual environment leans on an interpreter elsewhere: that may be removed, or become another minor version.
    """
    for path, real in view.inspection.interpreters.items():
        if real == "":
            yield _of_path(view, "broken-interpreter", path, "it leads to no program: what it leans on is gone")
    venv, outside = view.inspection.venv, view.inspection.outside
    home = venv.get("home")
    if home and not outside.get(home):
        said = f"its home {home} is not there: the python that it was made with was removed"
        yield _of_path(view, "broken-interpreter", "pyvenv.cfg", said)
    python = view.state.python
    if not venv or python is None:
        return
    for path, real in view.inspection.interpreters.items():
        match = _MINOR.match(posixpath.basename(real))
        site = view.state.site_packages or ""
        if path in {"bin/python", "bin/python3"} and match and f"/python{match[1]}" not in f"/{site}":
            said = f"it runs python {match[1]}; the packages lie in {site}, which that does not read"
            yield _of_path(view, "broken-interpreter", path, said)
            return


def _of_path(
    view: View, name: str, path: str, evidence: str, *, level: Level = "error", repairs: tuple[str, ...] | None = None
) -> Finding:
    owner = view.owner(path)
    if repairs is None:
        repairs = repair.restore(view, owner) if owner is not None else ()
    return at_path(owner, path, name, level, evidence, repairs)

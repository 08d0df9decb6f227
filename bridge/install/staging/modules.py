"""Which modules of a plan are compiled, and by which interpreter: decided from the plan, then done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge import fs
from bridge.install.manifest import site_packages_after
from bridge.install.staging.bytecode import Compiled, Module, compile_modules
from bridge.install.staging.task import Task
from bridge.model import Entry
from bridge.prefix.claims import claims, incoming, leaving

__all__ = ["compile_staged"]


def compile_staged(task: Task, staging: Path) -> Compiled:
    """Compile the modules of wheels and of noarch conda packages, as pip and conda do; others bring their bytecode.

    A prefix without a python, and a task that does not want it, has none. Raises as `bridge.fs.write_file`.
    """
    python, site = task.plan.python, site_packages_after(task.plan, task.state)
    if not task.compiles or python is None or site is None:
        return Compiled()
    brought = {entry.path for entries in task.predicted.values() for entry in entries}
    if task.judgement.shared:
        # A source that is shared with a package that stays may have its bytecode already, with a hash.
        standing = claims(task.state, without=leaving(task.plan))
        brought |= {path for path, held in standing.items() if any(claim.entry.fingerprint.sha256 for claim in held)}
    sources = sorted(set(_sources(task, site)))
    return compile_modules(
        _interpreter(task, staging),
        [Module(path=source, time=_standing_time(task, source, staging)) for source in sources],
        staging,
        task.plan.prefix,
        taken=brought,
    )


def _sources(task: Task, site: str) -> Iterator[str]:
    for resolved in incoming(task.plan):
        record = resolved.record
        if record.ecosystem == "wheel" or record.noarch == "python":
            yielded = task.judgement.yielded.get(record.identity, frozenset())
            for entry in task.predicted[record.identity]:
                if _is_module(entry, site) and entry.path not in yielded:
                    yield entry.path


def _is_module(entry: Entry, site: str) -> bool:
    return entry.path.endswith(".py") and entry.path.startswith(f"{site}/") and entry.fingerprint.kind == "file"


def _interpreter(task: Task, staging: Path) -> Path:
    """The python that will run the modules: the one that was staged, else the one that is there."""
    is_staged = any(
        resolved.record.name == "python" and resolved.record.ecosystem == "conda" for resolved in incoming(task.plan)
    )
    folder = (staging if is_staged else task.state.prefix) / "bin"
    major, minor = task.plan.python.minor if task.plan.python is not None else (0, 0)
    named = folder / f"python{major}.{minor}"
    return named if named.exists() else folder / "python"


def _standing_time(task: Task, source: str, staging: Path) -> float | None:
    """When the source was last changed, if the very same file is there already and stays; `None`: it is new."""
    if not task.state.installed:
        return None
    found = fs.fingerprint(task.state.prefix, source, hash=False)
    if found is None or found.kind != "file":
        return None
    if fs.fingerprint(task.state.prefix, source) != fs.fingerprint(staging, source):
        return None
    return (task.state.prefix / source).stat().st_mtime

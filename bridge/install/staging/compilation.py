"""Decide which modules of a plan to compile with which interpreter, and compile them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge import fs
from bridge.install.manifest import site_packages_after
from bridge.install.staging.bytecode import Compiled, Module, compile_modules
from bridge.install.staging.inputs import StageInputs
from bridge.model import Entry
from bridge.prefix.claims import claims_of, incoming, leaving

__all__ = ["compile_staged"]


def compile_staged(inputs: StageInputs, staging: Path) -> Compiled:
    """Compile the modules of wheels and noarch conda packages, as pip and conda do; others contain their bytecode.

    Does nothing without a python, or if not requested. Raises as `bridge.fs.write_file`.
    """
    python, site = inputs.plan.python, site_packages_after(inputs.plan, inputs.state)
    if not inputs.compiles or python is None or site is None:
        return Compiled()
    existing = {entry.path for entries in inputs.predicted.values() for entry in entries}
    if inputs.judgement.shared:
        # A source shared with a kept package may have recorded bytecode already.
        existing |= claims_of(inputs.state, without=leaving(inputs.plan)).by_path.hashed().keys()
    sources = sorted(set(_sources(inputs, site)))
    return compile_modules(
        _interpreter(inputs, staging),
        [Module(path=source, time=_kept_time(inputs, source, staging)) for source in sources],
        staging,
        inputs.plan.prefix,
        taken=existing,
    )


def _sources(inputs: StageInputs, site: str) -> Iterator[str]:
    for resolved in incoming(inputs.plan):
        record = resolved.record
        if record.ecosystem == "wheel" or record.noarch == "python":
            yielded = inputs.judgement.yielded.get(record.identity, frozenset())
            for entry in inputs.predicted[record.identity]:
                if _is_module(entry, site) and entry.path not in yielded:
                    yield entry.path


def _is_module(entry: Entry, site: str) -> bool:
    return entry.path.endswith(".py") and entry.path.startswith(f"{site}/") and entry.fingerprint.kind == "file"


def _interpreter(inputs: StageInputs, staging: Path) -> Path:
    """Return the python that will run the modules: the staged one, else the installed one."""
    is_staged = any(
        resolved.record.name == "python" and resolved.record.ecosystem == "conda" for resolved in incoming(inputs.plan)
    )
    root, layout = staging if is_staged else inputs.state.prefix, inputs.plan.target.layout
    named = root / layout.interpreter(inputs.plan.python) if inputs.plan.python is not None else root
    return named if named.is_file() else root / layout.scripts / "python"


def _kept_time(inputs: StageInputs, source: str, staging: Path) -> float | None:
    """Return the mtime of an identical installed source, which stays; `None` for a new one."""
    if not inputs.state.installed:
        return None
    installed = fs.fingerprint(inputs.state.prefix, source, hash=False)
    if installed is None or installed.kind != "file":
        return None
    if fs.fingerprint(inputs.state.prefix, source) != fs.fingerprint(staging, source):
        return None
    return (inputs.state.prefix / source).stat().st_mtime

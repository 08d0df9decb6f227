"""Which modules of a plan are compiled, and by which interpreter: decided from the plan, then done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bridge import fs
from bridge.install.manifest import site_packages_after
from bridge.install.staging.bytecode import Compiled, Module, compile_modules
from bridge.install.staging.inputs import StageInputs
from bridge.model import Entry
from bridge.prefix.claims import claims, incoming, leaving

__all__ = ["compile_staged"]


def compile_staged(inputs: StageInputs, staging: Path) -> Compiled:
    """Compile the modules of wheels and of noarch conda packages, as pip and conda do; others bring their bytecode.

    A prefix without a python, and a inputs that does not want it, has none. Raises as `bridge.fs.write_file`.
    """
    python, site = inputs.plan.python, site_packages_after(inputs.plan, inputs.state)
    if not inputs.compiles or python is None or site is None:
        return Compiled()
    brought = {entry.path for entries in inputs.predicted.values() for entry in entries}
    if inputs.judgement.shared:
        # A source that is shared with a package that stays may have its bytecode already, with a hash.
        standing = claims(inputs.state, without=leaving(inputs.plan))
        brought |= {path for path, held in standing.items() if any(claim.entry.fingerprint.sha256 for claim in held)}
    sources = sorted(set(_sources(inputs, site)))
    return compile_modules(
        _interpreter(inputs, staging),
        [Module(path=source, time=_standing_time(inputs, source, staging)) for source in sources],
        staging,
        inputs.plan.prefix,
        taken=brought,
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
    """The python that will run the modules: the one that was staged, else the one that is there."""
    is_staged = any(
        resolved.record.name == "python" and resolved.record.ecosystem == "conda" for resolved in incoming(inputs.plan)
    )
    directory = (staging if is_staged else inputs.state.prefix) / "bin"
    major, minor = inputs.plan.python.minor if inputs.plan.python is not None else (0, 0)
    named = directory / f"python{major}.{minor}"
    return named if named.exists() else directory / "python"


def _standing_time(inputs: StageInputs, source: str, staging: Path) -> float | None:
    """When the source was last changed, if the very same file is there already and stays; `None`: it is new."""
    if not inputs.state.installed:
        return None
    found = fs.fingerprint(inputs.state.prefix, source, hash=False)
    if found is None or found.kind != "file":
        return None
    if fs.fingerprint(inputs.state.prefix, source) != fs.fingerprint(staging, source):
        return None
    return (inputs.state.prefix / source).stat().st_mtime

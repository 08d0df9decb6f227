"""Link scripts of conda packages: which a plan would run, and running them (CEP 34; conda's `run_script`).

They are foreign code that writes where it likes, so they run only where a person allowed it, and between the swap and
the commit: one that fails undoes the whole change.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge import fs
from bridge import prefix as prefixes
from bridge.archive.conda import CondaManifest
from bridge.errors import FaultError
from bridge.install.manifest import Manifest
from bridge.model import Plan
from bridge.prefix.claims import incoming, leaving
from bridge.requirements.names import name_of
from converters.record import Record

__all__ = ["LinkScript", "Traces", "run_scripts", "scripts_of"]

_MESSAGES = ".messages.txt"  # below the prefix: what scripts say to the person
_SHOWN = 20  # last lines of a script that failed


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkScript:
    """A link script: `action` is conda's (`post-link`), `path` where it lies, prefix-relative."""

    record: Record
    action: str
    path: str

    def __str__(self) -> str:
        return f"{self.record.identity}: {self.path}"


def scripts_of(plan: Plan, manifests: Mapping[str, Manifest]) -> tuple[LinkScript, ...]:
    """Every link script that a plan touches: `pre-unlink` of what goes, then those of what comes.

    What comes is in the order in which packages need each other.
    """
    going = [old for old in leaving(plan) if old.record.ecosystem == "conda"]
    found = [
        LinkScript(record=old.record, action="pre-unlink", path=entry.path)
        for old in sorted(going, key=lambda old: old.record.name)
        for entry in old.entries
        if entry.path == f"bin/.{old.record.name}-pre-unlink.sh"
    ]
    for record in _in_order([each.record for each in incoming(plan)]):
        manifest = manifests.get(record.identity)
        for path in manifest.link_scripts if isinstance(manifest, CondaManifest) else ():
            name = path.rpartition("/")[2]
            action = next((each for each in ("post-link", "pre-link") if name == f".{record.name}-{each}.sh"), "")
            if action:
                found.append(LinkScript(record=record, action=action, path=f"bin/{name}"))
    return tuple(found)


def _in_order(records: Sequence[Record]) -> list[Record]:
    """Each after what it needs; where they need each other in a circle, by name."""
    by_name = {record.name: record for record in sorted(records, key=lambda record: record.name)}
    done: dict[str, Record] = {}
    agenda = [(name, False) for name in reversed(by_name)]
    begun: set[str] = set()
    while agenda:
        name, is_ready = agenda.pop()
        if is_ready:
            done.setdefault(name, by_name[name])
        elif name not in begun:
            begun.add(name)
            needs = set(map(name_of, by_name[name].requirements))
            agenda.append((name, True))
            agenda += [(need, False) for need in sorted(needs & by_name.keys(), reverse=True)]
    return list(done.values())


def run_scripts(prefix: Path, scripts: Iterable[LinkScript], action: str) -> tuple[str, ...]:
    """Run the scripts of one action in the order given; returns what they left to be said.

    Raises `FaultError` (`link-script-failed`) for the first that fails. Scripts run with PREFIX, PKG_NAME, PKG_VERSION
    and PKG_BUILDNUM in the environment and the prefix first on PATH, as conda runs them.
    """
    said: list[str] = []
    for script in scripts:
        if script.action == action:
            _run(prefix, script)
            said += _take_messages(prefix)
    return tuple(said)


def _run(prefix: Path, script: LinkScript) -> None:
    record = script.record
    environment = {
        **os.environ,
        "PREFIX": str(prefix),
        "CONDA_PREFIX": str(prefix),
        "ROOT_PREFIX": os.environ.get("CONDA_ROOT") or str(prefix),
        "PKG_NAME": record.name,
        "PKG_VERSION": record.version,
        "PKG_BUILDNUM": str(record.build_number),
        "PATH": os.pathsep.join([str(prefix / "bin"), os.environ.get("PATH", os.defpath)]),
    }
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    process = subprocess.Popen(
        [shell, str(prefix / script.path)],
        cwd=prefix / "bin",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode != 0:
        lines = output.decode("utf-8", "replace").splitlines()
        ended = f"exit status {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
        raise FaultError(
            "link-script-failed",
            f"the {script.action} script of {record.label} failed: {ended}",
            context=(f"script: {script.path}", *lines[-_SHOWN:]),
            hint="install without --allow-link-scripts, or tell the package's maintainer",
        )


def _take_messages(prefix: Path) -> list[str]:
    try:
        lines = (prefix / _MESSAGES).read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    with fs.WritableTree(prefix) as tree:
        tree.unlink(_MESSAGES)
    return [line for line in lines if line.strip()]


class Traces:
    """What lay in a prefix before scripts ran, to take away what they made when the change was undone."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._known = {path: (found.st_ino, found.st_size, found.st_mtime_ns) for path, found in prefixes.walk(prefix)}

    def remove(self) -> tuple[str, ...]:
        """Remove what is new. Returns the files that are not as they were: nobody kept what was in them."""
        found = dict(prefixes.walk(self._prefix))
        with fs.WritableTree(self._prefix) as tree:
            for path in sorted(found.keys() - self._known.keys(), reverse=True):
                if not tree.remove_directory(path):
                    tree.unlink(path)
        changed = [path for path, known in self._known.items() if path not in found or not _is_same(known, found[path])]
        return tuple(sorted(changed))


def _is_same(known: tuple[int, int, int], found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) or known == (found.st_ino, found.st_size, found.st_mtime_ns)

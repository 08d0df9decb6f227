"""Link scripts of conda packages: which ones a plan would run, and running them (CEP 34; conda's `run_script`).

They are foreign code that writes anywhere, so they run only if the user allowed it, between swap and commit: a failure
undoes the whole change.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bridge import fs
from bridge import prefix as prefixes
from bridge.archive.conda import CondaManifest
from bridge.errors import FaultError
from bridge.install.manifest import Manifest
from bridge.model import Plan
from bridge.prefix.claims import incoming, leaving
from bridge.requirements.names import name_of
from converters.deferred import dataclass
from converters.record import Record

__all__ = ["LinkScript", "Traces", "run_scripts", "scripts_of"]

_MESSAGES = ".messages.txt"  # below the prefix: messages to the user
_SHOWN = 20  # last lines of a failed script


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkScript:
    """A link script: `action` is conda's (`post-link`), `path` is prefix-relative."""

    record: Record
    action: str
    path: str

    def __str__(self) -> str:
        return f"{self.record.identity}: {self.path}"


def scripts_of(plan: Plan, manifests: Mapping[str, Manifest]) -> tuple[LinkScript, ...]:
    """Return every link script of a plan: `pre-unlink` of removed packages, then those of new ones by dependency."""
    layout = plan.target.layout
    suffix = ".bat" if layout.is_windows else ".sh"
    going = [old for old in leaving(plan) if old.record.ecosystem == "conda"]
    scripts = [
        LinkScript(record=old.record, action="pre-unlink", path=entry.path)
        for old in sorted(going, key=lambda old: old.record.name)
        for entry in old.entries
        if entry.path == f"{layout.scripts}/.{old.record.name}-pre-unlink{suffix}"
    ]
    for record in _in_order([each.record for each in incoming(plan)]):
        manifest = manifests.get(record.identity)
        for path in manifest.link_scripts if isinstance(manifest, CondaManifest) else ():
            name = path.rpartition("/")[2]
            action = next((each for each in ("post-link", "pre-link") if name == f".{record.name}-{each}{suffix}"), "")
            if action:
                scripts.append(LinkScript(record=record, action=action, path=f"{layout.scripts}/{name}"))
    return tuple(scripts)


def _in_order(records: Sequence[Record]) -> list[Record]:
    """Sort records after their dependencies; by name within a cycle."""
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
    """Run the scripts of one action in the given order; return their messages.

    Like conda, with PREFIX, PKG_NAME, PKG_VERSION and PKG_BUILDNUM set and the prefix first on PATH. Raises
    `FaultError` (`link-script-failed`) for the first failure.
    """
    messages: list[str] = []
    for script in scripts:
        if script.action == action:
            _run(prefix, script)
            messages += _take_messages(prefix)
    return tuple(messages)


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
            hint="install without --allow-link-scripts, or report it to the package's maintainer",
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
    """The state of a prefix before scripts ran, to undo what they did."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._known = {
            path: (status.st_ino, status.st_size, status.st_mtime_ns) for path, status in prefixes.walk(prefix)
        }

    def remove(self) -> tuple[str, ...]:
        """Remove new paths; return the files that changed, whose old content is lost."""
        current = dict(prefixes.walk(self._prefix))
        with fs.WritableTree(self._prefix) as tree:
            for path in sorted(current.keys() - self._known.keys(), reverse=True):
                if not tree.remove_directory(path):
                    tree.unlink(path)
        changed = [
            path for path, known in self._known.items() if path not in current or not _is_same(known, current[path])
        ]
        return tuple(sorted(changed))


def _is_same(known: tuple[int, int, int], status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) or known == (status.st_ino, status.st_size, status.st_mtime_ns)

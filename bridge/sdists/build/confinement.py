"""Which mechanisms of the sandbox work on this machine, tested by using them, and warnings about the rest."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import bridge
from bridge.errors import BuildError
from bridge.sdists.confine.request import LANDLOCK, MECHANISMS, NAMESPACES, SECCOMP, SUBREAPER, SandboxRequest

__all__ = ["available", "check", "command", "gaps"]

_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from bridge.sdists.confine import child; "
    "child.main(sys.stdin.read(), getattr(child, sys.argv[2]))"
)
_PATIENCE = 30.0  # seconds for a probe
_warned: set[str] = set()


def command(body: str) -> list[str]:
    """The command line of the sandbox, which reads its request from standard input."""
    root = str(Path(bridge.__file__).resolve().parents[1])
    return [sys.executable, "-I", "-B", "-c", _START, root, body]


@lru_cache(maxsize=16)
def available(mechanisms: tuple[str, ...] | None = None, *, network: bool = False) -> tuple[str, ...]:
    """Those of `mechanisms` (by default all) that work here; namespaces make the subreaper unnecessary."""
    mechanisms = MECHANISMS if mechanisms is None else mechanisms
    if not sys.platform.startswith("linux"):
        return ()
    best = tuple(name for name in mechanisms if name != SUBREAPER)
    if NAMESPACES in best and _works(best, network=network):
        return best
    # Test each alone, so that a missing one does not disable the others.
    working = tuple(name for name in mechanisms if _works((name,), network=network))
    return tuple(name for name in working if name != SUBREAPER) if NAMESPACES in working else working


def _works(mechanisms: tuple[str, ...], *, network: bool) -> bool:
    with tempfile.TemporaryDirectory(prefix="bridge-probe-") as directory:
        request = SandboxRequest(mechanisms=mechanisms, writable=directory, parent=os.getpid(), network=network)
        try:
            done = subprocess.run(
                command("probe"),
                input=request.text().encode(),
                cwd=directory,
                env={},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PATIENCE,
                check=False,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
    return done.returncode == 0


def gaps(mechanisms: Iterable[str], *, network: bool) -> list[str]:
    """What the code of a build could do here beyond docs/security.md, as phrases."""
    used = set(mechanisms)
    if NAMESPACES in used:
        return []
    phrases = []
    if LANDLOCK not in used:
        phrases += ["change any file that you can change", "read your credential files"]
    phrases.append("change modes, owners and times of your files")
    if SECCOMP not in used and not network:
        phrases.append("use the network")
    if SUBREAPER not in used:
        phrases.append("leave processes running")
    phrases.append("leave files in shared memory and reach local services by their sockets")
    return phrases


def check(
    mechanisms: Iterable[str], label: str, *, network: bool, is_required: bool, tell: Callable[[str], None]
) -> None:
    """Warn once about gaps of the sandbox; with `is_required` raise `BuildError` (`build-unconfined`) instead."""
    missing = gaps(mechanisms, network=network)
    if not missing:
        return
    text = "; ".join(missing)
    if is_required:
        raise BuildError(
            "build-unconfined",
            f"{label} would have to be built, and this machine cannot confine builds",
            context=[f"its code could {gap}" for gap in missing],
            hint="allow user namespaces, use a version that has a wheel, or unset BRIDGE_BUILD_CONFINEMENT",
        )
    if text not in _warned:
        _warned.add(text)
        tell(f"the build of {label} is only partly confined on this machine: its code could {text}")

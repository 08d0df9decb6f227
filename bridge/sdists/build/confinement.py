"""What this machine can keep the code of builds from, found out by trying it, and told before a build starts."""

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
_told: set[str] = set()


def command(body: str) -> list[str]:
    """The command line of the sandbox; its request goes to its standard input."""
    root = str(Path(bridge.__file__).resolve().parents[1])
    return [sys.executable, "-I", "-B", "-c", _START, root, body]


@lru_cache(maxsize=16)
def available(mechanisms: tuple[str, ...] | None = None, *, network: bool = False) -> tuple[str, ...]:
    """Those of `mechanisms` (by default all) that work here and are of use. Namespaces replace the subreaper."""
    mechanisms = MECHANISMS if mechanisms is None else mechanisms
    if not sys.platform.startswith("linux"):
        return ()
    best = tuple(name for name in mechanisms if name != SUBREAPER)
    if NAMESPACES in best and _works(best, network=network):
        return best
    # Each by itself: one that is missing does not take the others with it.
    found = tuple(name for name in mechanisms if _works((name,), network=network))
    return tuple(name for name in found if name != SUBREAPER) if NAMESPACES in found else found


def _works(mechanisms: tuple[str, ...], *, network: bool) -> bool:
    with tempfile.TemporaryDirectory(prefix="bridge-probe-") as folder:
        request = SandboxRequest(mechanisms=mechanisms, writable=folder, parent=os.getpid(), network=network)
        try:
            done = subprocess.run(
                command("probe"),
                input=request.text().encode(),
                cwd=folder,
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
    """What the code of a build can do here beyond what is promised, in words."""
    used = set(mechanisms)
    if NAMESPACES in used:
        return []
    found = []
    if LANDLOCK not in used:
        found += ["change any file that you can change", "read your credential files"]
    found.append("change modes, owners and times of your files")
    if SECCOMP not in used and not network:
        found.append("use the network")
    if SUBREAPER not in used:
        found.append("leave processes running")
    found.append("leave files in shared memory and reach local services by their sockets")
    return found


def check(
    mechanisms: Iterable[str], label: str, *, network: bool, is_required: bool, tell: Callable[[str], None]
) -> None:
    """Tell once what this machine does not keep builds from. Raises `BuildError` (`build-unconfined`) if it must."""
    found = gaps(mechanisms, network=network)
    if not found:
        return
    text = "; ".join(found)
    if is_required:
        raise BuildError(
            "build-unconfined",
            f"{label} would have to be built, and this machine cannot confine builds",
            context=[f"its code could {gap}" for gap in found],
            hint="allow user namespaces, use a version that has a wheel, or unset BRIDGE_BUILD_CONFINEMENT",
        )
    if text not in _told:
        _told.add(text)
        tell(f"the build of {label} is confined in part only on this machine: its code could {text}")

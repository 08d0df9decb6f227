"""The entry of the sandbox: up to three processes, the last of which runs the build backend, or another program.

The first enters the namespaces and waits. The second is init of the new pid namespace: it isolates files and drops
privileges, and the kernel ends all others with it. The third builds. Without namespaces there is no second process, and
the first is a subreaper.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable

from bridge.sdists.confine import landlock, namespaces, reaper, seccomp
from bridge.sdists.confine.kernel import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    capabilities_dropped,
    prctl,
)
from bridge.sdists.confine.request import LANDLOCK, NAMESPACES, NOT_CONFINED, SECCOMP, SUBREAPER, SandboxRequest
from converters.deferred import replace

__all__ = ["build", "main", "probe", "program"]

_LARGEST_FILE = 16 << 30  # bytes
_MOST_PROCESSES = 4096  # of a user other than root, in a user namespace


def main(text: str, body: Callable[[SandboxRequest], int]) -> None:
    """Run `body` confined as requested, and exit with its status."""
    request = SandboxRequest.of(text)
    if sys.platform == "linux":
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != request.parent:
            os._exit(1)  # the parent has exited
    try:
        status = _confined(request, body)
    except OSError as error:
        sys.stdout.write(f"the build cannot be confined: {error}\n")
        status = NOT_CONFINED
    sys.stdout.flush()
    os._exit(status)


def _confined(request: SandboxRequest, body: Callable[[SandboxRequest], int]) -> int:
    _set_limits(request)
    if NAMESPACES in request.mechanisms:
        hidden = (*request.hidden, *namespaces.listening_sockets())
        namespaces.enter(network=request.network)
        child = _fork(lambda: _first_process(replace(request, hidden=hidden), body))
        return reaper.exit_status(os.waitpid(child, 0)[1])
    if SUBREAPER in request.mechanisms:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGTERM, _end_all)
        child = _fork(lambda: _restricted(request, body))
        try:
            return reaper.wait_for(child)
        finally:
            reaper.end_descendants()
    return _restricted(request, body)


def _end_all(*_: object) -> None:
    reaper.end_descendants()
    os._exit(1)


def _set_limits(request: SandboxRequest) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, _LARGEST_FILE)
    if NAMESPACES in request.mechanisms and os.geteuid() != 0:
        _limit(resource.RLIMIT_NPROC, _MOST_PROCESSES)


def _limit(which: int, value: int) -> None:
    _, most = resource.getrlimit(which)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    resource.setrlimit(which, (value, value))


def _first_process(request: SandboxRequest, body: Callable[[SandboxRequest], int]) -> int:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    namespaces.isolate_files(request.all_writable, request.hidden, request.kept)
    capabilities_dropped()
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    return reaper.wait_for(_fork(lambda: _restricted(request, body)))


def _restricted(request: SandboxRequest, body: Callable[[SandboxRequest], int]) -> int:
    if sys.platform == "linux":
        capabilities_dropped()
    has_namespaces = NAMESPACES in request.mechanisms
    if LANDLOCK in request.mechanisms:
        landlock.restrict(request.all_writable, () if has_namespaces else request.hidden)
    if SECCOMP in request.mechanisms:
        seccomp.restrict(no_network=not request.network and not has_namespaces)
    return body(request)


def _fork(body: Callable[[], int]) -> int:
    """Start a child that runs `body` and exits with its status, or prints the `OSError`."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = body()
    except OSError as error:
        sys.stdout.write(f"the build cannot be confined: {error}\n")
        status = NOT_CONFINED
    finally:
        sys.stdout.flush()
        os._exit(status)


def probe(_: SandboxRequest) -> int:
    """Reached only if every mechanism works."""
    return 0


def build(request: SandboxRequest) -> int:
    """Build a wheel."""
    from bridge.sdists.confine.driver import run  # noqa: PLC0415 - not needed by `probe`

    return run(request)


def program(request: SandboxRequest) -> int:
    """Become another program."""
    os.execv(request.arguments[0], request.arguments)

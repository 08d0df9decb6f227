"""Runs `bridge` in children of a process that has imported it: to start an interpreter costs more than most commands.

A child is a process of its own with streams, working directory and environment as asked for. Two servers take turns, so
that two runs of one command differ in the seed of their hashes, as those of a person do.
"""

from __future__ import annotations

import array
import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import NoReturn, final

__all__ = ["MAX_MESSAGE", "ROOT", "Ended", "become", "preload", "run_in_child"]

ROOT = Path(__file__).resolve().parents[2]
MAX_MESSAGE = 1 << 16
# What these say is read when an interpreter starts.
_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "GLIBC_")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its status, negative for a signal, and what it wrote."""

    status: int
    out: bytes
    err: bytes
    is_late: bool = False


@final
class _Server:
    """One process that has imported `bridge`, and forks for each command."""

    def __init__(self) -> None:
        self.is_free = threading.Lock()
        self._owner = os.getpid()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
            self._process = subprocess.Popen(
                [sys.executable, "-X", "faulthandler", "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                env=environ,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

        atexit.register(self.close)

    def close(self) -> None:
        """Let the process end; it does when nobody holds the other end of its socket."""
        if self.is_ours:
            self._channel.close()
            self._process.wait()

    @property
    def is_ours(self) -> bool:
        """Whether this process started it; a copy of this process has to start its own."""
        return self._owner == os.getpid()

    def run(self, message: bytes, timeout: float) -> Ended:
        out, theirs_out = os.pipe()
        err, theirs_err = os.pipe()
        descriptors = array.array("i", [theirs_out, theirs_err])
        self._channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
        os.close(theirs_out)
        os.close(theirs_err)
        child = int(self._channel.recv(64))
        found, is_late = _read_all((out, err), child, timeout)
        return Ended(os.waitstatus_to_exitcode(int(self._channel.recv(64))), *found, is_late)


def _read_all(streams: tuple[int, int], child: int, timeout: float) -> tuple[tuple[bytes, bytes], bool]:
    """What was written to two pipes; after the timeout the child is told to say where it is, and to end."""
    found = {stream: bytearray() for stream in streams}
    until, is_late = time.monotonic() + timeout, False
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(max(0.0, until - time.monotonic())):
                data = os.read(key.fd, 1 << 16)
                found[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
                    os.close(key.fd)
            if time.monotonic() > until and selector.get_map():
                os.kill(child, signal.SIGKILL if is_late else signal.SIGABRT)
                until, is_late = until + 10, True
    return (bytes(found[streams[0]]), bytes(found[streams[1]])), is_late


_SERVERS: list[_Server] = []
_TURNS = cycle((0, 1))
_RUN_COLD: set[str] = set()


def run_in_child(
    words: Sequence[str], folder: Path, environ: Mapping[str, str], own: Mapping[str, str], timeout: float
) -> Ended | None:
    """Run a command in a child of a server; `None`: it is to be run by an interpreter of its own.

    That is so for the first run of each command in this process (what it imports is seen then), where variables concern
    the start of an interpreter, and where all servers are at work.

    :param own: those of `environ` that the test set.
    """
    command = words[0] if words else ""
    message = json.dumps({"words": list(words), "folder": str(folder), "environ": dict(environ)}).encode()
    if command not in _RUN_COLD:
        _RUN_COLD.add(command)
        return None
    if sys.platform != "linux" or len(message) > MAX_MESSAGE or any(name.startswith(_AT_START) for name in own):
        return None
    if not _SERVERS or not _SERVERS[0].is_ours:
        _SERVERS[:] = [_Server(), _Server()]
    server = _SERVERS[next(_TURNS)]
    if not server.is_free.acquire(blocking=False):
        return None
    try:
        return server.run(message, timeout)
    finally:
        server.is_free.release()


def preload() -> None:
    """Import what commands import: a child would import most of it anew, which takes longer than most commands."""
    for package in map(importlib.import_module, ("bridge", "converters")):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith("bridge.conda_plugin"):
                importlib.import_module(module.name)
    for name in ("rattler", "rich.progress", "rich.table", "asyncio", "difflib", "requests", "installer"):
        importlib.import_module(name)


def become(job: Mapping[str, object], out: int, err: int) -> NoReturn:
    """In the child: be `python -m bridge WORDS` in its folder."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, 64)
    os.chdir(str(job["folder"]))
    os.environ.clear()
    os.environ.update(job["environ"])  # type: ignore[call-overload]
    time.tzset()
    tempfile.tempdir = None
    sys.path[0] = os.getcwd()
    main = sys.modules["bridge.__main__"]
    sys.modules["__main__"] = main
    sys.argv = [str(main.__file__), *job["words"]]  # type: ignore[misc]
    main.run()
    os._exit(70)


def serve(channel: socket.socket) -> None:
    """Fork for each message until the other side is gone; answer with the child's id, and with its status."""
    preload()
    gc.freeze()
    assert len(os.listdir("/proc/self/task")) == 1, "a fork copies one thread alone"
    while True:
        message, ancillary, _, _ = channel.recvmsg(MAX_MESSAGE + 1024, socket.CMSG_SPACE(8))
        if not message:
            return
        out, err = array.array("i", ancillary[0][2])
        child = os.fork()
        if child == 0:
            become(json.loads(message), out, err)
        os.close(out)
        os.close(err)
        channel.send(str(child).encode())
        channel.send(str(os.waitpid(child, 0)[1]).encode())


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

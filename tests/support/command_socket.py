"""A server that runs `bridge` for the shell blocks of the documentation, and the program `bridge` that asks it.

To start an interpreter and to import bridge costs more than most commands; the server forks instead, as in
`tests.support.command_server`. Streams, working directory and environment are those of the program that asks.
"""

from __future__ import annotations

import array
import contextlib
import gc
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.command_server import MAX_MESSAGE, ROOT, become, preload

__all__ = ["serving", "write_program"]

_PROGRAM = """#!{python} -IS
import array, json, os, socket, sys
asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asking.connect({path!r})
job = {{"words": sys.argv[1:], "folder": os.getcwd(), "environ": dict(os.environ)}}
asking.sendmsg([json.dumps(job).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
sys.exit(int(asking.recv(64) or b"70"))
"""


@contextlib.contextmanager
def serving(path: Path) -> Iterator[None]:
    """A server at the socket `path`, until the block ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(path))
        listening.listen(16)
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listening.fileno())],
            cwd=ROOT, pass_fds=[listening.fileno()], stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def write_program(program: Path, path: Path) -> None:
    """Write a program that runs `bridge` by the server at `path`."""
    program.write_text(_PROGRAM.format(python=sys.executable, path=str(path)))
    program.chmod(0o755)


def serve(listening: socket.socket) -> None:
    """Fork for each connection: the child runs the command in a child of its own, and answers with its exit code."""
    preload()
    gc.freeze()
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            message, ancillary, _, _ = connection.recvmsg(MAX_MESSAGE, 1024)
            stdin, out, err = array.array("i", ancillary[0][2])
            child = os.fork()
            if child == 0:
                os.dup2(stdin, 0)
                become(json.loads(message), out, err)
            connection.send(str(_shell_status(os.waitpid(child, 0)[1])).encode())
            os._exit(0)
        connection.close()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _shell_status(status: int) -> int:
    """The exit code as a shell has it: 128 and the number of a signal."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

"""Runs workloads under the shim, each in a forked child. Started by `Server`, which talks to it by lines of JSON."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, final

from bridge import faults
from bridge.errors import BridgeError
from bridge.transaction.recovery import recover
from tests.fault.running import run_command
from tests.fault.workloads import WORKLOADS, run
from tests.support.command_server import preload

SHIM = Path(__file__).with_name("shim.c")
ROOT = Path(__file__).resolve().parents[2]
MODES = {"once": 0, "sticky": 1, "allocating": 2, "links": 3, "short": 4}


def build_shim(folder: Path) -> Path | None:
    """Compile the shim; `None` where there is no C compiler, or it is not Linux."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "shim.so"
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", library, SHIM, "-ldl"], check=True)
    return library


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a child ended: by `signal`, else with the id and exit code of its error (0: none). `calls` were counted."""

    signal: int = 0
    exit_code: int = 0
    error: str = ""
    calls: int = 0
    result: str = ""
    context: tuple[str, ...] = field(default=())


@final
class Server:
    """A process under the shim whose children do the work: an interpreter's start costs more than a workload."""

    def __init__(self, shim: Path, root: Path, variables: Mapping[str, str] | None = None) -> None:
        environment = {
            **os.environ,
            **(variables or {}),
            "LD_PRELOAD": os.fspath(shim),
            "FAULT_ROOT": os.fspath(root.resolve()),
        }
        # One run is like the other, to the byte of the journal.
        environment |= {"BRIDGE_FAILPOINT_SECONDS": "0", "BRIDGE_TXN_ID": "fixed", "BRIDGE_NOW": "1500000000"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.server"],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.__exit__(kind, error, tb)

    def run(
        self,
        prefix: Path,
        workload: str,
        *,
        failpoint: str = "",
        durability: str = "batched",
        at: int = 0,
        code: int = 0,
        mode: str = "once",
        log: Path | None = None,
    ) -> Outcome:
        """Run `workload` on `prefix` in a child, with a fault at the `at`-th call, or a failpoint.

        It is the name of a workload, or "recover", or the words of a command as JSON.
        """
        job = {"prefix": os.fspath(prefix), "workload": workload, "failpoint": failpoint, "durability": durability}
        job |= {"at": at, "code": code, "mode": mode, "log": os.fspath(log) if log else None}  # type: ignore[dict-item]
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Outcome(**{**answer, "context": tuple(answer.get("context", ()))})


def _work(job: Mapping[str, Any]) -> dict[str, object]:
    """In the child: what the error or the result was."""
    answer: dict[str, object] = {}
    try:
        prefix = Path(job["prefix"])
        if job["workload"] == "recover":
            answer["result"] = recover(prefix, lock_timeout=5, durability=job["durability"]).state
        elif job["workload"].startswith("["):
            answer = run_command(prefix, tuple(json.loads(job["workload"])), job["durability"])
        else:
            run(prefix, WORKLOADS[job["workload"]], job["durability"])
    except BridgeError as error:
        answer |= {
            "exit_code": error.exit_code,
            "error": error.id,
            "context": [error.message, *error.context, error.hint or ""],
        }
    except BaseException as error:  # noqa: BLE001 - reported, and asserted on by the test
        answer |= {"exit_code": -1, "error": f"{type(error).__name__}: {error}"}
    return answer


def _child(job: Mapping[str, Any], shim: ctypes.CDLL, pipe: int) -> None:
    faults.arm(job["failpoint"] or None)
    log = job["log"].encode() if job["log"] else None
    shim.fault_arm(ctypes.c_long(job["at"]), job["code"], MODES[job["mode"]], log)
    answer = _work(job)
    answer["calls"] = shim.fault_count()
    with open(pipe, "w") as stream:
        json.dump(answer, stream)
    os._exit(0)


def main() -> None:
    shim = ctypes.CDLL(None)
    shim.fault_count.restype = ctypes.c_long
    os.umask(0o022)
    if "BRIDGE_CHANNEL" in os.environ:  # the workloads are commands
        preload()
    gc.freeze()
    for text in sys.stdin:
        job = json.loads(text)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _child(job, shim, write)
        os.close(write)
        with open(read) as stream:
            answer = stream.read()
        status = os.waitpid(child, 0)[1]
        ended = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else json.loads(answer)
        print(json.dumps(ended), flush=True)


if __name__ == "__main__":
    main()

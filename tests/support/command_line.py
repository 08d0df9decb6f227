"""Running the `bridge` command in tests: a real process, real files, and an environment of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.command_server import run_in_child

__all__ = ["Bridge", "Ran", "clean_environment"]

_FOREIGN = ("BRIDGE_", "PIP_", "CONDA_", "PYTHON")


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - a JSON document is what it is
        return json.loads(self.out)


@dataclass(frozen=True)
class Bridge:
    """Runs `bridge` with one cache and one index; nothing of what the machine has configured plays a part."""

    cache: Path
    index: str | None
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_folder(cls, folder: Path, packages: Path | None = None, **environ: str) -> Bridge:
        """On the channel `channel` and the wheels in `wheels` below `packages` alone, without any index."""
        packages = packages or folder
        (packages / "wheels").mkdir(parents=True, exist_ok=True)
        own = {
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "BRIDGE_CHANNEL": str(packages / "channel"),
            "BRIDGE_FIND_LINKS": str(packages / "wheels"),
        }
        return cls(cache=folder / "cache", index=None, folder=folder, environ=own | environ)

    def __call__(self, *words: object, environ: Mapping[str, str] | None = None, timeout: float = 180) -> Ran:
        environment = clean_environment() | {"BRIDGE_CACHE_DIR": str(self.cache)}
        if self.index is not None:
            environment |= {"PIP_CONFIG_FILE": os.devnull, "BRIDGE_INDEX_URL": self.index}
        own = dict(self.environ) | dict(environ or {})
        ended = run_in_child([str(word) for word in words], self.folder, environment | own, own, timeout)
        if ended is not None:
            out, err = (data.decode().replace("\r\n", "\n") for data in (ended.out, ended.err))
            assert not ended.is_late, f"{words} did not end within {timeout} s\n{out}\n{err}"
            return Ran(ended.status, out, err)
        process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", "bridge", *map(str, words)],
            cwd=self.folder,
            env=environment | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # It tells then where each of its threads is.
            out, err = process.communicate()
            raise AssertionError(f"{words} did not end within {timeout} s\n{out}\n{err}") from None
        except BaseException:
            process.kill()
            raise
        return Ran(process.returncode, out, err)


def clean_environment() -> dict[str, str]:
    """The environment of this process, without what would steer bridge, pip, conda or python.

    No environment is entered in the list of the person who runs the tests, and that person's settings do not count.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {"CONDA_REGISTER_ENVS": "false", "BRIDGE_CONFIG_FILE": os.devnull}

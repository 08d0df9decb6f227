"""Enter environments in `~/.conda/environments.txt`, as conda does, and take them out (conda's `envs_manager`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bridge.config.condarc import CondaConfiguration
from bridge.config.environments import environments_file, registered
from bridge.errors import BridgeError
from bridge.fs import WritableTree, make_directories, publish_file

__all__ = ["register", "unregister"]


def register(prefix: Path, conda: CondaConfiguration, environ: Mapping[str, str]) -> None:
    """Add a prefix to the user's list, unless it is there or `register_envs` is off.

    One line is appended at once, so that two commands cannot lose each other's. A list that cannot be written is left
    as it is: the environment is complete without it.
    """
    path = environments_file(environ)
    if not conda.register_envs or str(prefix) in registered(path) or "\n" in str(prefix):
        return
    with suppress(BridgeError, OSError):
        make_directories(path.parent)
        is_cut = path.is_file() and not _ends_line(path)
        with WritableTree(path.parent) as tree:
            tree.append(path.name, b"\n" * is_cut + os.fsencode(prefix) + b"\n", sync=False)


def _ends_line(path: Path) -> bool:
    """Whether a file is empty or ends with a line feed."""
    with path.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def unregister(prefix: Path, environ: Mapping[str, str]) -> None:
    """Remove a prefix from the user's list. Raises `FaultError`."""
    path = environments_file(environ)
    lines = registered(path)
    if str(prefix) in lines:
        kept = [line for line in lines if line != str(prefix)]
        publish_file(path, [b"".join(line.encode("utf-8", "surrogateescape") + b"\n" for line in kept)])

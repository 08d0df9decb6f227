"""Read what python's `site` module reads at its start: `.pth`, `.egg-link` and `.start` files."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from bridge.audit.look.inspection import PathFile
from bridge.audit.look.observation import Observation
from converters.deferred import regex

__all__ = ["head_of", "lines_of", "path_files_of", "text_of"]

_MAX_TEXT = 1 << 20  # bytes of a .pth, a finder or pyvenv.cfg
_CODE = ("import ", "import\t")
_ENTRY_POINT = regex(r"([\w.]+):([\w.]+)\Z")
_HAS_START = (3, 15)  # the first python that reads .start files (PEP 829)


def path_files_of(
    root: Path, observed: Observation, sites: tuple[str, ...], minor: tuple[int, int] | None
) -> Iterator[tuple[str, PathFile]]:
    """Yield the path and the lines of each file in the site directories.

    :param minor: of the environment's python, which has to be 3.15 to call the entry points of `.start` files; then it
        executes no line of a `.pth` of the same name.
    """
    paths = [path for site in sites for path in observed.below(site) if observed.kind(path) != "directory"]
    started = {path.removesuffix(".start") for path in paths if path.endswith(".start")}
    started = started if minor is None or minor >= _HAS_START else set()
    for path in paths:
        stem = path.removesuffix(".pth")
        if path.endswith(".start") and path.removesuffix(".start") in started:
            yield path, PathFile(lines=tuple(_entry_points(root / path)))
        elif path.endswith((".pth", ".egg-link")):
            lines = _lines_in_force(root, path, executes=minor is None or stem not in started)
            yield path, PathFile(lines=tuple(lines)[:1] if path.endswith(".egg-link") else tuple(lines))


def _lines_in_force(root: Path, path: str, *, executes: bool) -> Iterator[str]:
    for line in lines_of(root / path):
        if not line.strip() or line.startswith("#") or "\0" in line:
            continue
        if not line.startswith(_CODE):
            # A directory is relative to the file's (`site.addpackage`).
            yield os.path.normpath(os.path.join(root, path.rpartition("/")[0], line.rstrip()))
        elif executes:
            yield line


def _entry_points(path: Path) -> Iterator[str]:
    """Yield the entry points of a `.start` file as the lines of a `.pth` that do the same."""
    for line in lines_of(path):
        if found := _ENTRY_POINT.match(line.strip()):
            yield f"import {found[1]}; {found[1]}.{found[2]}()"


def lines_of(path: Path) -> list[str]:
    """The lines as python reads them in text mode; `str.splitlines` also splits at characters that a path may have."""
    return re.split(r"\r\n|\r|\n", text_of(path))


def text_of(path: Path) -> str:
    """The beginning of a file as text; empty: it cannot be read."""
    return head_of(path, _MAX_TEXT).decode("utf-8-sig", "replace")


def head_of(path: Path, size: int = 8192) -> bytes:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(file, size) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(file)

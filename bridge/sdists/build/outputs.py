"""Read the untrusted files that a build leaves, without following symlinks."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["names", "open_output"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_NAMES = 10_000


def names(root: Path, directory: str) -> list[str]:
    """The names in a directory of `root`; none if it is a link or absent."""
    with _directory(root, [directory]) as descriptor:
        return [] if descriptor is None else os.listdir(descriptor)[:_MOST_NAMES]


@contextmanager
def open_output(root: Path, *parts: str) -> Iterator[BinaryIO | None]:
    """The regular file at `parts` below `root`; `None` for anything else."""
    *directories, name = parts
    with _directory(root, directories) as descriptor:
        file = None
        if descriptor is not None:
            with suppress(OSError):
                file = os.open(name, _FILE, dir_fd=descriptor)
        if file is not None and not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            file = None
        if file is None:
            yield None
            return
        with os.fdopen(file, "rb") as stream:
            yield stream


@contextmanager
def _directory(root: Path, directories: list[str]) -> Iterator[int | None]:
    with ExitStack() as stack:
        descriptor: int | None = None
        try:
            for name in (str(root), *directories):
                descriptor = os.open(name, _DIRECTORY, dir_fd=descriptor)
                stack.callback(os.close, descriptor)
        except OSError:
            descriptor = None
        yield descriptor

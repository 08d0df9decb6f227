"""What a build leaves, read as what it is: files of somebody whom nobody trusts. No symlink is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["names", "open_output"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST_NAMES = 10_000


def names(root: Path, folder: str) -> list[str]:
    """The names in a folder of `root`; none where it is a link, or nothing."""
    with _folder(root, [folder]) as descriptor:
        return [] if descriptor is None else os.listdir(descriptor)[:_MOST_NAMES]


@contextmanager
def open_output(root: Path, *parts: str) -> Iterator[BinaryIO | None]:
    """The regular file at `parts` below `root`; `None` for anything else that lies there."""
    *folders, name = parts
    with _folder(root, folders) as descriptor:
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
def _folder(root: Path, folders: list[str]) -> Iterator[int | None]:
    descriptor: int | None = None
    try:
        descriptor = os.open(root, _FOLDER)
        for folder in folders:
            below = os.open(folder, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        descriptor = None
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)

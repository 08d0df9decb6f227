"""Read files that the user names: on the command line, in the environment, in another file."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["read_named"]

_BLOCK = 1 << 20  # bytes read at a time
_PATIENCE = 10.0  # seconds without a byte


def read_named(path: Path, *, limit: int) -> bytes:
    """The content of a regular file, a pipe or the null device.

    :param limit: bytes; at most one more is read and returned.
    :raises OSError: `ETIMEDOUT` for a pipe without a writer, `EINVAL` for a path with NUL, or the system's error.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, "a NUL in its path", str(path)) from error
    with open(descriptor, "rb", buffering=0) as stream:
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
        blocks: list[bytes] = []
        left = limit + 1
        while left > 0:
            block = stream.read(min(left, _BLOCK))
            if block is None:  # There is a writer, but no data yet.
                import select  # noqa: PLC0415 - few files are pipes

                if not select.select([stream], [], [], _PATIENCE)[0]:
                    raise OSError(errno.ETIMEDOUT, "no process writes to the pipe", str(path))
                continue
            if not block:
                break
            blocks.append(block)
            left -= len(block)
        if is_pipe and not blocks:
            raise OSError(errno.ETIMEDOUT, "no process writes to the pipe", str(path))
        return b"".join(blocks)

"""The standard streams of the process, whatever the caller made of them: closed, full, or without UTF-8.

What a closed or full standard output makes of data is an error that a person is told, with exit status 7. What a
closed or full standard error makes of messages is nothing: a command goes on without them.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

from bridge.errors import FaultError

__all__ = ["flush", "is_unicode", "prepare"]

_MOST_DIGITS = 4  # of a terminal's columns
_MODES = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)  # by descriptor: writing to the second fails as if it were closed


class _Data(io.FileIO):
    """Standard output. The first write that the system refuses is an error of the command; what follows is dropped."""

    _is_lost = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self._is_lost:
            return memoryview(data).nbytes
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            raise
        except OSError as error:
            self._is_lost = True
            reason = "it is closed" if error.errno == errno.EBADF else os.strerror(error.errno or 0)
            raise FaultError(
                "output",
                f"the results cannot be written to standard output: {reason}",
                hint="what the command changed stays changed; give it an output that takes what it prints",
                objects={"errno": error.errno},
            ) from error


class _Messages(io.FileIO):
    """Standard error: messages that nobody can read are dropped."""

    def write(self, data: ReadableBuffer, /) -> int:
        with suppress(OSError):
            return super().write(data) or 0
        return memoryview(data).nbytes


def prepare() -> None:
    """Make the standard streams of this process usable.

    A descriptor of 0 to 2 that is closed is opened on the null device: else the next file that is opened gets its
    number, and whoever prints writes into that file. Characters that the encoding of a stream lacks are written as
    backslash escapes; in UTF-8 these are lone surrogates, of which JSON knows the escapes.
    """
    for descriptor, mode in enumerate(_MODES):
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, mode)
    if sys.stdin is None:
        sys.stdin = io.StringIO()
    for name in ("COLUMNS", "LINES"):
        # rich reads any digits as a size, and Python reads no number of more than 4300 of them.
        if len(os.environ.get(name, "")) > _MOST_DIGITS:
            del os.environ[name]
    sys.stdout = _text(_Data(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Messages(2, "w", closefd=False), sys.stderr, is_line_buffered=True)


def _text(raw: io.FileIO, replaced: TextIO | None, *, is_line_buffered: bool = False) -> TextIO:
    encoding = "utf-8" if replaced is None else replaced.encoding
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=is_line_buffered or raw.isatty()
    )


def is_unicode(stream: TextIO) -> bool:
    """Whether the encoding of a stream has every character."""
    try:
        return codecs.lookup(stream.encoding or "utf-8").name.startswith("utf")
    except LookupError:
        return False


def flush() -> None:
    """Write out what the streams hold.

    :raises FaultError: `output`: standard output does not take it.
    :raises BrokenPipeError: its reader went away.
    """
    sys.stderr.flush()
    sys.stdout.flush()

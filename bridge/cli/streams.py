"""Make the standard streams usable, even closed, full, or without UTF-8.

If standard output is closed or full, the command fails with exit status 7. Messages that standard error does not take
are dropped.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from bridge.errors import FaultError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["flush", "is_unicode", "prepare"]

_MOST_DIGITS = 4  # of a terminal's columns
_MODES = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)  # by descriptor; writes to 1 still fail


class _Data(io.FileIO):
    """Standard output: the first refused write is an error of the command; later output is dropped."""

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
                hint="changes that the command made remain; redirect the output to a writable place",
                objects={"errno": error.errno},
            ) from error


class _Messages(io.FileIO):
    """Standard error: messages that cannot be written are dropped."""

    def write(self, data: ReadableBuffer, /) -> int:
        with suppress(OSError):
            return super().write(data) or 0
        return memoryview(data).nbytes


def prepare() -> None:
    """Make the standard streams of this process usable.

    Closed descriptors 0 to 2 are opened on the null device; otherwise the next opened file would get such a number and
    receive what is printed. Characters that the encoding lacks (in UTF-8: lone surrogates) become backslash escapes.
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
        # rich converts any digits, and Python refuses numbers of more than 4300 digits.
        if len(os.environ.get(name, "")) > _MOST_DIGITS:
            del os.environ[name]
    sys.stdout = _text(_Data(1, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Messages(2, "w", closefd=False), sys.stderr, is_line_buffered=True)


def _text(raw: io.FileIO, replaced: TextIO | None, *, is_line_buffered: bool = False) -> TextIO:
    encoding = "utf-8" if replaced is None else str(sys._xoptions.get("bridge_streams", replaced.encoding))
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
    """Flush both streams. Raises `FaultError` (`output`) and `BrokenPipeError`."""
    sys.stderr.flush()
    sys.stdout.flush()

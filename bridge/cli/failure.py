"""Report the error of a failed command once, as text and with `--json` as a document, and choose the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from bridge.cli.declaring import COMMANDS
from bridge.cli.streams import flush
from bridge.errors import BridgeError, FaultError
from bridge.faults import fault

__all__ = ["Exit", "finish", "interrupted", "report", "unforeseen"]

_NO_THREAD = "can't start new thread"  # what `threading` raises


class Exit(Exception):  # noqa: N818 - not an error: everything is reported already
    """Ends the run with an exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def unforeseen(error: BaseException) -> FaultError:
    """Convert an unexpected exception. Only what the system did not cause becomes `internal`."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, OSError) and error.errno is not None and isinstance(error.filename, (str, bytes)):
        failure = fault(error, os.fsdecode(error.filename))
    elif isinstance(error, OSError) and error.errno is not None:
        failure = FaultError("io-error", f"the system refused an operation: {error.strerror}")
        try:
            os.getcwd()
        except FileNotFoundError:
            hint = "change to a directory that exists (`cd`) and run the command again"
            failure = FaultError("not-found", "the working directory does not exist any more", hint=hint)
    elif isinstance(error, MemoryError):
        failure = FaultError("no-memory", "the process is out of memory", hint="raise the limit (ulimit -v)")
    elif isinstance(error, RuntimeError) and text == _NO_THREAD:
        failure = FaultError(
            "no-threads", "the system starts no more threads for this process", hint="raise the limits (ulimit -u, -v)"
        )
    else:
        failure = FaultError(
            "internal",
            f"a bug in bridge: {type(error).__name__}{': ' if text else ''}{text}",
            hint="run it again with BRIDGE_DEBUG=1 and report it; `bridge recover` settles an interrupted change",
        )
    failure.__cause__ = error
    return failure


def interrupted() -> int:
    """End the line of an interrupted command, and return the exit status of shells for SIGINT."""
    sys.stderr.write("\n")
    return 130


def report(error: BridgeError, is_json: bool, typed: Sequence[str] = ()) -> int:
    """Print an error and return its exit status.

    :param typed: the words of the command line, for a hint that names the command.
    """
    from bridge.cli import documents
    from bridge.cli.next_steps import next_step
    from bridge.cli.render import Renderer

    command = next((word for word in typed if word in COMMANDS), None)
    if command is not None and (hint := next_step(error)) is not None:
        error.hint = hint.replace("bridge COMMAND --help", f"bridge {command} --help")
    render = Renderer(is_json=is_json, quiet=False, verbose=False, progress=False, color="auto")
    if os.environ.get("BRIDGE_DEBUG") == "1":
        import traceback

        from bridge.secrets import hidden

        sys.stderr.write(hidden("".join(traceback.format_exception(error))))
    if is_json:
        # If standard output is closed or full, the error must still reach standard error.
        with suppress(FaultError):
            render.document(documents.error(error))
    render.error(error)
    return error.exit_code


def finish(status: int) -> int:
    """Flush the output and return the exit status, which changes if that fails. Raises `BrokenPipeError`."""
    try:
        flush()
    except BridgeError as error:
        report(error, is_json=False)
        return status or error.exit_code
    return status

"""How a command that failed ends: the error told once, as text and with `--json` as a document, and its exit status."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click

from bridge.cli.streams import flush
from bridge.errors import BridgeError, FaultError, UsageError
from bridge.faults import fault

__all__ = ["Exit", "finish", "misused", "report", "unforeseen"]

_NO_THREAD = "can't start new thread"  # what `threading` raises


class Exit(Exception):  # noqa: N818 - a way out, not a fault: what was to be said has been said
    """Ends the run with an exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def unforeseen(error: BaseException) -> FaultError:
    """The error that a person is told in place of one that no code of bridge foresees.

    What the system refused is its fault and not one of bridge's: `internal` is left to everything else.
    """
    said = " ".join(str(error).split())[:500]
    if isinstance(error, OSError) and error.errno is not None and isinstance(error.filename, (str, bytes)):
        failure = fault(error, os.fsdecode(error.filename))
    elif isinstance(error, OSError) and error.errno is not None:
        failure = FaultError("io-error", f"the system refused what was to be done: {error.strerror}")
    elif isinstance(error, MemoryError):
        failure = FaultError("no-memory", "the process has no memory left", hint="raise the limit (ulimit -v)")
    elif isinstance(error, RuntimeError) and said == _NO_THREAD:
        failure = FaultError(
            "no-threads", "the system starts no more threads for this process", hint="raise the limits (ulimit -u, -v)"
        )
    else:
        failure = FaultError(
            "internal",
            f"a fault in bridge itself: {type(error).__name__}{': ' if said else ''}{said}",
            hint="run it again with BRIDGE_DEBUG=1 and report what it prints; `bridge recover` settles what was begun",
        )
    failure.__cause__ = error
    return failure


def report(error: BridgeError, is_json: bool) -> int:
    """Tell an error; returns the exit status."""
    from bridge.cli import documents
    from bridge.cli.render import Renderer

    render = Renderer(is_json=is_json, quiet=False, verbose=False, progress=False, color="auto")
    if os.environ.get("BRIDGE_DEBUG") == "1":
        import traceback

        from bridge.secrets import hidden

        sys.stderr.write(hidden("".join(traceback.format_exception(error))))
    if is_json:
        # A standard output that is closed or full must not keep the error from standard error.
        with suppress(FaultError):
            render.document(documents.error(error))
    render.error(error)
    return error.exit_code


def misused(error: click.ClickException, is_json: bool) -> int:
    """Tell what is wrong with the command line; returns the exit status."""
    if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 on; the message is the help
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    hint = "see `bridge --help`"
    context = getattr(error, "ctx", None)
    if context is not None:
        hint = f"see `{context.command_path} --help`"
    return report(UsageError("usage", error.format_message(), hint=hint), is_json)


def finish(status: int) -> int:
    """Write out what was printed; returns the exit status, which is another where that fails.

    :raises BrokenPipeError: the reader of standard output went away.
    """
    try:
        flush()
    except BridgeError as error:
        report(error, is_json=False)
        return status or error.exit_code
    return status

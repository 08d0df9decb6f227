"""One command line: parse, call, render, exit. Imported when a command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from bridge.cli.declaring import plain_call
from bridge.cli.failure import Exit, interrupted, report, unforeseen
from bridge.errors import BridgeError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """See `bridge.cli.main`."""
    words = list(arguments) if arguments is not None else None
    typed = words if words is not None else sys.argv[1:]
    try:
        call = plain_call(typed)
    except BridgeError as error:
        return _ended(error, typed)
    if call is None:  # What fails in this import is not the command's error.
        from bridge.cli.group import cli

        call = partial(cli.main, args=words, prog_name="bridge", standalone_mode=False)
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - `_ended` raises what ends the process
        return _ended(error, typed)
    return 0


def _ended(error: BaseException, typed: Sequence[str]) -> int:
    """Report what ended a command, and return the exit status."""
    is_json = "--json" in typed
    match error:
        case Exit():
            return error.status
        case BridgeError():
            return report(error, is_json, typed)
        case BrokenPipeError():
            return 141  # The reader has closed the pipe; 128 + SIGPIPE.
        case KeyboardInterrupt() | EOFError():
            return interrupted()
    if "click" in sys.modules:
        from bridge.cli.misuse import ended

        if (status := ended(error, typed, is_json)) is not None:
            return status
    if not isinstance(error, Exception):
        from bridge.channels.panics import is_panic

        if not is_panic(error):
            raise error
    return report(unforeseen(error), is_json)

"""One command line: parse, call, render, exit. Imported when a command runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

from bridge.channels.panics import is_panic
from bridge.cli.declaring import plain_call
from bridge.cli.failure import Exit, report, unforeseen
from bridge.errors import BridgeError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """See `bridge.cli.main`."""
    words = list(arguments) if arguments is not None else None
    typed = words if words is not None else sys.argv[1:]
    is_json = "--json" in typed
    try:
        call = plain_call(typed)
    except BridgeError as error:
        return report(error, is_json, typed)
    if call is None:
        from bridge.cli.group import cli

        call = partial(cli.main, args=words, prog_name="bridge", standalone_mode=False)
    try:
        call()
    except Exit as exit_:
        return exit_.status
    except BridgeError as error:
        return report(error, is_json, typed)
    except BrokenPipeError:
        return 141  # The reader has closed the pipe; 128 + SIGPIPE.
    except BaseException as error:
        if "click" in sys.modules:
            from bridge.cli.misuse import ended

            if (status := ended(error, typed, is_json)) is not None:
                return status
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        return report(unforeseen(error), is_json)
    return 0

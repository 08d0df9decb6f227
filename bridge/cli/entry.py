"""One command line: parse, call, render, exit. Imported when a command runs, since click is slow to import."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from bridge.channels.panics import is_panic
from bridge.cli.failure import Exit, misused, report, unforeseen
from bridge.cli.group import cli
from bridge.errors import BridgeError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """See `bridge.cli.main`."""
    words = list(arguments) if arguments is not None else None
    typed = words if words is not None else sys.argv[1:]
    is_json = "--json" in typed
    try:
        cli.main(args=words, prog_name="bridge", standalone_mode=False)
    except Exit as exit_:
        return exit_.status
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        return misused(error, typed, is_json)
    except BridgeError as error:
        return report(error, is_json, typed)
    except BrokenPipeError:
        return 141  # The reader has closed the pipe; 128 + SIGPIPE.
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        return report(unforeseen(error), is_json)
    return 0

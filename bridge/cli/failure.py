"""How a command that failed ends: the error told once, as text and with `--json` as a document, and its exit status."""

from __future__ import annotations

import os
import sys

from bridge.errors import BridgeError, FaultError

__all__ = ["told", "unforeseen"]


def unforeseen(error: Exception) -> FaultError:
    """An error that nothing in bridge foresees: a fault of bridge's own."""
    said = " ".join(str(error).split())[:500]
    failure = FaultError(
        "internal",
        f"a fault in bridge itself: {type(error).__name__}{': ' if said else ''}{said}",
        hint="run it again with BRIDGE_DEBUG=1 and report what it prints; `bridge recover` settles what was begun",
    )
    failure.__cause__ = error
    return failure


def told(error: BridgeError, is_json: bool) -> int:
    """Tell an error; returns the exit status."""
    from bridge.cli import documents
    from bridge.cli.render import Renderer

    render = Renderer(is_json=is_json, quiet=False, verbose=False, progress=False, color="auto")
    if os.environ.get("BRIDGE_DEBUG") == "1":
        import traceback

        from bridge.secrets import hidden

        sys.stderr.write(hidden("".join(traceback.format_exception(error))))
    if is_json:
        render.document(documents.error(error))
    render.error(error)
    return error.exit_code

"""The command line. `docs/command-line.md` is its contract.

`group` imports the declaration of a command when the command is used.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status. Reports every error instead of raising it.

    Only `SystemExit` passes through.
    """
    from bridge.cli import entry

    return entry.main(arguments)

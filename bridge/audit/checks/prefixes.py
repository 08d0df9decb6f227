"""Checks of the prefixes that are written into files: an environment that was moved, copied or unpacked elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.checks.programs import is_foreign
from bridge.audit.finding import Finding, at_path
from bridge.audit.view import View

__all__ = ["foreign_prefix", "rewritten_prefix"]


def foreign_prefix(view: View) -> Iterator[Finding]:
    """A file of a package that names the prefix the environment was moved or copied from."""
    for path, placed in view.inspection.embedded.items():
        owner = view.owner(path)
        if placed.is_here or owner is None or is_foreign(view, path):  # Of a script's first line that is told already.
            continue
        said = f"it names {placed.prefix}, where this environment was made; it is {view.state.prefix} now"
        yield at_path(owner, path, "foreign-prefix", "error", said, repair.relocate(view, owner))


def rewritten_prefix(view: View) -> Iterator[Finding]:
    """A file that is what its package has with this prefix written in, whose record has the hash for another prefix.

    conda-pack writes the new prefix into the files and leaves the records as they were.
    """
    for path, placed in view.inspection.embedded.items():
        owner = view.owner(path)
        if not placed.is_here or owner is None:
            continue
        said = "this prefix was written into it since; but for the prefix it is what its package has"
        yield at_path(owner, path, "rewritten-prefix", "info", said, repair.relocate(view, owner))

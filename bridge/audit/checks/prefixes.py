"""Checks of the prefix that is written into files: was the environment moved, copied or unpacked elsewhere? Pure."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.audit.checks import repair
from bridge.audit.checks.programs import is_foreign
from bridge.audit.finding import Finding
from bridge.audit.view import View


def foreign_prefix(view: View) -> Iterator[Finding]:
    """A file of a package, or a script of venv, with the prefix from which the environment was moved or copied."""
    for path, embedded in view.inspection.embedded.items():
        owner = view.owner(path)
        if embedded.is_here or owner is None or is_foreign(view, path):  # `foreign_shebang` reports the first lines.
            continue
        evidence = f"it contains {embedded.prefix}, where the environment was created; now it is {view.state.prefix}"
        yield Finding.of(owner, "foreign-prefix", "error", path, evidence, repair=repair.relocate(view, owner))

    for path, prefix in view.inspection.activated.items():
        evidence = f"it activates {prefix}, where the environment was created; now it is {view.state.prefix}"
        commands = repair.replace_text(view, path, prefix)
        yield Finding.of(view.owner(path), "foreign-prefix", "error", path, evidence, repair=commands)


def rewritten_prefix(view: View) -> Iterator[Finding]:
    """A file that has this prefix, and whose record has the hash for another prefix.

    conda-pack rewrites the prefix in the files and not the records; pipx adds options to the first line of scripts.
    """
    for path, embedded in view.inspection.embedded.items():
        owner = view.owner(path)
        if embedded.is_here and owner is not None:
            evidence = "this prefix or its first line was written after installation; the rest is its package's"
            yield Finding.of(owner, "rewritten-prefix", "info", path, evidence, repair=repair.relocate(view, owner))

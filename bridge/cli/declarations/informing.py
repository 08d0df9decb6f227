"""The declarations of what bridge says of itself: `info`, `completion`."""

from __future__ import annotations

import os

from bridge.cli.beginning import begin
from bridge.cli.declaring import argument, command
from bridge.cli.options import output, prefix, sources

_SHELLS = ("bash", "zsh", "fish")


@command()
@argument("shell", choices=_SHELLS, metavar="SHELL")
@output
def completion(shell: str, **options: object) -> None:
    """Print the completion script for SHELL: bash, zsh or fish.

    bash, zsh: `eval "$(bridge completion SHELL)"` in the start-up file; fish: into ~/.config/fish/completions.
    """
    from click.shell_completion import get_completion_class

    from bridge.cli.group import cli

    run = begin(options)
    completion_class = get_completion_class(shell)
    assert completion_class is not None, shell
    script = completion_class(cli, {}, "bridge", "_BRIDGE_COMPLETE")
    text = completion_class.source_template % script.source_vars()
    run.show(lambda: {"shell": shell, "script": text}, lambda: run.render.text(text))


@command()
@prefix
@sources
@output
def info(**options: object) -> None:
    """Show versions, the platform, channels, indexes, caches, and where each setting comes from."""
    from bridge.cli.commands.informing import information
    from bridge.config import OPTIONS

    run = begin(options)
    with run.session() as session:
        known = {key: value for key, value in options.items() if key in OPTIONS}
        facts = information(session, known, os.environ)
    run.show(facts.to_json, lambda: run.render.table(("", "value", "source"), facts.rows()))

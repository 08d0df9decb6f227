"""The declarations of what bridge says of itself: `info`, `completion`."""

from __future__ import annotations

import click

from bridge.cli.group import begin, cli
from bridge.cli.options import output

_SHELLS = ("bash", "zsh", "fish")


@cli.command()
@click.argument("shell", type=click.Choice(_SHELLS), metavar="SHELL")
@output
def completion(shell: str, **options: object) -> None:
    """Print the completion script for SHELL: bash, zsh or fish.

    bash, zsh: `eval "$(bridge completion SHELL)"` in the start-up file; fish: into ~/.config/fish/completions.
    """
    from click.shell_completion import get_completion_class

    run = begin(options)
    found = get_completion_class(shell)
    assert found is not None, shell
    script = found(cli, {}, "bridge", "_BRIDGE_COMPLETE")
    text = found.source_template % script.source_vars()
    run.show(lambda: {"shell": shell, "script": text}, lambda: run.render.text(text))

"""The declarations of `bridge env`."""

from __future__ import annotations

import os

from bridge.cli.group import begin, cli
from bridge.cli.options import output


@cli.group()
def env() -> None:
    """Show the environments that conda and bridge know."""


@env.command("list")
@output
def env_list(**options: object) -> None:
    """List the environments: those of conda's directories, and those that conda or bridge made elsewhere."""
    from bridge.cli.commands.environments import listing

    run = begin(options)
    found = listing(run.settings, os.environ)
    run.show(found.to_json, lambda: run.render.table(("name", "", "directory"), found.rows))

"""The commands that read an environment, the caches, or what bridge says of itself."""

from __future__ import annotations

import click

from bridge.cli.group import COMMANDS, begin, cli, document_of
from bridge.cli.options import output, prefix, sources
from bridge.errors import UsageError


@cli.command("list")
@prefix
@sources
@output
def list_(**options: object) -> None:
    """List the installed packages and where they came from."""
    from bridge.cli.commands import reading

    run = begin(options)
    with run.session() as session:
        packages = reading.inventory(run.prefix, session)
    run.show(packages.to_json, lambda: run.render.inventory(packages))


@cli.command()
@click.argument("path", metavar="PATH")
@prefix
@output
def owner(path: str, **options: object) -> None:
    """Show which packages own PATH."""
    from bridge.cli.commands import reading

    run = begin(options)
    ownership = reading.owner(run.prefix, path)
    run.show(ownership.to_json, lambda: run.render.ownership(ownership))


@cli.command()
@click.argument("package", metavar="NAME")
@prefix
@sources
@output
def why(package: str, **options: object) -> None:
    """Show why NAME is installed and why from its source."""
    from bridge.cli.commands import reading

    run = begin(options)
    with run.session() as session:
        reasons = reading.why(run.prefix, package, session)
    run.show(reasons.to_json, lambda: run.render.reasons(reasons))


@cli.command()
@click.option("--verify", is_flag=True, help="Read every archive and report damaged ones.")
@click.option("--prune", is_flag=True, help="Remove entries that are old, damaged or incomplete.")
@click.option("--older-than", metavar="DURATION", default="30d", show_default=True,
              help="With --prune: time since the last use (7d, 2 weeks; 0d: everything).")  # fmt: skip
@output
def cache(verify: bool, prune: bool, older_than: str, **options: object) -> None:
    """Show the location and size of the caches; --prune makes them smaller."""
    from bridge.cli.commands import caching

    run = begin(options)
    inspection = caching.cache(run.settings, verifies=verify, prunes=prune, older_than=older_than)
    run.show(inspection.to_json, lambda: run.render.cache(inspection, is_pruned=prune))


@cli.command()
@click.argument("command", metavar="COMMAND")
def schema(command: str) -> None:
    """Print the JSON schema of the output of COMMAND --json."""
    from importlib import resources

    from bridge.cli.render import Renderer

    path = resources.files("bridge") / "schemas" / f"{document_of(command)}.json"
    if not path.is_file():
        known = ", ".join(sorted(COMMANDS))
        raise UsageError("unknown-command", f"there is no command {command!r}", hint=f"one of {known}")
    Renderer(is_json=True, quiet=False, verbose=False, progress=False, color="never").text(path.read_text("utf-8"))

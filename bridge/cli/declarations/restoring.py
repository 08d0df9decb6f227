"""The commands that make an environment exactly what something else names, and the history of an environment."""

from __future__ import annotations

import click

from bridge.cli.group import begin, cli, show_applied
from bridge.cli.options import archives, changing, output, prefix, sources
from bridge.errors import UsageError


@cli.command()
@prefix
@output
def history(**options: object) -> None:
    """List the changes of an environment: date, command, and what came and went."""
    from bridge.cli.commands import restoring

    run = begin(options)
    found = restoring.history(run.prefix)
    run.show(found.to_json, lambda: run.render.table(restoring.COLUMNS, found.rows))


@cli.command()
@click.argument("revision", metavar="[N]", required=False)
@click.option("--last", is_flag=True, help="Undo the last change (the default without N).")
@prefix
@archives
@sources
@changing
@output
def rollback(revision: str | None, last: bool, dry_run: bool, **options: object) -> None:
    """Restore the packages of revision N, or undo the last change, in one transaction; see `bridge history`."""
    from bridge.cli.commands import restoring

    if last and revision is not None:
        raise UsageError("usage", "--last and a revision exclude each other", hint="give one of them")
    if revision is not None and not (revision.isascii() and revision.isdigit() and len(revision) <= 9):
        raise UsageError("usage", f"{revision!r} is not the number of a revision", hint="see: bridge history -p DIR")
    run = begin(options)
    with run.session() as session:
        number = None if revision is None else int(revision)
        applied = restoring.rollback(run.prefix, number, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)

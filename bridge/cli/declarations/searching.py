"""The declarations of the commands that ask channels and indexes for versions: `search`, `outdated`."""

from __future__ import annotations

import click

from bridge.cli.group import begin, cli
from bridge.cli.options import output, prefix, sources
from bridge.paths import quoted


@cli.command()
@click.argument("requirement", metavar="NAME_OR_REQ")
@prefix
@sources
@output
def search(requirement: str, **options: object) -> None:
    """Show what channels and indexes have of NAME, version by version, and what would be taken first.

    NAME may be a requirement (`numpy >=2`), or a pattern of conda names (`*torch*`). With -p or -n only what suits the
    python of that environment is taken.
    """
    from bridge.cli.commands import searching

    run = begin(options)
    path = run.prefix if run.settings.has_prefix else None
    with run.session() as session:
        if ("*" in requirement or "?" in requirement) and requirement.replace("*", "").replace("?", "").isidentifier():
            names = searching.search_names(requirement, session, path)
            run.show(names.to_json, lambda: run.render.lines(names.names))
            return
        offered = searching.search(requirement, session, path)
        rows, left = searching.rows(offered, is_whole=run.settings.verbose)
    run.show(offered.to_json, lambda: run.render.table(("version", "conda", "index", ""), rows))
    if left:
        run.render.note(f"… and {left} older versions; -v and --json show all")


@cli.command()
@prefix
@sources
@output
def outdated(**options: object) -> None:
    """Show which installed packages have newer versions, what an update would take, and what holds the rest back."""
    from bridge.cli.commands.outdated import outdated as find

    run = begin(options)
    with run.session() as session:
        outdated_packages = find(run.prefix, session)
    rows = [
        (each.name, each.installed, each.update or "-", each.newest, each.source, "; ".join(each.held_by))
        for each in outdated_packages.packages
    ]
    titles = ("package", "installed", "update", "newest", "from", "held back by")
    if rows or run.settings.json:
        run.show(outdated_packages.to_json, lambda: run.render.table(titles, rows))
    if not rows:
        run.render.note(f"{run.prefix}: every package is at its newest version")
    elif any(each.update for each in outdated_packages.packages):
        run.render.note(f"bridge update -p {quoted(run.prefix)} takes the column `update`")

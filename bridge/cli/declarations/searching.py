"""The declarations of the commands that ask channels and indexes for versions: `search`, `outdated`."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.cli.beginning import begin
from bridge.cli.completion import installed_names
from bridge.cli.declaring import argument, command, option
from bridge.cli.options import output, prefix, sources
from bridge.paths import quoted


@command()
@argument("requirement", metavar="NAME_OR_REQ")
@prefix
@option("-l", "--limit", least=1, metavar="N", help="Show the N newest versions, or"
              " the first N names of a pattern (default: 15; all with -v, --json).")  # fmt: skip
@sources
@output
def search(requirement: str, limit: int | None, **options: object) -> None:
    """Show what channels and indexes have of NAME, version by version, and what would be taken first.

    NAME may be a requirement (`numpy >=2`), or a pattern of conda names (`*torch*`). With -p or -n only what suits the
    python of that environment is taken.
    """
    from bridge.cli.commands import searching

    run = begin(options)
    path = run.prefix if run.settings.has_prefix else None
    with run.session() as session:
        if ("*" in requirement or "?" in requirement) and requirement.replace("*", "").replace("?", "").isidentifier():
            names = searching.search_names(requirement, session, path, limit)
            run.show(names.to_json, lambda: run.render.lines(names.names))
            return
        offered = searching.search(requirement, session, path)
        rows, left = searching.rows(offered, None if run.settings.verbose else limit or searching.SHOWN)
    run.show(lambda: offered.newest(limit).to_json(), lambda: run.render.table(("version", "conda", "index", ""), rows))
    if left:
        run.render.note(f"… and {left} older version{'s' * (left > 1)}; -v shows all")


@command()
@argument("names", nargs=-1, metavar="[NAME…]", shell_complete=installed_names)
@prefix
@sources
@output
def outdated(names: Sequence[str], **options: object) -> None:
    """Show which packages, or which of NAME…, have newer versions, what an update takes, and what holds them back."""
    from bridge.cli.commands.outdated import outdated as find

    run = begin(options)
    with run.session() as session:
        outdated_packages = find(run.prefix, session, names)
    rows = [
        (each.name, each.installed, each.update or "-", each.newest, each.source, "; ".join(each.held_by))
        for each in outdated_packages.packages
    ]
    titles = ("package", "installed", "update", "newest", "from", "held back by")
    if rows or run.settings.json:
        run.show(outdated_packages.to_json, lambda: run.render.table(titles, rows))
    if not rows:
        what = ", ".join(names) if names else "every package"
        run.render.note(f"{run.prefix}: {what} {'are at their' if len(names) > 1 else 'is at its'} newest version")
    elif any(each.update for each in outdated_packages.packages):
        words = " ".join(("-p", quoted(run.prefix), *names))
        run.render.note(f"bridge update {words} takes the column `update`")

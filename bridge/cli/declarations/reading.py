"""The commands that read an environment, the caches, or what bridge says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bridge.cli.failure import Exit
from bridge.cli.group import COMMANDS, begin, cli, document_of
from bridge.cli.options import lock, output, prefix, sources
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.audit.finding import Level


@cli.command()
@prefix
@click.option("--fail-on", type=click.Choice(["error", "warning", "info", "never"]), default="error",
              show_default=True, help="Exit with 11 for findings of this level or above.")  # fmt: skip
@click.option("--fix", is_flag=True, help="Show a plan, then repair in one transaction what is safe to repair.")
@click.option("--dry-run", is_flag=True, help="With --fix: print the plan and change nothing.")
@click.option("--override-frozen", is_flag=True, help="With --fix: repair an environment that is marked as frozen.")
@click.option("--html", metavar="FILE", type=click.Path(), help="Write a self-contained HTML report.")
@click.option("--sbom", "bills", multiple=True, metavar="FILE", type=click.Path(),
              help="Write a bill of materials: *.spdx.json is SPDX, *.json and *.xml are CycloneDX.")  # fmt: skip
@click.option("--online", is_flag=True, help="Also ask the package indexes which installed versions were yanked.")
@click.option("--rehash", is_flag=True, help="Read and hash every file again; ignore the results of the last audit.")
@lock
@sources
@output
def audit(
    fail_on: str,
    fix: bool,
    dry_run: bool,
    html: str | None,
    bills: Sequence[str],
    rehash: bool,
    online: bool,
    **options: object,
) -> None:
    """Check an environment: what is broken, which package or tool did it, and the command that repairs it."""
    from bridge.cli.commands import reading

    run = begin(options)
    with run.session() as session:
        found = reading.audit(run.prefix, session, is_fresh=rehash, is_online=online)
        if fix:
            from bridge.cli.commands import changes

            applied = changes.repair(run.prefix, found, session, is_dry_run=dry_run, show=run.render.repair)
            run.render.repaired(applied, is_dry_run=dry_run)
            found = found if dry_run else reading.audit(run.prefix, session)
        written = reading.write_audit(run.prefix, found, session, html=html, bills=bills)
    run.show(found.to_json, lambda: run.render.report(found))
    for path in written:
        run.render.note(f"written: {path}")
    floor: Level | None = None if fail_on == "never" else fail_on  # type: ignore[assignment]
    failure = found.failure(floor)
    if failure is not None:
        run.render.error(failure)
        raise Exit(failure.exit_code)


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

"""The command line: parse, call, render, exit. `docs/command-line.md` is its contract.

Each command imports its module when it runs: help and usage errors load no library that only a command needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bridge.channels.panics import is_panic
from bridge.cli.failure import Exit, misused, report, unforeseen
from bridge.cli.group import CHANGES, begin, cli, show_applied
from bridge.cli.options import Words, changing, level_of, lock, output, prefix, requirements, sources, wheel_sources
from bridge.errors import BridgeError, UsageError
from converters.compression import DEFAULT_LEVEL

if TYPE_CHECKING:
    from bridge.audit.finding import Level
    from bridge.convert.wheel import Format

__all__ = ["cli", "main"]


@cli.command()
@requirements
@sources
@output
@click.option("--batch", metavar="FILE.jsonl", type=click.Path(), help="Solve many requests, one per line.")
@click.option("--record", metavar="FILE", type=click.Path(), help="Also write the inputs of the solve, for a bug"
              " report.")  # fmt: skip
@click.option("--replay", metavar="FILE", type=click.Path(), help="Repeat a recorded solve, offline.")
def resolve(words: Words, batch: str | None, record: str | None, replay: str | None, **options: object) -> None:
    """Print the joint solution of REQ…; write nothing."""
    from bridge.cli.commands import solving
    from bridge.cli.commands.request import read_request

    run = begin(options)
    for option, path in (("--batch", batch), ("--replay", replay)):
        if path is not None and (words.requirements or words.files or record or (batch and replay)):
            message = f"{option} reads its requests from its file and cannot be combined with others"
            raise UsageError("usage", message, hint=f"give {option} alone")
    if batch is not None:
        with run.session() as session:
            for document in solving.resolve_batch(Path(batch), session):
                run.render.line(document)
        return
    if replay is not None:
        solution = solving.replay(Path(replay))
    else:
        request = read_request(words, run.settings.platform)
        with run.session(request) as session:
            solution = solving.resolve(request, session, Path(record) if record is not None else None)
    run.render.warn(solution.warnings)
    run.show(lambda: run.documents.resolution(solution), lambda: run.render.resolution(solution))


@cli.command()
@requirements
@prefix
@sources
@changing
@output
def create(words: Words, dry_run: bool, **options: object) -> None:
    """Create an environment with REQ… in it; it appears complete or not at all."""
    from bridge.cli.commands import changes
    from bridge.cli.commands.request import read_request

    run = begin(options)
    request = read_request(words, run.settings.platform)
    with run.session(request) as session:
        applied = changes.create(run.prefix, request, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)


@cli.command()
@requirements
@prefix
@sources
@changing
@output
def install(words: Words, dry_run: bool, **options: object) -> None:
    """Add REQ… to an environment in one transaction. Installed packages keep their versions where possible."""
    from bridge.cli.commands import changes
    from bridge.cli.commands.request import read_request

    run = begin(options)
    request = read_request(words, run.settings.platform)
    with run.session(request) as session:
        applied = changes.install(run.prefix, request, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME…]")
@prefix
@sources
@changing
@output
def update(names: Sequence[str], dry_run: bool, **options: object) -> None:
    """Update NAME…, or every package, to the newest versions that fit together."""
    from bridge.cli.commands import changes

    run = begin(options)
    with run.session() as session:
        applied = changes.update(run.prefix, names, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@prefix
@changing
@output
def remove(names: Sequence[str], dry_run: bool, **options: object) -> None:
    """Remove NAME… and the packages that were installed only for them."""
    from bridge.cli.commands import changes

    run = begin(options)
    with run.session() as session:
        applied = changes.remove(run.prefix, names, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME…]")
@prefix
@sources
@changing
@output
def adopt(names: Sequence[str], dry_run: bool, **options: object) -> None:
    """Write records for NAME…, or for everything that pip installed; their files do not change."""
    from bridge.cli.commands import changes

    run = begin(options)
    with run.session() as session:
        applied = changes.adopt(run.prefix, names, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)


@cli.command()
@requirements
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(), help="Write the packages to DIR.")
@click.option("--index", "has_index", is_flag=True, help="Also write the channel's repodata.")
@click.option("--with-deps", is_flag=True, help="Also convert the dependencies that no channel has (one joint solve).")
@click.option("--wheels-as-records", is_flag=True, help="Do not repack: write repodata v3 that points to the wheels.")
@click.option("--format", "archive_format", type=click.Choice(["conda", "tar.bz2"]), default="conda", show_default=True,
              help="Archive format.")  # fmt: skip
@click.option("--compression", metavar="LEVEL|best", default=str(DEFAULT_LEVEL), show_default=True,
              help="zstd level, 1 to 22, or `best` for packages that are downloaded often.")  # fmt: skip
@click.option("-j", "--jobs", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="Number of processes.")  # fmt: skip
@click.option("--dask", metavar="ADDRESS", help="Convert on the workers of a Dask scheduler.")
@click.option("--report", "report_file", metavar="FILE", type=click.Path(), help="Also write the JSON document to"
              " FILE.")  # fmt: skip
@wheel_sources
@output
def convert(
    words: Words,
    output: str,
    has_index: bool,
    with_deps: bool,
    wheels_as_records: bool,
    archive_format: str,
    compression: str,
    jobs: int,
    dask: str | None,
    report_file: str | None,
    **options: object,
) -> None:
    """Convert wheels to conda packages. REQ is a wheel, an sdist, a project directory or a requirement."""
    from bridge.cli.commands import conversion

    run = begin(options)
    level = level_of(compression)
    inputs = conversion.read_inputs(words, run.settings.platform, is_joint=with_deps)
    with run.session(inputs.request) as session:
        converted = conversion.convert(
            inputs,
            Path(output),
            session,
            has_index=has_index,
            archive_format=cast("Format", archive_format),
            level=level,
            workers=conversion.Workers(jobs=jobs, dask=dask),
            with_deps=with_deps,
            as_records=wheels_as_records,
        )
        if report_file is not None:
            conversion.write_report(Path(report_file), run.documents.conversion(converted))
    run.show(lambda: run.documents.conversion(converted), lambda: run.render.conversion(converted))
    for failure in converted.failures.values():
        run.render.error(failure)
    if converted.failures:
        raise Exit(max(failure.exit_code for failure in converted.failures.values()))


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
@click.argument("name", metavar="NAME")
@prefix
@sources
@output
def why(name: str, **options: object) -> None:
    """Show why NAME is installed and why from its source."""
    from bridge.cli.commands import reading

    run = begin(options)
    with run.session() as session:
        reasons = reading.why(run.prefix, name, session)
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
@prefix
@output
def recover(**options: object) -> None:
    """Finish or undo an interrupted transaction."""
    from bridge.cli.commands import changes

    run = begin(options)
    recovery = changes.recover(run.prefix)
    messages = {
        "nothing": f"{run.prefix}: no transaction was interrupted",
        "restored": f"{run.prefix}: undid transaction {recovery.transaction}; the environment is as it was before",
        "finished": f"{run.prefix}: finished transaction {recovery.transaction}, which had been committed",
    }
    run.show(
        lambda: {"prefix": str(run.prefix), "state": recovery.state, "transaction": recovery.transaction},
        lambda: run.render.note(messages[recovery.state]),
    )


@cli.command()
@click.argument("command", metavar="COMMAND")
def schema(command: str) -> None:
    """Print the JSON schema of the output of COMMAND --json."""
    from importlib import resources

    from bridge.cli.render import Renderer

    name = "change" if command in CHANGES else command
    path = resources.files("bridge") / "schemas" / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(cli.commands))
        raise UsageError("unknown-command", f"there is no command {command!r}", hint=f"one of {known}")
    Renderer(is_json=True, quiet=False, verbose=False, progress=False, color="never").text(path.read_text("utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status. Reports every error instead of raising it.

    Only what ends the process passes through: `KeyboardInterrupt` and `SystemExit`.
    """
    words = list(arguments) if arguments is not None else None
    is_json = "--json" in (words if words is not None else sys.argv)
    try:
        cli.main(args=words, prog_name="bridge", standalone_mode=False)
    except Exit as exit_:
        return exit_.status
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        return misused(error, is_json)
    except BridgeError as error:
        return report(error, is_json)
    except BrokenPipeError:
        return 141  # The reader has closed the pipe; 128 + SIGPIPE.
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        return report(unforeseen(error), is_json)
    return 0

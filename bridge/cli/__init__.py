"""The command line: parse, call, render, exit (the contract is in `docs/command-line.md`)."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bridge import __version__
from bridge.channels.panics import is_panic
from bridge.cli import commands
from bridge.cli.failure import Exit, misused, told, unforeseen
from bridge.cli.options import changing, level_of, lock, output, prefix, requirements, sources
from bridge.errors import BridgeError, UsageError
from converters.compression import DEFAULT_LEVEL

if TYPE_CHECKING:
    from bridge.audit.finding import Level
    from bridge.cli.run import Run
    from bridge.convert.wheel import Format

__all__ = ["main"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="bridge")
def cli() -> None:
    """Conda packages and PyPI wheels in one environment: one solve, one transaction, one audit.

    A requirement is a conda MatchSpec (`numpy >=2`) or PEP 508 (`torch[opt-einsum]>=2`); `conda:` and `pypi:` bind it.
    """


def _run(options: Mapping[str, object]) -> Run:
    """The run of one command. With it come the settings and all that prints."""
    from bridge.cli.run import Run

    return Run(options)


@cli.command()
@requirements
@sources
@output
@click.option("--batch", metavar="FILE.jsonl", type=click.Path(), help="Solve many requests, one per line.")
@click.option("--record", metavar="FILE", type=click.Path(), help="Also write all that the solve saw, for a report.")
@click.option("--replay", metavar="FILE", type=click.Path(), help="Repeat a recorded solve, from FILE alone.")
def resolve(
    requirements: Sequence[str],
    batch: str | None,
    record: str | None,
    replay: str | None,
    files: Sequence[str],
    file_extras: Sequence[str],
    file_groups: Sequence[str],
    **options: object,
) -> None:
    """Print the joint solution of REQ…; write nothing."""
    run = _run(options)
    for option, path in (("--batch", batch), ("--replay", replay)):
        if path is not None and (requirements or files or record or (batch and replay)):
            message = f"{option} takes its requests from its file, and no others beside them"
            raise UsageError("usage", message, hint="give that option alone")
    if batch is not None:
        with run.session() as session:
            for document in commands.resolve_batch(Path(batch), session):
                run.render.line(document)
        return
    if replay is not None:
        solved = commands.replay(Path(replay))
    else:
        asked = commands.asked(requirements, files, file_extras, file_groups)
        with run.session(asked) as session:
            solved = commands.resolve(asked, session, Path(record) if record is not None else None)
    run.render.warn(solved.warnings)
    run.show(lambda: run.documents.resolution(solved), lambda: run.render.resolution(solved))


@cli.command()
@requirements
@prefix
@sources
@changing
@output
def create(
    requirements: Sequence[str],
    files: Sequence[str],
    file_extras: Sequence[str],
    file_groups: Sequence[str],
    dry_run: bool,
    **options: object,
) -> None:
    """Make a new environment with REQ… in it, aside, and publish it by one rename."""
    run = _run(options)
    asked = commands.asked(requirements, files, file_extras, file_groups)
    with run.session(asked) as session:
        done = commands.create(run.prefix, asked, session, is_dry_run=dry_run)
    _show_outcome(run, done, dry_run)


@cli.command()
@requirements
@prefix
@sources
@changing
@output
def install(
    requirements: Sequence[str],
    files: Sequence[str],
    file_extras: Sequence[str],
    file_groups: Sequence[str],
    dry_run: bool,
    **options: object,
) -> None:
    """Add REQ… to an environment, in one transaction. What is there is kept where it can be."""
    run = _run(options)
    asked = commands.asked(requirements, files, file_extras, file_groups)
    with run.session(asked) as session:
        done = commands.install(run.prefix, asked, session, is_dry_run=dry_run)
    _show_outcome(run, done, dry_run)


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME…]")
@prefix
@sources
@changing
@output
def update(names: Sequence[str], dry_run: bool, **options: object) -> None:
    """Bring NAME…, or everything that was asked for, to the newest that fits together."""
    run = _run(options)
    with run.session() as session:
        done = commands.update(run.prefix, names, session, is_dry_run=dry_run)
    _show_outcome(run, done, dry_run)


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@prefix
@changing
@output
def remove(names: Sequence[str], dry_run: bool, **options: object) -> None:
    """Take NAME… away, and what came only for their sake."""
    run = _run(options)
    with run.session() as session:
        done = commands.remove(run.prefix, names, session, is_dry_run=dry_run)
    _show_outcome(run, done, dry_run)


@cli.command()
@click.argument("names", nargs=-1, metavar="[NAME…]")
@prefix
@sources
@changing
@output
def adopt(names: Sequence[str], dry_run: bool, **options: object) -> None:
    """Write records for NAME…, or for all that pip put there on its own; no file of it is changed."""
    run = _run(options)
    with run.session() as session:
        done = commands.adopt(run.prefix, names, session, is_dry_run=dry_run)
    _show_outcome(run, done, dry_run)


def _show_outcome(run: Run, done: commands.AppliedPlan, dry_run: bool) -> None:
    run.show(
        lambda: run.documents.outcome(done, is_dry_run=dry_run),
        lambda: run.render.plan(done.plan, is_dry_run=True) if dry_run else run.render.outcome(done),
    )


@cli.command()
@requirements
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(), help="Where the packages go.")
@click.option("--index", is_flag=True, help="Also write the channel's repodata.")
@click.option("--with-deps", is_flag=True, help="Also convert what they need and no channel has, by one solve.")
@click.option("--wheels-as-records", is_flag=True, help="Repack nothing: write repodata v3 that points to the wheels.")
@click.option("--format", "archive_format", type=click.Choice(["conda", "tar.bz2"]), default="conda", show_default=True,
              help="The archive's format.")  # fmt: skip
@click.option("--compression", metavar="LEVEL|best", default=str(DEFAULT_LEVEL), show_default=True,
              help="zstd's level, 1 to 22, or `best`, for what is downloaded often.")  # fmt: skip
@click.option("-j", "--jobs", metavar="N", type=click.IntRange(min=1), default=1, show_default=True,
              help="Processes that convert at the same time.")  # fmt: skip
@click.option("--dask", metavar="ADDRESS", help="Convert on the workers of a Dask scheduler.")
@click.option("--report", metavar="FILE", type=click.Path(), help="Also write the JSON document to FILE.")
@sources
@output
def convert(
    requirements: Sequence[str],
    output: str,
    index: bool,
    with_deps: bool,
    wheels_as_records: bool,
    archive_format: str,
    compression: str,
    jobs: int,
    dask: str | None,
    report: str | None,
    files: Sequence[str],
    file_extras: Sequence[str],
    file_groups: Sequence[str],
    **options: object,
) -> None:
    """Write the conda packages of wheels: files, folders of projects, requirements that the index serves."""
    run = _run(options)
    level = level_of(compression)
    projects = [Path(text) for text in requirements if Path(text).is_dir() and os.path.basename(text) != text]
    others = [text for text in requirements if Path(text) not in projects]
    others, unread = ([*others], ()) if with_deps or len(requirements) == 1 else commands.readable(others)
    if (projects or unread) and not others and not files:
        asked = commands.Asked(requirements=())
    else:
        asked = commands.asked(others, files, file_extras, file_groups)
    with run.session(asked) as session:
        found = commands.convert(
            asked,
            Path(output),
            session,
            has_index=index,
            archive_format=cast("Format", archive_format),
            level=level,
            workers=commands.Workers(jobs=jobs, dask=dask),
            with_deps=with_deps,
            as_records=wheels_as_records,
            projects=projects,
            unread=unread,
        )
        if report is not None:
            commands.write_report(Path(report), run.documents.conversion(found))
    run.show(lambda: run.documents.conversion(found), lambda: run.render.conversion(found))
    for failure in found.failures.values():
        run.render.error(failure)
    if found.failures:
        raise Exit(max(failure.exit_code for failure in found.failures.values()))


@cli.command()
@prefix
@click.option("--fail-on", type=click.Choice(["error", "warning", "info", "never"]), default="error",
              show_default=True, help="The level from which findings end with exit 11.")  # fmt: skip
@click.option("--fix", is_flag=True, help="Repair what is safe to repair, in one transaction, after showing the plan.")
@click.option("--dry-run", is_flag=True, help="With --fix: print the plan and change nothing.")
@click.option("--override-frozen", is_flag=True, help="With --fix: repair an environment that is marked as frozen.")
@click.option("--html", metavar="FILE", type=click.Path(), help="Write a page that shows all of it, self-contained.")
@click.option("--sbom", "bills", multiple=True, metavar="FILE", type=click.Path(),
              help="Write a bill of materials: *.spdx.json is SPDX, *.json and *.xml are CycloneDX.")  # fmt: skip
@click.option("--online", is_flag=True, help="Also ask the package indexes which installed versions were yanked.")
@click.option("--rehash", is_flag=True, help="Read everything again, whatever is remembered of the last audit.")
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
    """Tell who owns what in an environment, what is broken, who broke it, and the command that repairs it."""
    run = _run(options)
    with run.session() as session:
        found = commands.audit(run.prefix, session, is_fresh=rehash, is_online=online)
        if fix:
            done = commands.repair(run.prefix, found, session, is_dry_run=dry_run, show=run.render.repair)
            run.render.repaired(done, is_dry_run=dry_run)
            found = found if dry_run else commands.audit(run.prefix, session)
        written = commands.write_audit(run.prefix, found, session, html=html, bills=bills)
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
    """List what is installed, and from where."""
    run = _run(options)
    with run.session() as session:
        found = commands.inventory(run.prefix, session)
    run.show(found.to_json, lambda: run.render.inventory(found))


@cli.command()
@click.argument("path", metavar="PATH")
@prefix
@output
def owner(path: str, **options: object) -> None:
    """Tell who owns a file of an environment."""
    run = _run(options)
    found = commands.owner(run.prefix, path)
    run.show(found.to_json, lambda: run.render.ownership(found))


@cli.command()
@click.argument("name", metavar="NAME")
@prefix
@sources
@output
def why(name: str, **options: object) -> None:
    """Tell why a package is installed, and why from there."""
    run = _run(options)
    with run.session() as session:
        found = commands.why(run.prefix, name, session)
    run.show(found.to_json, lambda: run.render.reasons(found))


@cli.command()
@click.option("--verify", is_flag=True, help="Read every archive and name those that are damaged.")
@click.option(
    "--prune", is_flag=True, help="Remove what was not used for some time, is damaged, or was left half done."
)
@click.option("--older-than", metavar="DURATION", default="30d", show_default=True,
              help="With --prune: how long ago it was last used (7d, 2 weeks; 0d: everything).")  # fmt: skip
@output
def cache(verify: bool, prune: bool, older_than: str, **options: object) -> None:
    """Tell where the caches are and how large; --prune makes them smaller."""
    run = _run(options)
    found = commands.cache(run.settings, verifies=verify, prunes=prune, older_than=older_than)
    run.show(found.to_json, lambda: run.render.cache(found, is_pruned=prune))


@cli.command()
@prefix
@output
def recover(**options: object) -> None:
    """Finish or undo an interrupted transaction."""
    run = _run(options)
    found = commands.recover(run.prefix)
    said = {
        "nothing": f"{run.prefix}: no transaction was interrupted",
        "restored": f"{run.prefix}: transaction {found.transaction} was undone; it is as it was before",
        "finished": f"{run.prefix}: transaction {found.transaction} had been committed; it was finished",
    }
    run.show(
        lambda: {"prefix": str(run.prefix), "state": found.state, "transaction": found.transaction},
        lambda: run.render.note(said[found.state]),
    )


@cli.command()
@click.argument("command", metavar="COMMAND")
def schema(command: str) -> None:
    """Print the JSON schema of what COMMAND prints with --json."""
    from importlib import resources

    from bridge.cli.render import Renderer

    folder = resources.files("bridge") / "schemas"
    name = "change" if command in {"adopt", "create", "install", "remove", "update"} else command
    found = folder / f"{name}.json"
    if not found.is_file():
        known = sorted(cli.commands)
        raise UsageError("unknown-command", f"no command is called {command!r}", hint=f"one of {', '.join(known)}")
    Renderer(is_json=True, quiet=False, verbose=False, progress=False, color="never").text(found.read_text("utf-8"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status of the contract. Never raises but for `BRIDGE_DEBUG=1`."""
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
        return told(error, is_json)
    except BrokenPipeError:
        return 141  # the reader went away: as a program that SIGPIPE ended
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        return told(unforeseen(error), is_json)  # whatever it is, a person gets one clear error
    return 0

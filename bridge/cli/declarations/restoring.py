"""The commands that make an environment exactly what something else names, and the history of an environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bridge.cli.beginning import begin, show_applied
from bridge.cli.declaring import argument, command, option
from bridge.cli.options import archives, changing, locked_sources, names, output, part_of_lock, prefix
from bridge.errors import UsageError
from bridge.paths import LOCK_FILE


@command()
@prefix
@output
def history(**options: object) -> None:
    """List the changes of an environment: date, command, and what came and went."""
    from bridge.cli.commands import restoring

    run = begin(options)
    revisions = restoring.history(run.prefix)
    run.show(revisions.to_json, lambda: run.render.table(restoring.COLUMNS, revisions.rows, short=restoring.SHORT))


@command()
@argument("revision", metavar="[N]", required=False)
@option("--last", is_flag=True, help="Undo the last change (the default without N).")
@prefix
@archives
@locked_sources
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


@command()
@argument("lock", metavar="[LOCK]", required=False, type="path")
@option("--keep", is_flag=True, help="Remove nothing.")
@part_of_lock
@prefix
@archives
@locked_sources
@changing
@output
def sync(
    lock: str | None,
    keep: bool,
    file_extras: Sequence[str],
    file_groups: Sequence[str],
    file_environment: str | None,
    dry_run: bool,
    **options: object,
) -> None:
    """Make an environment exactly what LOCK says, in one transaction (default: ./bridge.lock); nothing is solved."""
    from bridge.cli.commands.settled import Settled, digest_of

    run = begin(options)
    path = run.settings.prefix or run.prefix
    digest = digest_of(Path(lock or LOCK_FILE))
    parts = (file_environment, tuple(file_extras), tuple(file_groups))
    settled = None if digest is None else Settled(run.settings, path, "sync", digest, parts, keep)
    applied = settled.recall() if settled is not None else None
    if applied is not None:
        run.warn(None)
    else:
        from bridge.cli.commands import syncing

        chosen = syncing.Chosen(path=lock, environment=file_environment, extras=file_extras, groups=file_groups)
        with run.session() as session:
            read = chosen.read_for(session)
            applied = syncing.sync(path, chosen, session, lock=read, keeps=keep, is_dry_run=dry_run)
        if settled is not None and not run.has_warned(None) and syncing.is_closed(read):
            settled.keep(applied)
    show_applied(run, applied, dry_run)


@command()
@argument("lock", metavar="[LOCK]", required=False, type="path")
@option("-o", "--output", metavar="DIR", required=True, type="path", help="Write the archives to DIR.")
@part_of_lock
@archives
@locked_sources
@output
def fetch(
    lock: str | None,
    output: str,
    file_extras: Sequence[str],
    file_groups: Sequence[str],
    file_environment: str | None,
    **options: object,
) -> None:
    """Write every archive that LOCK needs to a folder, from which `bridge sync --offline --from DIR` installs."""
    from bridge.cli.commands import fetching, syncing

    run = begin(options)
    chosen = syncing.Chosen(path=lock, environment=file_environment, extras=file_extras, groups=file_groups)
    with run.session() as session:
        fetched = fetching.fetch(chosen, Path(output), session)
    run.show(
        fetched.to_json, lambda: run.render.note(f"{output}: {len(fetched.files)} archives, {fetched.new} of them new")
    )


@command()
@argument("first", metavar="A", type="path")
@argument("second", metavar="B", type="path")
@option("--environment", "file_environment", metavar="NAME", help="Environment of the locks.")
@names
@output
def diff(first: str, second: str, file_environment: str | None, **options: object) -> None:
    """Compare two environments or locks: which packages B has more, less, or different."""
    from bridge.cli.commands import comparing

    run = begin(options)
    with run.session() as session:
        comparison = comparing.diff(first, second, session, environment=file_environment)
    rows = comparison.rows
    if rows or run.settings.json:
        run.show(comparison.to_json, lambda: run.render.table(comparing.COLUMNS, rows))
    else:
        run.render.note("no differences")

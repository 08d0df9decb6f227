"""The commands that change an environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bridge.cli.beginning import begin, packing_host, show_applied
from bridge.cli.completion import installed_names
from bridge.cli.declaring import argument, command, option
from bridge.cli.options import Words, archives, changing, locked_sources, output, prefix, requirements, sources
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.cli.commands.request import Request
    from bridge.cli.run import Run


@command()
@requirements
@option("--clone", metavar="ENV", help="With exactly the packages of this environment: a path or a name.")
@prefix
@archives
@sources
@changing
@output
def create(words: Words, clone: str | None, dry_run: bool, **options: object) -> None:
    """Create an environment with REQ… in it; it appears complete or not at all."""
    run = begin(options)
    # What packs it is another process, which begins before this one reads its modules and the requirements.
    host = packing_host(run.settings) if clone is None and not dry_run else None
    from bridge.cli.commands import changes
    from bridge.cli.commands.request import Request, read_request

    if clone is not None:
        from bridge.cli.commands import syncing

        if words.requirements or words.files or words.editables:
            hint = "clone first, then: bridge install -p DIR REQ…"
            raise UsageError("usage", "--clone takes the packages of ENV, and no requirements besides", hint=hint)
        with run.session() as session:
            applied = syncing.clone(
                run.new_prefix(Request(requirements=())), run.environment(clone), session, is_dry_run=dry_run
            )
        show_applied(run, applied, dry_run)
        return
    request = read_request(words, run.settings.platform, run.settings.cache_dir)
    with run.session(request) as session:
        session.host = host
        applied = changes.create(run.new_prefix(request), request, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)


@command()
@requirements
@prefix
@sources
@changing
@option("-U", "--upgrade", is_flag=True, help="Also update the packages that REQ… name, if they are installed.")
@output
def install(words: Words, dry_run: bool, upgrade: bool, **options: object) -> None:
    """Add REQ… to an environment in one transaction. Installed packages keep their versions where possible."""
    from bridge.cli.commands.settled import Settled

    run = begin(options)
    # What is known to do nothing by its words is not parsed; everything else decides by what it means.
    request = None if words.are_plain else _request(words, run)
    is_open = upgrade or (request is not None and request.is_open)
    settled = None if is_open else Settled(run.settings, run.prefix, "install", request or words.requirements)
    applied = settled.recall() if settled is not None else None
    if applied is not None:
        run.warn(request)
    else:
        from bridge.cli.commands import changes

        request = request or _request(words, run)
        with run.session(request) as session:
            applied = changes.install(run.prefix, request, session, is_dry_run=dry_run, upgrades=upgrade)
        if settled is not None and not run.has_warned(request):
            settled.keep(applied)
    show_applied(run, applied, dry_run)


def _request(words: Words, run: Run) -> Request:
    from bridge.cli.commands.request import read_request
    from bridge.prefix.platform import platform_of

    return read_request(words, run.settings.platform or platform_of(run.prefix), run.settings.cache_dir)


@command()
@argument("names", nargs=-1, metavar="[NAME…]", shell_complete=installed_names)
@prefix
@sources
@changing
@option("-a", "--all", is_flag=True, expose_value=False, hidden=True, help="As conda's: the default without NAME.")
@output
def update(names: Sequence[str], dry_run: bool, **options: object) -> None:
    """Update NAME…, or every package, to the newest versions that fit together."""
    from bridge.cli.commands import changes

    run = begin(options)
    with run.session() as session:
        applied = changes.update(run.prefix, names, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)
    if applied.plan.is_empty:
        run.render.note("to see what is newer, and what holds it back: bridge outdated")


@command()
@argument("names", nargs=-1, metavar="[NAME…]", shell_complete=installed_names)
@option("-r", "--requirements-file", "--file", "files", multiple=True, metavar="FILE", type="path",
              help="Remove what FILE names, if it is installed.")  # fmt: skip
@prefix
@locked_sources
@changing
@output
def remove(names: Sequence[str], files: Sequence[str], dry_run: bool, **options: object) -> None:
    """Remove NAME…, or what FILE names, and the packages that were installed only for them."""
    from bridge.cli.commands import changes

    if not names and not files:
        raise UsageError("usage", "no packages are named", hint="bridge remove NAME…, or bridge remove -r FILE")
    run = begin(options)
    listed: Sequence[str] = ()
    if files:
        from bridge.cli.commands.request import read_request
        from bridge.prefix.platform import platform_of

        read = read_request(Words(files=files), run.settings.platform or platform_of(run.prefix))
        listed = [each.name for each in read.requirements]
    with run.session() as session:
        applied = changes.remove(run.prefix, names, session, listed=listed, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)


@command()
@argument("names", nargs=-1, metavar="[NAME…]", shell_complete=installed_names)
@prefix
@locked_sources
@changing
@output
def adopt(names: Sequence[str], dry_run: bool, **options: object) -> None:
    """Write records for NAME…, or for everything that pip installed; their files do not change."""
    from bridge.cli.commands import changes

    run = begin(options)
    with run.session() as session:
        applied = changes.adopt(run.prefix, names, session, is_dry_run=dry_run)
    show_applied(run, applied, dry_run)


@command()
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

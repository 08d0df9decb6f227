"""The commands that read an environment, the caches, or what bridge says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.cli.beginning import begin
from bridge.cli.completion import installed_names
from bridge.cli.declaring import COMMANDS, argument, command, document_of, option
from bridge.cli.options import names, output, prefix
from bridge.errors import UsageError


@command("list")
@argument("pattern", required=False, metavar="[REGEX]")
@prefix
@names
@output
def list_(pattern: str | None, **options: object) -> None:
    """List the installed packages, or those whose name matches REGEX, and where they came from."""
    from bridge.cli.commands import reading

    run = begin(options)
    with run.session() as session:
        packages = reading.inventory(run.prefix, session, pattern)
    run.show(packages.to_json, lambda: run.render.inventory(packages))
    if pattern and not packages.rows:
        run.render.note(f"{run.prefix}: the name of no installed package matches {pattern!r}")


@command()
@argument("path", metavar="PATH")
@prefix
@output
def owner(path: str, **options: object) -> None:
    """Show which packages own PATH."""
    from bridge.cli.commands import reading

    run = begin(options)
    ownership = reading.owner(run.prefix, path)
    run.show(ownership.to_json, lambda: run.render.ownership(ownership))


@command()
@argument("package", metavar="NAME", shell_complete=installed_names)
@prefix
@names
@output
def why(package: str, **options: object) -> None:
    """Show why NAME is installed and why from its source."""
    from bridge.cli.commands import reading

    run = begin(options)
    with run.session() as session:
        reasons = reading.why(run.prefix, package, session)
    run.show(reasons.to_json, lambda: run.render.reasons(reasons))


@command()
@argument("packages", nargs=-1, metavar="[NAME…]", shell_complete=installed_names)
@option("-i", "--invert", is_flag=True, help="Show what requires NAME, up to what was requested.")
@option("--depth", metavar="N", least=0, help="Show N levels.")
@prefix
@names
@output
def tree(packages: Sequence[str], invert: bool, depth: int | None, **options: object) -> None:
    """Show which installed package requires which, from what was requested or from NAME… downwards."""
    from bridge.cli.commands import reading
    from bridge.cli.trees import drawn

    run = begin(options)
    with run.session() as session:
        forest = reading.tree(run.prefix, packages, session, is_inverted=invert)
    lines = drawn(forest.lines(depth), is_ascii=not run.render.is_unicode, width=run.render.width)
    run.show(forest.to_json, lambda: run.render.lines(lines))
    if not forest.roots:
        run.render.note(f"{run.prefix}: no packages are installed")


@command()
@argument("requirements", nargs=-1, metavar="[REQ…]", shell_complete=installed_names)
@option("--remove", "removed", multiple=True, metavar="NAME", help="Remove the pins of NAME.")
@option("--override-frozen", is_flag=True, help="Change an environment that is marked as frozen.")
@prefix
@output
def pin(requirements: Sequence[str], removed: Sequence[str], override_frozen: bool, **options: object) -> None:
    """Show the pins of an environment, or pin REQ…: every change keeps to them.

    REQ is a MatchSpec (`numpy 1.26.*`); a name alone pins the installed version.
    """
    from bridge.cli.commands import pinning

    run = begin(options)
    if requirements or removed:
        pins = pinning.change_pins(run.prefix, requirements, removed, is_forced=override_frozen)
    else:
        pins = pinning.read_pins(run.prefix)
    rows = [(each.spec, each.state) for each in pins.pins]
    if rows or run.settings.json:
        run.show(pins.to_json, lambda: run.render.table(("pin", "installed"), rows))
    else:
        run.render.note(f"{run.prefix}: no pins")


@command()
@option("--verify", is_flag=True, help="Read every archive and report damaged ones.")
@option("--prune", is_flag=True, help="Remove entries that are old, damaged or incomplete.")
@option("--older-than", metavar="DURATION", default="30d", show_default=True,
              help="With --prune: time since the last use (7d, 2 weeks; 0d: everything).")  # fmt: skip
@output
def cache(verify: bool, prune: bool, older_than: str, **options: object) -> None:
    """Show the location and size of the caches; --prune makes them smaller."""
    from bridge.cli.commands import caching
    from bridge.fetch.waiting import shown

    run = begin(options)
    with run.render.progress() as progress, shown(progress if verify or prune else None, "reading the cache"):
        inspection = caching.cache(run.settings, verifies=verify, prunes=prune, older_than=older_than)
    run.show(inspection.to_json, lambda: run.render.cache(inspection, is_pruned=prune))


@command()
@argument("command", metavar="COMMAND")
def schema(command: str) -> None:
    """Print the JSON schema of the output of COMMAND --json."""
    from importlib import resources

    from bridge.cli.render import Renderer

    path = resources.files("bridge") / "schemas" / f"{document_of(command)}.json"
    if not path.is_file():
        known = ", ".join(sorted(COMMANDS))
        raise UsageError("unknown-command", f"there is no command {command!r}", hint=f"one of {known}")
    Renderer(is_json=True, quiet=False, verbose=False, progress=False, color="never").text(path.read_text("utf-8"))

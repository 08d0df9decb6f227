"""The declarations of `bridge self`."""

from __future__ import annotations

import os

import click

from bridge.cli.failure import Exit
from bridge.cli.group import cli
from bridge.cli.help import Group
from bridge.errors import UsageError


class _Self(Group):
    """`bridge self`; what other tools do to themselves is answered with the command that does it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from bridge.cli.commands.installation import REMOVALS, UPDATES, installation

        if args[0] in UPDATES or args[0] in REMOVALS:
            installed = installation()
            hint = installed.update if args[0] in UPDATES else installed.remove
            message = f"bridge does not {args[0]} itself: it was installed by {installed.by}, which does"
            raise UsageError("usage", message, hint=hint)
        return super().resolve_command(ctx, args)


@cli.group("self", cls=_Self)
def self_() -> None:
    """Look after bridge itself."""


@self_.command("check")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON document (see `bridge schema self`).")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
def self_check(is_json: bool, quiet: bool) -> None:
    """Check what runs bridge: its own files, dependencies, configuration, cache, and the `bridge` on PATH.

    Exits with 11 if something is wrong; a configuration that stops every other command is reported, too.
    """
    from bridge.cli.commands.self_check import check_self
    from bridge.cli.render import Renderer

    # Not `begin`: it reads the configuration, which may be what is wrong.
    render = Renderer(is_json=is_json, quiet=quiet, verbose=False, progress=False, color="auto")
    checks = check_self(os.environ)
    if is_json:
        render.document(checks.to_json())
    elif not quiet:
        render.table(("check", "", "what was found"), [(each.id, each.level, each.text) for each in checks.checks])
    for each in checks.checks:
        if each.level == "warning" and each.details and not quiet:
            render.warn(f"{each.id}: {detail}" for detail in each.details)
    if (failure := checks.failure) is not None:
        render.error(failure)
        raise Exit(failure.exit_code)

"""The declarations of `bridge env`."""

from __future__ import annotations

import os
import sys

import click

from bridge.cli.beginning import begin
from bridge.cli.group import cli
from bridge.cli.help import Group
from bridge.cli.options import lock, output, prefix
from bridge.errors import UsageError

_OF_CONDA = {"create": "create", "export": "export", "update": "install", "activate": "activate", "info": "info"}
_SAME = {"ls": "list", "rm": "remove", "delete": "remove", "new": "create"}


class _Environments(Group):
    """`bridge env`, with the words of `conda env` that are commands of bridge: `create`, `update`, `export`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in {"create", "update"}:  # `-f FILE` is another option of `bridge create`.
            args = ["-r" if each == "-f" else each for each in args]
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = _SAME.get(cmd_name, cmd_name)
        command = super().get_command(ctx, cmd_name)
        if command is not None or cmd_name not in _OF_CONDA:
            return command
        return cli.get_command(ctx, _OF_CONDA[cmd_name])


@cli.group(cls=_Environments)
def env() -> None:
    """List or remove the environments that conda and bridge know."""


@env.command("list")
@output
def env_list(**options: object) -> None:
    """List the environments: those of conda's directories, and those that conda or bridge made elsewhere."""
    from bridge.cli.commands.environments import listing

    run = begin(options)
    environments = listing(run.settings, os.environ)
    run.show(environments.to_json, lambda: run.render.table(("name", "", "directory"), environments.rows))


@env.command("remove")
@click.argument("environment", metavar="[NAME_OR_DIR]", required=False)
@prefix
@lock
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--override-frozen", is_flag=True, help="Remove an environment that is marked as frozen.")
@click.option("--dry-run", is_flag=True, help="Change nothing.")
@output
def env_remove(environment: str | None, yes: bool, dry_run: bool, **options: object) -> None:
    """Delete an environment with everything in it, also files that no package owns."""
    from bridge.cli.commands.environment_removal import check_removable, remove

    run = begin(options)
    if (environment is not None) is run.settings.has_prefix:
        problem = "an environment was named twice" if environment is not None else "no environment was named"
        raise UsageError("no-prefix", problem, hint="name it once, with -n NAME or -p DIR")
    path = run.prefix if environment is None else run.environment(environment)
    check_removable(path, run.settings, os.environ)
    if not (yes or run.settings.yes or dry_run) and sys.stdin.isatty():
        click.confirm(f"Delete {path} with everything in it?", abort=True, err=True)
    if not dry_run:
        remove(path, run.settings, os.environ)
    document = {"prefix": str(path), "removed": not dry_run}
    run.show(lambda: document, lambda: run.render.note(f"{path}: {'would be ' if dry_run else ''}removed"))

"""The declarations of `bridge config`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from bridge.cli.beginning import begin
from bridge.cli.group import cli
from bridge.cli.help import Group
from bridge.cli.options import output
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.cli.commands.configuring import Change
    from bridge.cli.run import Run

Command = TypeVar("Command", bound=Callable[..., object])


def _scope(command: Command) -> Command:
    options = (
        click.option("--user", "scope", flag_value="user", default=True, help="The user's file (the default)."),
        click.option("--project", "scope", flag_value="project", help="[tool.bridge] of the nearest pyproject.toml."),
        click.option("--system", "scope", flag_value="system", help="The file of the machine."),
    )
    return functools.reduce(lambda made, option: option(made), reversed(options), command)


def _keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    from bridge.config.keys import KEYS

    return [name for name in sorted(KEYS) if name.startswith(incomplete)]


# Words of other tools -> what does it.
_OTHERS = {
    "add": "bridge config set --add KEY VALUE",
    "append": "bridge config set --add KEY VALUE",
    "debug": "bridge config list -v",
    "describe": "bridge config schema",
    "ls": "bridge config list",
    "prepend": "bridge config set KEY VALUE…",
    "remove": "bridge config unset KEY [PART…]",
    "remove-key": "bridge config unset KEY",
    "show": "bridge config list, or bridge info",
    "sources": "bridge config list -v",
    "validate": "bridge config list reads every file and reports what is wrong",
}


class _Configuration(Group):
    """`bridge config`, which answers to the words of conda, mamba, pip and pixi."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in _OTHERS:
            raise UsageError("usage", f"bridge config has no command {args[0]!r}", hint=_OTHERS[args[0]])
        return super().resolve_command(ctx, args)


@cli.group(cls=_Configuration)
def config() -> None:
    """Show and change settings: of the user, of a project, of the machine.

    An option beats BRIDGE_*, which beats [tool.bridge] of the project's pyproject.toml, then the user's and the
    system's bridge/config.toml, then conda's and pip's configuration.
    """


@config.command("list")
@output
def config_list(**options: object) -> None:
    """List the keys that variables and bridge's files set, and where; with -v also those that others beat."""
    from bridge.cli.commands.configuring import entries
    from bridge.config.layers import layers

    run = begin(options)
    files = layers(os.environ)
    values = list(entries(os.environ, files))
    rows = [
        (each.key, each.value, each.source if each.is_used else f"{each.source} (beaten)")
        for each in values
        if each.is_used or run.settings.verbose
    ]
    run.render.warn(run.settings.warnings)
    if rows or run.settings.json:
        document = {"entries": [each.to_json() for each in values], "warnings": list(run.settings.warnings)}
        run.show(lambda: document, lambda: run.render.table(("key", "value", "source"), rows))
    else:
        run.render.note("no variable and no file of bridge sets anything; `bridge info` shows the settings that apply")


@config.command("get")
@click.argument("key", shell_complete=_keys)
@output
def config_get(key: str, **options: object) -> None:
    """Print the value of KEY that applies, also a default; each item of a list on a line."""
    from bridge.cli.commands.configuring import known_key, value_of

    run = begin(options)
    value = value_of(known_key(key), run.settings, os.environ)
    run.show(value.to_json, lambda: run.render.text("".join(f"{line}\n" for line in value.lines)))
    if not value.lines:
        run.render.note(f"{value.key} is not set")


@config.command("set")
@click.argument("key", shell_complete=_keys)
@click.argument("values", nargs=-1, required=True, metavar="VALUE…")
@click.option("--add", is_flag=True, help="Add to the list or table that is there.")
@_scope
@output
def config_set(key: str, values: Sequence[str], add: bool, scope: str, **options: object) -> None:
    """Set KEY in a file, whose comments stay; several VALUEs make a list, NAME=VALUE a table (also KEY.NAME VALUE)."""
    from bridge.cli.commands.configuring import change, key_and_name, target

    run = begin(options, reads_files=False)
    known, name = key_and_name(key)
    words = [f"{name}={value}" for value in values] if name else values
    _show(run, change(target(scope, os.environ), known, words, os.environ, is_added=add or bool(name)))


@config.command("unset")
@click.argument("key", shell_complete=_keys)
@click.argument("parts", nargs=-1, metavar="[PART…]")
@_scope
@output
def config_unset(key: str, parts: Sequence[str], scope: str, **options: object) -> None:
    """Remove KEY from a file, or only PARTs of its list or table."""
    from bridge.cli.commands.configuring import key_and_name, remove, target

    run = begin(options, reads_files=False)
    known, name = key_and_name(key)
    _show(run, remove(target(scope, os.environ), known, [name] if name else parts, os.environ))


@config.command("edit")
@_scope
@output
def config_edit(scope: str, **options: object) -> None:
    """Open a file in the editor of VISUAL or EDITOR; it is replaced only by what is valid."""
    from bridge.cli.commands.configuring import edit, target

    run = begin(options, reads_files=False)
    _show(run, edit(target(scope, os.environ), os.environ))


@config.command("path")
@_scope
@output
def config_path(scope: str, **options: object) -> None:
    """Print the path of a file, which need not exist; with --json of all files, highest priority first."""
    from bridge.cli.commands.configuring import target
    from bridge.config.layers import configuration_files

    run = begin(options, reads_files=False)
    files = [
        {"scope": each.scope, "path": str(each.path), "exists": each.path.exists()}
        for each in configuration_files(os.environ)
    ]
    run.show(lambda: {"files": files}, lambda: run.render.text(f"{target(scope, os.environ).path}\n"))


@config.command("schema")
@click.option("--project", is_flag=True, help="Of [tool.bridge] in a pyproject.toml.")
def config_schema(project: bool) -> None:
    """Print the JSON schema of a config.toml, for editors."""
    import json

    from bridge.config.keys import schema

    begin({"json": True}, reads_files=False).render.text(json.dumps(schema(is_project=project), indent=2) + "\n")


def _show(run: Run, done: Change) -> None:
    run.show(done.to_json, lambda: run.render.note(f"{done.path}: {'changed' if done.is_changed else 'unchanged'}"))
    run.render.warn(done.warnings)

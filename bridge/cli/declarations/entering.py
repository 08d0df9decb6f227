"""The declarations of the commands that enter an environment: `run`, `shell`, `activate`, `deactivate`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from bridge.cli.beginning import begin
from bridge.cli.declaring import COMMANDS
from bridge.cli.failure import Exit
from bridge.cli.group import cli
from bridge.cli.habits import answer_to_option
from bridge.cli.options import output, prefix
from bridge.errors import BridgeError, UsageError

Command = TypeVar("Command", bound=Callable[..., object])

_WORDS = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def _shell(command: Command) -> Command:
    return click.option("--shell", metavar="NAME", help="bash, zsh, sh, fish, powershell or xonsh (default: the"
                        " running one).")(command)  # fmt: skip


@cli.command(context_settings=_WORDS)
@click.argument("command", nargs=-1, required=True, metavar="COMMAND…", type=click.UNPROCESSED)
@prefix
@click.option("--cwd", metavar="DIR", type=click.Path(), help="Run it in this directory.")
@click.option("--no-capture-output", "--live-stream", is_flag=True, hidden=True, help="As conda's; output is live.")
@output
def run(command: Sequence[str], cwd: str | None, no_capture_output: bool, **options: object) -> None:  # noqa: ARG001
    """Run COMMAND in an environment. Its exit status, signals and streams are passed on.

    Options of bridge come before COMMAND: `bridge run -n science python -m pip list`.
    """
    from bridge.cli.commands import entering

    if command[0].startswith("-") and command[0] != "--":
        option = command[0].partition("=")[0]
        hint = (
            answer_to_option("run", option, COMMANDS)
            or "see `bridge run --help`; `--` comes before a COMMAND with a dash"
        )
        raise UsageError("usage", f"bridge run has no option {option}", hint=hint)
    started = begin(options)
    if started.settings.prefix is None and not {"-n", "--name", "-p", "--prefix"}.isdisjoint(command):
        hint = "options of bridge come before COMMAND: bridge run -n NAME COMMAND…"
        raise UsageError("no-prefix", "no environment was given", hint=hint)
    change = entering.entering(started.prefix, started.settings, "sh", os.environ).change
    words = command[1:] if command[0] == "--" else command
    if not started.settings.json:
        raise Exit(entering.replace_process(change, words, os.environ, cwd))
    document = entering.captured(change, words, os.environ, cwd)
    started.render.document(document)
    raise Exit(int(str(document["status"])))


@cli.command()
@prefix
@_shell
@output
def shell(shell: str | None, **options: object) -> None:
    """Start a shell in an environment; `exit` leaves it."""
    from bridge.cli.commands import entering

    run = begin(options)
    name = _known(shell)
    changes = entering.entering(run.prefix, run.settings, name, os.environ)
    if run.settings.json:
        run.render.document(changes.to_json())
        return
    words, activates = entering.shell_command(run.prefix, changes.shell, is_interactive=sys.stdin.isatty())
    if activates:
        from bridge.config.activation import Activation

        unchanged = Activation(prefix=run.prefix, variables={"PATH": os.environ.get("PATH", "")})
        raise Exit(entering.replace_process(unchanged, words, os.environ, None))
    change = entering.entering(run.prefix, run.settings, "sh", os.environ).change
    raise Exit(entering.replace_process(change, words, os.environ, None))


@cli.command()
@click.argument("environment", required=False, metavar="[NAME_OR_DIR]")
@prefix
@_shell
@output
def activate(environment: str | None, shell: str | None, **options: object) -> None:
    """Print the lines that activate an environment in the running shell.

    `eval "$(bridge activate -n NAME)"` (bash, zsh), `bridge activate -n NAME | source` (fish),
    `bridge activate -n NAME | Out-String | Invoke-Expression` (PowerShell),
    `execx($(bridge activate -n NAME))` (xonsh).
    """
    from bridge.cli.commands import entering

    run = begin(_with_environment(environment, options))
    try:
        change = entering.entering(run.prefix, run.settings, _known(shell), os.environ)
    except BridgeError:
        from bridge.cli.shells import failing, shell_of

        if not run.settings.json and not sys.stdout.isatty():
            run.render.text(failing(shell or shell_of(os.environ)))
        raise
    run.show(change.to_json, lambda: run.render.text(change.lines))
    if sys.stdout.isatty() and not run.settings.json:
        run.render.note(f"these lines activate it when the shell evaluates them: {_evaluated(change.shell)}")


@cli.command()
@_shell
@output
def deactivate(shell: str | None, **options: object) -> None:
    """Print the lines that leave the active environment: `eval "$(bridge deactivate)"`."""
    from bridge.cli.commands import entering

    run = begin(options)
    change = entering.leaving(run.settings, _known(shell), os.environ)
    run.show(change.to_json, lambda: run.render.text(change.lines))


def _with_environment(environment: str | None, options: dict[str, object]) -> dict[str, object]:
    """Conda's `activate NAME_OR_DIR`."""
    if environment is None:
        return options
    key = "prefix" if "/" in environment or os.sep in environment or environment == "." else "name"
    return {**options, key: environment}


def _known(shell: str | None) -> str | None:
    from bridge.cli.shells import SHELLS

    name = {"pwsh": "powershell"}.get(shell or "", shell)
    if name is not None and name not in SHELLS:
        raise UsageError("option-value", f"--shell: {name!r} is not one of {', '.join(SHELLS)}")
    return name


def _evaluated(shell: str) -> str:
    forms = {
        "fish": "bridge activate … | source",
        "powershell": "bridge activate … | Out-String | Invoke-Expression",
        "xonsh": "execx($(bridge activate …))",
    }
    return forms.get(shell, 'eval "$(bridge activate …)"')

"""What click raises: the end of a run, and a wrong command line."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bridge.cli.declaring import COMMANDS
from bridge.cli.failure import report
from bridge.cli.habits import ALIASES, answer_to_arguments, answer_to_command, answer_to_option
from bridge.errors import UsageError, did_you_mean

__all__ = ["ended"]


def ended(error: BaseException, typed: Sequence[str], is_json: bool) -> int | None:
    """Return the exit status that an error of click means, and report it; `None` for another error."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.exceptions.Abort):
        return 130
    return _misused(error, typed, is_json) if isinstance(error, click.ClickException) else None


def _misused(error: click.ClickException, typed: Sequence[str], is_json: bool) -> int:
    """Report a wrong command line (the words typed) and return the exit status."""
    if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2 on; the message is the help
        click.echo(error.format_message(), err=True)
        return UsageError.exit_code
    command = next((word for word in typed if word in COMMANDS), "")
    hint = f"see `{f'bridge {command}'.strip()} --help`"
    message = " ".join(error.format_message().split())  # a list of choices has lines
    context = getattr(error, "ctx", None)
    if context is not None:
        hint = answer_to_arguments(context.command.name or "", typed) or f"see `{context.command_path} --help`"
        if isinstance(error, click.NoSuchOption) and context.parent is None:
            typed_so = f"bridge {command or 'COMMAND'} {error.option_name} …"
            hint = f"options come after the command: {typed_so}; see `bridge --help`"
        elif isinstance(error, click.NoSuchOption):
            message = f"{context.command_path} has no option {error.option_name}"
            answer = answer_to_option(context.command.name or "", error.option_name, COMMANDS)
            hint = answer or f"{_nearest(error.option_name, context)} {hint}".strip()
        elif isinstance(error, click.UsageError) and (word := _unknown(context, typed)):
            message = f"{context.command_path} has no command {word!r}"
            answer = answer_to_arguments(context.command.name or "", typed) or _elsewhere(word)
            hint = answer or f"{_nearest_command(word, context)} {hint}".strip()
    return report(UsageError("usage", message, hint=hint), is_json)


def _nearest(option: str, context: click.Context) -> str:
    """The question after an option of the command that is spelt alike."""
    names = [name for each in context.command.get_params(context) for name in each.opts if name.startswith("--")]
    return did_you_mean(option, names, cutoff=0.75) if option.startswith("--") else ""


def _nearest_command(word: str, context: click.Context) -> str:
    command = context.command
    return did_you_mean(word, command.list_commands(context)) if isinstance(command, click.Group) else ""


def _unknown(context: click.Context, typed: Sequence[str]) -> str:
    """The first word that a group of commands does not know; empty: the command is no group, or knows it."""
    command = context.command
    if not isinstance(command, click.Group) or command.name not in typed:
        return ""
    words = [word for word in typed[typed.index(command.name) + 1 :] if not word.startswith("-")]
    return words[0] if words and command.get_command(context, words[0]) is None else ""


def _elsewhere(word: str) -> str:
    """What a word is that belongs to another group of commands."""
    if ALIASES.get(word, word) in COMMANDS:
        return f"bridge {word}"
    return answer_to_command(word, COMMANDS) or ""

"""Report the error of a failed command once, as text and with `--json` as a document, and choose the exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from bridge.cli.group import COMMANDS
from bridge.cli.habits import ALIASES, answer_to_arguments, answer_to_command, answer_to_option
from bridge.cli.streams import flush
from bridge.errors import BridgeError, FaultError, UsageError, did_you_mean
from bridge.faults import fault

__all__ = ["Exit", "finish", "misused", "report", "unforeseen"]

_NO_THREAD = "can't start new thread"  # what `threading` raises


class Exit(Exception):  # noqa: N818 - not an error: everything is reported already
    """Ends the run with an exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def unforeseen(error: BaseException) -> FaultError:
    """Convert an unexpected exception. Only what the system did not cause becomes `internal`."""
    text = " ".join(str(error).split())[:500]
    if isinstance(error, OSError) and error.errno is not None and isinstance(error.filename, (str, bytes)):
        failure = fault(error, os.fsdecode(error.filename))
    elif isinstance(error, OSError) and error.errno is not None:
        failure = FaultError("io-error", f"the system refused an operation: {error.strerror}")
    elif isinstance(error, MemoryError):
        failure = FaultError("no-memory", "the process is out of memory", hint="raise the limit (ulimit -v)")
    elif isinstance(error, RuntimeError) and text == _NO_THREAD:
        failure = FaultError(
            "no-threads", "the system starts no more threads for this process", hint="raise the limits (ulimit -u, -v)"
        )
    else:
        failure = FaultError(
            "internal",
            f"a bug in bridge: {type(error).__name__}{': ' if text else ''}{text}",
            hint="run it again with BRIDGE_DEBUG=1 and report it; `bridge recover` settles an interrupted change",
        )
    failure.__cause__ = error
    return failure


def report(error: BridgeError, is_json: bool, typed: Sequence[str] = ()) -> int:
    """Print an error and return its exit status.

    :param typed: the words of the command line, for a hint that names the command.
    """
    from bridge.cli import documents
    from bridge.cli.next_steps import next_step
    from bridge.cli.render import Renderer

    command = next((word for word in typed if word in COMMANDS), None)
    if command is not None and (hint := next_step(error)) is not None:
        error.hint = hint.replace("bridge COMMAND --help", f"bridge {command} --help")
    render = Renderer(is_json=is_json, quiet=False, verbose=False, progress=False, color="auto")
    if os.environ.get("BRIDGE_DEBUG") == "1":
        import traceback

        from bridge.secrets import hidden

        sys.stderr.write(hidden("".join(traceback.format_exception(error))))
    if is_json:
        # If standard output is closed or full, the error must still reach standard error.
        with suppress(FaultError):
            render.document(documents.error(error))
    render.error(error)
    return error.exit_code


def misused(error: click.ClickException, typed: Sequence[str], is_json: bool) -> int:
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


def finish(status: int) -> int:
    """Flush the output and return the exit status, which changes if that fails. Raises `BrokenPipeError`."""
    try:
        flush()
    except BridgeError as error:
        report(error, is_json=False)
        return status or error.exit_code
    return status

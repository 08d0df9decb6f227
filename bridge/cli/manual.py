"""The manual pages of all commands, from the declarations that their help comes from.

`python -m bridge.cli.manual DIR` writes them. Source: man-pages(7) and groff_man(7).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from bridge import __version__
from bridge.cli.group import cli
from bridge.cli.help import Group, examples_of, sections
from bridge.errors import UsageError
from bridge.fs import make_directories
from bridge.fs.publish import publish_file

__all__ = ["main", "pages"]

_EXITS = {
    0: "done", 2: "usage", 3: "unsafe or malformed input refused", 4: "ownership conflict refused",
    5: "a hash, a size or metadata is wrong", 6: "no solution", 7: "I/O fault; rolled back",
    8: "the environment is locked by another process", 9: "an interrupted change is present", 10: "network",
    11: "audit: findings at or above --fail-on",
}  # fmt: skip


def pages() -> Iterator[tuple[str, str]]:
    """The file name and the text of each page: `bridge.1`, and one for each command and subcommand."""
    yield from _pages(cli, click.Context(cli, info_name="bridge"))


def _pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    name = context.command_path.replace(" ", "-")
    yield f"{name}.1", "\n".join(_page(command, context, name)) + "\n"
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            if below is not None and not below.hidden:
                yield from _pages(below, click.Context(below, info_name=each, parent=context))


def _page(command: click.Command, context: click.Context, name: str) -> Iterator[str]:
    summary, *further = (command.help or "").split("\n\n")
    yield f'.TH "{name.upper()}" "1" "" "bridge {__version__}" "bridge"'
    yield from (".SH NAME", f"{_text(name)} \\- {_text(' '.join(summary.split()).rstrip('.'))}")
    usage = " ".join(command.collect_usage_pieces(context))
    yield from (".SH SYNOPSIS", f".B {_text(context.command_path)}", _text(usage))
    yield ".SH DESCRIPTION"
    for paragraph in (summary, *further):
        yield from (".PP", _text(" ".join(paragraph.split())))
    for heading, parameters in sections(command, context):
        yield f".SH {'OPTIONS' if heading == 'Options' else _text(heading.upper())}"
        for parameter in parameters:
            record = parameter.get_help_record(context)
            if record is not None:
                yield from (".TP", f".B {_text(record[0])}", _text(record[1]))
    if isinstance(command, click.Group):
        yield from _commands(command, context, name)
    if lines := examples_of(context):
        yield from (".SH EXAMPLES", ".nf", *map(_text, lines), ".fi")
    if command is cli:
        yield ".SH EXIT STATUS"
        for status, meaning in _EXITS.items():
            yield from (".TP", f".B {status}", _text(meaning))
    else:
        yield from (".SH SEE ALSO", f".BR {_text((context.parent or context).command_path.replace(' ', '-'))} (1)")


def _commands(command: click.Group, context: click.Context, name: str) -> Iterator[str]:
    summaries = command.summaries if isinstance(command, Group) else {}
    short = {each: text for commands in summaries.values() for each, text in commands.items()}
    yield ".SH COMMANDS"
    for each in command.list_commands(context):
        below = command.get_command(context, each)
        if below is not None and not below.hidden:
            yield from (".TP", f".BR {_text(f'{name}-{each}')} (1)")
            yield _text(short.get(each) or below.get_short_help_str(limit=1000))


def _text(text: str) -> str:
    """A line of text without meaning to troff."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\`").replace("'", "\\(aq")
    text = "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in text)
    return f"\\&{text}" if text.startswith((".", "\\(aq")) else text


def main(arguments: list[str]) -> int:
    """Write the pages to a directory. Raises `UsageError` without one."""
    if len(arguments) != 1:
        raise UsageError("usage", "the directory of the pages is missing", hint="python -m bridge.cli.manual DIR")
    directory = Path(arguments[0])
    make_directories(directory)
    for name, text in pages():
        publish_file(directory / name, [text.encode()])
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

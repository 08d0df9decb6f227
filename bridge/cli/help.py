"""The help of commands: options in groups, whole summaries, examples.

click's own classes with small additions: cloup and rich-click do the same, and each makes every start of bridge slower
than all it may take (cloup imports 60 ms, rich-click loads rich).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import click

from bridge.cli.declaring import Parameter
from bridge.cli.habits import translated

__all__ = ["SECTIONS", "Command", "Group", "Option", "examples_of", "sections"]

SECTIONS = (
    "Options",
    "Environment",
    "Requirements",
    "Rules for dependencies",
    "Channels and indexes",
    "Target",
    "Choice of packages",
    "Network and builds",
    "Change",
    "Output",
)
"""The groups of options, in the order of the help; what only one command has is in the first."""

_WIDE = 30  # columns; a longer option has its help on the next line


class Option(click.Option):
    """An option that is in a group of the help."""

    section = SECTIONS[0]


def _of_click(declared: Parameter) -> click.Parameter:
    """The parameter of click that a declaration means."""
    attributes = dict(declared.attributes)
    if attributes.get("type") == "path":
        attributes["type"] = click.Path()
    if (choices := attributes.pop("choices", None)) is not None:
        attributes["type"] = click.Choice(choices)
    if (least := attributes.pop("least", None)) is not None:
        attributes["type"] = click.IntRange(min=least)
    if (callback := attributes.get("callback")) is not None:
        attributes["callback"] = lambda _context, _parameter, value: callback(value)
    if declared.kind == "argument":
        return click.Argument(declared.names, **attributes)
    option = Option(declared.names, **attributes)
    option.section = declared.section or option.section
    return option


def sections(command: click.Command, context: click.Context) -> Iterator[tuple[str, list[click.Parameter]]]:
    """The options of a command that help shows, by group."""
    parameters: dict[str, list[click.Parameter]] = {}
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option) and not parameter.hidden:
            own = SECTIONS[-1] if parameter.is_eager else SECTIONS[0]  # --help
            parameters.setdefault(parameter.section if isinstance(parameter, Option) else own, []).append(parameter)
    others = [name for name in parameters if name not in SECTIONS]
    yield from ((name, parameters[name]) for name in (*SECTIONS[:-1], *others, SECTIONS[-1]) if name in parameters)


def examples_of(context: click.Context) -> tuple[str, ...]:
    """The examples of the command of a context."""
    from bridge.cli.examples import EXAMPLES

    names: list[str] = []
    at: click.Context | None = context
    while at is not None and at.parent is not None:
        names.insert(0, at.command.name or "")
        at = at.parent
    return EXAMPLES.get(" ".join(names), ())


def _write_examples(context: click.Context, formatter: click.HelpFormatter) -> None:
    if lines := examples_of(context):
        with formatter.section("Examples"):
            for line in lines:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _with_dash(word: str, optional: Collection[str]) -> str:
    """`--OPTION=-VALUE` so that click takes the value, which it takes for an option where a value may be absent.

    :param optional: options whose value may be absent; their values are read without spaces at the ends.
    """
    option, equals, value = word.partition("=")
    return f"{option}= {value}" if equals and value.startswith("-") and option in optional else word


class Command(click.Command):
    """A command with its options in groups and with examples, which understands options of other tools."""

    def __init__(
        self,
        name: str | None = None,
        *,
        params: Sequence[click.Parameter | Parameter] | None = None,
        **others: Any,  # noqa: ANN401 - as of click's class
    ) -> None:
        """:param params: also those that are declared without click."""
        made = [_of_click(each) if isinstance(each, Parameter) else each for each in params or ()]
        super().__init__(name, params=made, **others)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if ctx.allow_interspersed_args:  # else what follows are the words of another command
            options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
            declared = {name for each in options for name in (*each.opts, *each.secondary_opts)}
            args = translated(self.name or "", args, declared)
            optional = {
                name for each in options if each.flag_value is not None and not each.is_flag for name in each.opts
            }
            args = [_with_dash(each, optional) for each in args]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for name, parameters in sections(self, ctx):
            records = [record for each in parameters if (record := each.get_help_record(ctx)) is not None]
            with formatter.section(name):
                formatter.write_dl(records, col_max=_WIDE)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_examples(ctx, formatter)


class Group(click.Group):
    """A group whose help shows the whole summary of each command.

    :cvar summaries: heading → command → summary; other commands follow with their own.
    """

    command_class = Command
    summaries: Mapping[str, Mapping[str, str]] = {}

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        known = {name for commands in self.summaries.values() for name in commands}
        others = {name: self._summary(ctx, name) for name in self.list_commands(ctx) if name not in known}
        headings = {**self.summaries, "Other commands" if known else "Commands": others}
        for heading, commands in headings.items():
            if commands:
                with formatter.section(heading):
                    formatter.write_dl(list(commands.items()))

    def _summary(self, context: click.Context, name: str) -> str:
        command = self.get_command(context, name)
        return command.get_short_help_str(limit=1000) if command is not None else ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_examples(ctx, formatter)


Group.group_class = Group

"""The group of all commands, and what their declarations share."""

from __future__ import annotations

from importlib import import_module

import click

from bridge import __version__
from bridge.cli.declaring import COMMANDS, DECLARED
from bridge.cli.habits import ALIASES, answer_to_command, answer_to_words
from bridge.cli.help import Group
from bridge.cli.summaries import SUMMARIES
from bridge.errors import UsageError, did_you_mean

__all__ = ["cli", "declared"]

_TOOLS = frozenset({"conda", "mamba", "micromamba", "pip", "pixi", "uv"})
_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Commands(Group):
    """Imports the declaration of a command when it is looked up; their summaries need none."""

    summaries = SUMMARIES

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name in COMMANDS and name not in self.commands:
            import_module(f"bridge.cli.declarations.{COMMANDS[name]}")
            if name in DECLARED:
                self.command(name)(DECLARED[name][0])
        return super().get_command(ctx, name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word == "help":
            args = [*args[1:], "--help"]
            word = args[0]
        if self.get_command(ctx, word) is None and not word.startswith("-"):
            raise UsageError("usage", f"bridge has no command {word!r}", hint=_instead(word, args[1:]))
        return super().resolve_command(ctx, args)


def _instead(word: str, others: list[str]) -> str:
    """What to type in the place of a word that is no command."""
    while word in _TOOLS - {"pip"} and others and others[0] in _TOOLS:  # `uv pip …`
        word, *others = others
    if word in _TOOLS and others:
        start = "bridge takes pip's requirements itself" if word == "pip" else f"leave `{word}` out"
        return f"{start}: {answer_to_words(word, others, COMMANDS)}"
    if (answer := answer_to_command(word, COMMANDS)) is not None:
        return answer
    return f"{did_you_mean(word, [*COMMANDS, *ALIASES], most=2)} see `bridge --help`".strip()


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(__version__, "-V", "--version", prog_name="bridge")
def cli() -> None:
    """Install conda packages and PyPI wheels into one environment: one solve, one transaction, one audit.

    A requirement is a conda MatchSpec (`numpy >=2`) or PEP 508 (`torch[opt-einsum]>=2`). Prefix it with `conda:` or
    `pypi:` to choose the ecosystem.
    """


def declared(name: str) -> click.Command:
    """The declaration of a command. Raises `KeyError`."""
    return cli.get_command(click.Context(cli), name) or cli.commands[name]

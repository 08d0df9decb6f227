"""The help and the manual pages: whole summaries, groups, examples that parse, every option."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bridge.cli.declaring import COMMANDS
from bridge.cli.examples import EXAMPLES
from bridge.cli.group import cli, declared
from bridge.cli.habits import answer_to_option
from bridge.cli.help import SECTIONS
from bridge.cli.manual import main, pages
from bridge.cli.summaries import SUMMARIES

WIDTH = 80


def paths() -> Iterator[tuple[str, ...]]:
    """Each command and subcommand."""
    for name in sorted(COMMANDS):
        yield (name,)
        command = declared(name)
        if isinstance(command, click.Group):
            yield from ((name, each) for each in command.list_commands(click.Context(command)))


PATHS = list(paths())


def context_of(path: tuple[str, ...]) -> click.Context:
    context = click.Context(cli, info_name="bridge", terminal_width=WIDTH)
    for name in path:
        assert isinstance(context.command, click.Group)
        command = context.command.get_command(context, name)
        assert command is not None, name
        context = click.Context(command, info_name=name, parent=context, terminal_width=WIDTH)
    return context


def test_the_help_of_bridge_has_each_command_once_with_its_whole_summary() -> None:
    context = context_of(())
    text = cli.get_help(context)
    assert "Other commands" not in text
    listed = [name for commands in SUMMARIES.values() for name in commands]
    assert sorted(listed) == sorted(COMMANDS)
    for commands in SUMMARIES.values():
        for name, summary in commands.items():
            assert re.search(rf"^  {name} +{re.escape(summary)}$", text, re.MULTILINE), name
            assert summary.endswith("."), name


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_the_help_of_a_command_is_in_groups_and_fits(path: tuple[str, ...]) -> None:
    context = context_of(path)
    text = context.command.get_help(context)
    assert [line for line in text.splitlines() if len(line) > WIDTH] == []
    headings = [line.rstrip(":") for line in text.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)]
    assert headings[-1] == "Examples"
    assert [each for each in headings if each in SECTIONS] == [each for each in SECTIONS if each in headings]
    for parameter in context.command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert max(parameter.opts, key=len) in text


@pytest.mark.parametrize("path", EXAMPLES)
def test_each_example_parses(path: str) -> None:
    assert not path or tuple(path.split()) in PATHS
    for line in EXAMPLES[path]:
        text = line.removeprefix('eval "$(').removesuffix(')"')
        words = [word for word in shlex.split(re.split(r" [|>] ", text)[0]) if "=" not in word or "EDITOR" not in word]
        assert words[0] == "bridge"
        context: click.Context = click.Context(cli)
        command: click.Command = cli
        rest = words[1:]
        while isinstance(command, click.Group):
            found = command.get_command(context, rest[0])
            assert found is not None, line
            command, rest = found, rest[1:]
        command.make_context(command.name, list(rest), parent=context)
        named = path.split()
        assert not named or words[1 : 1 + len(named)] == named or "fetch" in named, line


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_each_command_has_an_example(path: tuple[str, ...]) -> None:
    assert EXAMPLES.get(" ".join(path))


@pytest.mark.parametrize("name", ["list", "why", "tree", "diff", "sync", "rollback", "fetch", "remove", "adopt"])
def test_what_solves_nothing_has_no_options_of_the_solve(name: str) -> None:
    options = {text for parameter in declared(name).params for text in parameter.opts}
    for option in ("--pre", "--prefer", "--only", "--exclude-newer", "--patience"):
        assert option not in options
        assert "solves nothing" in (answer_to_option(name, option, COMMANDS) or "")


def test_the_manual_holds_each_option_of_each_command() -> None:
    found = dict(pages())
    assert found.keys() == {"bridge.1", *(f"bridge-{'-'.join(path)}.1" for path in PATHS)}
    for path in PATHS:
        text = found[f"bridge-{'-'.join(path)}.1"].replace("\\-", "-")
        for parameter in context_of(path).command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(each in text for each in parameter.opts), (path, parameter.opts)
        for line in EXAMPLES[" ".join(path)]:
            assert line.split()[-1].replace("\\", "\\e").replace("`", "\\`").replace("'", "\\(aq") in text


def test_the_manual_is_written_and_groff_reads_it(tmp_path: Path) -> None:
    assert main([str(tmp_path / "man1")]) == 0
    page = tmp_path / "man1/bridge-install.1"
    assert page.read_text().startswith('.TH "BRIDGE-INSTALL" "1"')
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    ran = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", *sorted((tmp_path / "man1").iterdir())],
        capture_output=True, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr.decode()) == (0, "")

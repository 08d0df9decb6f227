"""Plain command lines, read without click, mean what click reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import pytest

from bridge.cli.declaring import COMMANDS, DECLARED, plain_call
from bridge.cli.group import declared
from bridge.errors import UsageError

PLAIN = [
    "resolve numpy scipy>=1 -c conda-forge --channel=defaults --no-build --json",
    "resolve -r requirements.txt --file other.txt --platform linux-64 --patience 2.5 -v -v",
    "resolve --virtual-package=__glibc=2.36 --index-url= -c -p demo",
    "install -p ENV --compile --no-compile demo - --dry-run -y",
    "install -p ENV --no-compile --compile demo",
    "create -n NAME --from A --from=B python --lock-timeout 3 --clone OTHER",
    "update -a",
    "remove one two -r FILE",
    "list",
    "list ^num --prefix ENV --offline",
    "tree --depth 2 demo --invert",
    "search demo -l 3",
    "owner PATH --json",
    "why NAME -p ENV",
    "cache --prune --older-than 7d",
    "cache",
    "pin --remove a --remove b",
    "info -q --no-progress --color never",
    "completion bash",
    "diff A B",
    "audit -p ENV --fail-on warning",
]
LEFT_TO_CLICK = [
    "", "--help", "-V", "unknown", "resolve --help", "resolve -vv", "resolve --unknown", "resolve -p", "resolve -p=ENV",
    "resolve --json=yes", "resolve -- numpy", "resolve --patience soon", "search", "search a b", "search a -l 0",
    "search a -l few", "completion ksh", "diff A", "diff A B C", "owner", "recover demo", "audit --checks",
    "audit --fail-on some", "config list", "env list", "fetch LOCK", "run -p ENV python",
]  # fmt: skip


def by_click(line: str) -> Mapping[str, Any]:
    """What click passes to the function of a command."""
    name, *words = line.split()
    command = declared(name)
    context = command.make_context(name, words, parent=click.Context(click.Command("bridge")))
    return context.params


@pytest.mark.parametrize("line", PLAIN)
def test_a_plain_line_means_what_click_reads(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = line.split(maxsplit=1)[0]
    declared(name)
    _, parameters = DECLARED[name]
    passed: list[dict[str, object]] = []
    monkeypatch.setitem(DECLARED, name, (lambda **values: passed.append(values), parameters))
    call = plain_call(line.split())
    assert call is not None
    call()
    assert passed == [by_click(line)]


@pytest.mark.parametrize("line", LEFT_TO_CLICK)
def test_click_reads_what_is_not_plain(line: str) -> None:
    assert plain_call(line.split()) is None


def test_completion_is_left_to_click(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_BRIDGE_COMPLETE", "bash_complete")
    assert plain_call(["list"]) is None


def test_a_callback_refuses_values() -> None:
    with pytest.raises(UsageError, match="2 times"):
        plain_call(["resolve", "demo", "--platform", "linux-64", "--platform", "win-64"])


def test_every_declared_command_is_in_the_table() -> None:
    for name in COMMANDS:
        declared(name)
    assert set(DECLARED) <= set(COMMANDS)
    assert len(DECLARED) >= 15

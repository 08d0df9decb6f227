"""What a wrong command line is answered with: the next step, as a command or a value that works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.builders import install_record, make_conda, make_repodata
from tests.support.command_line import Bridge


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    make_conda(tmp_path / "channel", "demo", "1.0")
    make_repodata(tmp_path / "channel")
    install_record(tmp_path / "prefix", "demo", "1.0")
    return Bridge.of_folder(tmp_path)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("list", "name one with -n NAME or -p DIR"),
        ("list -n science", "`bridge env list` shows all"),
        ("install -n science demo", "bridge create -n science makes one"),
        ("install -p prefix demo=>1", "did you mean 'demo>=1'?"),
        ("install -p prefix demo=<2,=>1", "did you mean 'demo<=2,>=1'?"),
        ("install -p prefix demo[=>1", "write `numpy >=2`"),
        ("install -p prefix ./absent-1.0-py3-none-any.whl", "check the path"),
        ("lock demo -o absent/bridge.lock", "mkdir -p absent"),
        ("lock demo -o strange.file", "choose one with --format: "),
        ("diff prefix absent", "`bridge env list`"),
        ("--offline outdated -p prefix", "bridge outdated --offline"),
    ],
)
def test_there_is_a_next_step(bridge: Bridge, words: str, hint: str) -> None:
    done = bridge(*words.split())
    assert done.status in (2, 6), done.err
    given = re.search(r"^hint: (.*)$", done.err, re.MULTILINE)
    assert given is not None, done.err
    assert hint in given[1]


def test_a_command_that_only_reads_does_not_offer_a_new_environment(bridge: Bridge) -> None:
    for words in ("list -n absent", "env remove -n absent", "audit -n absent"):
        assert "create" not in bridge(*words.split()).err


def test_the_hint_for_a_folder_that_is_missing_works(bridge: Bridge, tmp_path: Path) -> None:
    target = tmp_path / "with space/locks"
    done = bridge("lock", "demo", "-o", target / "bridge.lock")
    hint = re.search(r"^hint: make it first: (.*)$", done.err, re.MULTILINE)
    assert hint is not None, done.err
    assert shlex.split(hint[1]) == ["mkdir", "-p", str(target)]
    target.mkdir(parents=True)
    assert bridge("lock", "demo", "-o", target / "bridge.lock").status == 0

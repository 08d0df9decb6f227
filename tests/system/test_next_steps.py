"""What a wrong command line is answered with: the next step, as a command or a value that works."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge as package
from bridge.cli.next_steps import STEPS, STEPS_BY_EXIT, next_step
from bridge.errors import FindingsError, UsageError
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
        ("install -p prefix --platform win_amd64 demo", "did you mean win-64?"),
        ("install -p prefix --platform manylinux_2_28_aarch64 demo", "did you mean linux-aarch64?"),
        ("install -p prefix --platform macosx_11_0_arm64 demo", "did you mean osx-arm64?"),
        ("install -p prefix --link-mode symlink demo", "write hardlink"),
        ("install -p prefix --index-strategy unsafe-best-match demo", "write best"),
        ("install -p prefix --index https://example.org/simple demo", "--index-url URL"),
        ("install -p prefix -r https://example.org/a/requirements.txt", "curl -LO https://example.org/a/requirements"),
        ("install -p prefix git@github.com:owner/name.git", "git+https://HOST/OWNER/REPOSITORY"),
        ("search demo -p linux-64", "--platform linux-64 names a platform"),
        ("list -p /dev/null", "-p takes the directory of an environment"),
        ("deactivate", "bridge activate -n NAME"),
        ("create science demo", "if science is its name: -n science"),
        ("lock -r absent.yml", "check the path"),
        ("search demo*absent", "`*` stands for any text"),
        ("run -p prefix --cwd absent true", "name a directory that exists"),
        ("export -p prefix -o absent/env.yml", "mkdir -p absent"),
        ("export science", "bridge export -n science"),
        ("outdated -p prefix nonsense", "bridge list -p"),
        ("install -p prefix demo --channel", "see `bridge install --help`"),
        ("cache --prune --older-than x", "bridge cache --help"),
    ],
)
def test_there_is_a_next_step(bridge: Bridge, words: str, hint: str) -> None:
    done = bridge(*words.split())
    assert done.status in (2, 6, 127), done.err
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


def _errors_without_a_hint() -> Iterator[tuple[str, str]]:
    """The class and the id of each error that the source makes without `hint`."""
    root = Path(package.__file__).parent
    for path in [*root.rglob("*.py"), *(root.parent / "converters").rglob("*.py")]:
        text = path.read_text("utf-8")
        if "Error(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
                first = node.args[0] if len(node.args) > 1 else None
                value = first.value if isinstance(first, ast.Constant) else None
                if isinstance(value, str) and not any(each.arg in ("hint", None) for each in node.keywords):
                    yield node.func.id, value


@pytest.mark.slow
def test_every_error_has_a_next_step() -> None:
    # What a status alone explains: structural errors, integrity, faults, the network, findings that are listed.
    by_status = {"UnsafeInputError", "IntegrityError", "FaultError", "NetworkError", "UsageError", "FindingsError"}
    assert {2, 3, 5, 7, 10} == set(STEPS_BY_EXIT)
    found = set(_errors_without_a_hint())
    assert len(found) > 80
    assert {(name, kind) for name, kind in found if name not in by_status and kind not in STEPS} == set()


def test_a_hint_beats_the_step_of_its_kind() -> None:
    assert next_step(UsageError("usage", "wrong", hint="own")) == "own"
    assert next_step(UsageError("usage", "wrong")) == STEPS["usage"]
    assert next_step(UsageError("of-no-kind", "wrong")) == STEPS_BY_EXIT[2]
    assert next_step(FindingsError("audit-findings", "two errors")) is None


def test_a_script_is_no_command(bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("")
    assert f"bridge run -p {tmp_path}/prefix python script.py" in bridge("run", "-p", "prefix", "script.py").err


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ("create -p prefix demo", None),
        ("install -p absent demo>=1", 0),
        ("list -p absent", 0),
        ("why -p prefix absent", None),
        ("remove -p prefix absent", None),
        ("audit -p prefix absent", None),
        ("rollback -p prefix", None),
        ("diff prefix absent", None),
        ("list -n absent", None),
        ("config get absent", None),
        ("run -p absent true", 0),
    ],
)
def test_each_command_of_a_hint_runs(bridge: Bridge, tmp_path: Path, words: str, again: int | None) -> None:
    """Run the commands to the letter; `again` is then the status of the first command, if the hint is to mend it."""
    make_conda(tmp_path / "channel", "python", "3.12.1")
    make_repodata(tmp_path / "channel")
    install_record(tmp_path / "prefix", "demo", "0.9")
    (tmp_path / "prefix/conda-meta/pinned").write_text("demo <9\n")
    done = bridge(*words.split())
    hint = re.search(r"^hint: (.*)$", done.err, re.MULTILINE)
    assert hint is not None, done.err
    commands = re.findall(r"`bridge ([^`]*)`|: bridge ([^`]*)\Z", hint[1])
    assert commands, hint[1]
    for quoted, last in commands:
        ran = bridge(*shlex.split(quoted or last))
        assert ran.status == 0, (hint[1], ran.err)
    if again is not None:
        assert bridge(*words.split()).status == again


def test_only_from_an_index_means_the_index(bridge: Bridge) -> None:
    done = bridge("resolve", "demo", "--only", "demo=wheel")
    assert (done.status, "no index has a file of demo" in done.err) == (6, True), done.err
    assert "leave out --only demo=wheel" in done.err
    done = bridge("resolve", "demo>=2", "--only", "demo=wheel")
    assert "leave out --only" not in done.err, "no record would do either"


def test_an_empty_answer_says_so(bridge: Bridge) -> None:
    assert "no differences" in bridge("diff", "prefix", "prefix").err
    assert "no installed package matches 'zzz'" in bridge("list", "-p", "prefix", "zzz").err
    assert "\n" not in bridge("completion").err.split("hint:")[0].strip()


def test_a_line_break_in_a_name_does_not_break_a_message(bridge: Bridge) -> None:
    lines = bridge("list", "-p", "a\nb\u202ec").err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["error[not-an-environment]", "hint"]
    assert r"a\nb\u202ec is not an environment" in lines[0]

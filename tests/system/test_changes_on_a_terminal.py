"""Changes on a terminal: the plan, the question, and what an answer or an interruption leaves."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.cli.plans import Transfer
from tests.support.builders import make_conda, make_repodata, tree_digest
from tests.support.command_line import Bridge
from tests.support.terminals import Seen, on_terminal

QUESTION = "Proceed [Y/n]: "
MANY = 40


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    names = [f"part-{number}" for number in range(MANY)]
    for name in names:
        make_conda(folder / "channel", name, "1.0")
    make_conda(folder / "channel", "base", "1.0")
    make_conda(folder / "channel", "demo", "1.0", files={"share/demo": b"whole"})
    make_conda(folder / "channel", "demo", "2.0")
    make_conda(folder / "channel", "whole", "1.0", depends=names)
    make_repodata(folder / "channel")
    make_conda(folder / "old", "demo", "1.0")
    make_repodata(folder / "old")
    (folder / "wheels").mkdir()
    return folder


@pytest.fixture
def environ(tmp_path: Path, packages: Path) -> Mapping[str, str]:
    return {
        "BRIDGE_CACHE_DIR": str(tmp_path / "cache"),
        "BRIDGE_CHANNEL": str(packages / "channel"),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def prefix(tmp_path: Path, packages: Path) -> Path:
    bridge = Bridge.of_folder(tmp_path, packages)
    assert bridge("create", "-p", tmp_path / "prefix", "base", "demo=1.0").status == 0
    return tmp_path / "prefix"


def _state(prefix: Path) -> dict[str, tuple[str, str]]:
    return {path: found for path, found in tree_digest(prefix).items() if "/.bridge" not in path}


@pytest.mark.parametrize("answer", [b"\n", b"y\n", b"what\nYES\n"])
def test_a_yes_installs(tmp_path: Path, environ: Mapping[str, str], answer: bytes) -> None:
    words = ["create", "-p", tmp_path / "new", "demo", "base"]
    seen = on_terminal(words, environ=environ, folder=tmp_path, width=200, answers=[(QUESTION, answer)])
    assert seen.status == 0, seen.plain
    before, _, after = seen.text.partition(QUESTION)
    assert "2 to add (conda); nothing to fetch" in before
    assert "2.0" in before
    assert "added 2 (conda) in " in after
    assert "2.0" not in after
    assert (tmp_path / "new/conda-meta/demo-2.0-0.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("answer", [b"n\n", b"\x04", signal.SIGINT, signal.SIGTERM])
def test_a_no_leaves_everything_as_it_was(
    tmp_path: Path, prefix: Path, environ: Mapping[str, str], answer: bytes | signal.Signals
) -> None:
    before, beside = _state(prefix), sorted(os.listdir(tmp_path))
    for words in (["install", "-p", prefix, "demo=2.0"], ["create", "-p", tmp_path / "new/below", "demo"]):
        seen = on_terminal(words, environ=environ, folder=tmp_path, answers=[(QUESTION, answer)])
        assert seen.status in (130, -signal.SIGTERM), seen.plain
        assert (seen.status == 130) == (answer is not signal.SIGTERM)
        assert QUESTION in seen.plain
    assert _state(prefix) == before
    assert sorted(os.listdir(tmp_path)) == beside


@pytest.mark.parametrize("command", ["update", "remove", "sync", "rollback", "clone"])
def test_every_change_asks(
    tmp_path: Path, prefix: Path, packages: Path, command: str, environ: Mapping[str, str]
) -> None:
    bridge = Bridge.of_folder(tmp_path, packages)
    lock = tmp_path / "bridge.lock"
    ready = [
        ["create", "-p", tmp_path / "old", "-c", packages / "old", "demo"] if command == "update" else [],
        ["lock", "-o", lock, "demo=2.0"] if command == "sync" else [],
        ["install", "-p", prefix, "demo=2.0"] if command == "rollback" else [],
    ]  # fmt: skip
    for words in filter(None, ready):
        assert bridge(*words).status == 0
    words = {
        "update": ["update", "-p", tmp_path / "old"],
        "remove": ["remove", "-p", prefix, "demo"],
        "sync": ["sync", "-p", prefix, lock],
        "rollback": ["rollback", "-p", prefix],
        "clone": ["create", "-p", tmp_path / "copy", "--clone", prefix],
    }[command]
    before = _state(prefix)
    seen = on_terminal(words, environ=environ, folder=tmp_path, answers=[(QUESTION, b"n\n")])
    assert (seen.status, QUESTION in seen.plain) == (130, True), seen.plain
    assert _state(prefix) == before
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("silent", [["--yes"], ["-y"], ["-q"], ["--json"], ["BRIDGE_YES"], ["--dry-run"]])
def test_nobody_is_asked(tmp_path: Path, prefix: Path, environ: Mapping[str, str], silent: list[str]) -> None:
    more = {"BRIDGE_YES": "1"} if silent == ["BRIDGE_YES"] else {}
    words = ["install", "-p", prefix, "demo=2.0", *(word for word in silent if word not in more)]
    seen = on_terminal(words, environ={**environ, **more}, folder=tmp_path, width=200)
    assert seen.status == 0, seen.plain
    assert QUESTION not in seen.plain
    assert ("1 to change (conda)" in seen.plain) == (silent not in (["-q"], ["--json"]))
    assert (prefix / "conda-meta/demo-2.0-0.json").is_file() == (silent != ["--dry-run"])


def test_nothing_to_do_asks_nothing(tmp_path: Path, prefix: Path, environ: Mapping[str, str]) -> None:
    seen = on_terminal(["install", "-p", prefix, "demo"], environ=environ, folder=tmp_path, width=200)
    assert (seen.status, seen.text.count("nothing to do")) == (0, 1), seen.plain


@pytest.mark.slow
def test_a_long_plan_shows_what_was_asked_for(tmp_path: Path, environ: Mapping[str, str]) -> None:
    def shown(*more: str) -> Seen:
        words = ["create", "-p", tmp_path / "new", "whole", *more]
        return on_terminal(words, environ=environ, folder=tmp_path, answers=[(QUESTION, b"n\n")])

    brief, full = shown().text, shown("-v").text
    assert "+  whole" in brief
    assert f"… and {MANY + 1 - 24} more packages to add; -v shows all" in brief
    assert f"{MANY + 1} to add (conda)" in brief
    assert full.count("+  part-") == MANY


def test_without_a_terminal_the_plan_follows_the_change(tmp_path: Path, packages: Path) -> None:
    done = Bridge.of_folder(tmp_path, packages)("create", "-p", tmp_path / "new", "demo", "base")
    lines = done.err.splitlines()
    assert [line.split()[:3] for line in lines[:2]] == [["+", "base", "1.0"], ["+", "demo", "2.0"]], done.err
    assert lines[2].startswith(f"{tmp_path / 'new'}: done in ")
    assert len(lines) == 3


@pytest.mark.slow
def test_a_repair_shows_its_plan_once_and_asks(tmp_path: Path, prefix: Path, environ: Mapping[str, str]) -> None:
    broken = next(path for path in sorted(prefix.rglob("*")) if path.is_file() and "conda-meta" not in path.parts)
    content = broken.read_bytes()
    broken.write_bytes(b"broken")
    words = ["audit", "-p", prefix, "--fix", "--fail-on", "never"]
    refused = on_terminal(words, environ=environ, folder=tmp_path, width=200, answers=[(QUESTION, b"n\n")])
    assert (refused.status, broken.read_bytes()) == (130, b"broken")
    assert refused.text.count("1 to reinstall (conda)") == 1, refused.text
    assert on_terminal(words, environ=environ, folder=tmp_path, answers=[(QUESTION, b"y\n")]).status == 0
    assert broken.read_bytes() == content


def test_a_removal_fetches_nothing_and_does_not_say_so(
    tmp_path: Path, prefix: Path, environ: Mapping[str, str]
) -> None:
    seen = on_terminal(["remove", "-p", prefix, "demo", "-y"], environ=environ, folder=tmp_path, width=200)
    assert (seen.status, "1 to remove (conda)\n" in seen.text) == (0, True), seen.text


@pytest.mark.slow
@pytest.mark.parametrize("point", ["stage.file_done", "commit.pre_sync"])
def test_an_interrupted_stage_or_commit_leaves_everything_as_it_was(
    tmp_path: Path, prefix: Path, environ: Mapping[str, str], point: str
) -> None:
    before, beside = _state(prefix), sorted(os.listdir(tmp_path))
    more = {**environ, "BRIDGE_FAILPOINT": f"{point}=sigint"}
    for words in (["install", "-p", prefix, "demo=2.0", "-y"], ["create", "-p", tmp_path / "new", "demo", "-y"]):
        seen = on_terminal(words, environ=more, folder=tmp_path)
        assert seen.status == 130, seen.plain
    assert _state(prefix) == before
    assert sorted(os.listdir(tmp_path)) == beside


@pytest.mark.parametrize(
    ("known", "unknown", "said"),
    [(0, 0, "nothing"), (1_200_000, 0, "1.2 MB"), (0, 2, "2 of unknown size"), (5, 1, "5 B and 1 of unknown size")],
)
def test_sizes_that_nobody_states_are_not_nothing(known: int, unknown: int, said: str) -> None:
    assert str(Transfer(known=known, unknown=unknown)) == f"{said} to fetch"

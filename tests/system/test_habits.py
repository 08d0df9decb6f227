"""Forty command lines that people type by habit: each does it, or names the command that does."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.cli.group import COMMANDS
from bridge.cli.habits import ALIASES, answer_to_command, answer_to_option
from tests.support.builders import install_record, make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge

# What is typed after `bridge` -> "does it", or a part of the answer. ENV is an environment with `demo` 1.0, NEW a free
# directory, FILE a requirements.txt, YML an environment.yml; the channel has `demo` 1.0 and 2.0, and `other`.
DOES = "does it"
TYPED = {
    "conda": {
        "create -y -n fresh demo": DOES,
        "env create -p NEW --file YML": DOES,
        "install -n mine -y other --dry-run": DOES,
        "install -p ENV --freeze-installed other": "this is the default",
        "update --all -p ENV --dry-run": DOES,
        "uninstall -p ENV demo --dry-run": DOES,
        "list -n mine ^dem": DOES,
        "search demo": DOES,
        "init bash": 'eval "$(bridge activate -n NAME)"',
        "remove -n mine --all": "bridge env remove",
    },
    "pip": {
        "install -p ENV -r FILE --dry-run": DOES,
        "install -p ENV --upgrade demo --dry-run": DOES,
        "install --user demo": "-p DIR or -n NAME names the environment",
        "install -p ENV --no-deps demo": "packages are always installed with what they require",
        "uninstall -y -p ENV demo --dry-run": DOES,
        "show demo": "bridge why NAME",
        "list -p ENV --outdated": "bridge outdated",
        "check": "bridge audit",
        "download demo": "bridge fetch",
        "freeze": "bridge export",
    },
    "uv": {
        "add -p ENV other --dry-run": DOES,
        "pip install demo": "bridge install demo",
        "venv": "bridge create -p .venv python",
        "run -p ENV sh -c true": DOES,
        "tool run demo": "bridge run -n TOOL COMMAND",
        "tree -p ENV": DOES,
        "python install 3.12": "bridge install python=3.12",
        "add --dev demo": "--group NAME",
        "cache clean": "bridge cache --prune",
        "x demo": "bridge run COMMAND",
    },
    "pixi": {
        "i -p ENV other --dry-run": DOES,
        "rm -p ENV demo --dry-run": DOES,
        "upgrade -p ENV demo --dry-run": DOES,
        "add --pypi demo": "write pypi:NAME",
        "ls -p ENV": DOES,
        "shell-hook": "bridge activate",
        "global install demo": "bridge create -n TOOL",
        "info": DOES,
        "clean": "bridge cache --prune",
        "task list": "bridge run COMMAND",
    },
}
# Forty more, found by typing what the documents of these tools show.
MORE = {
    "create --clone mine --name copy --dry-run": DOES,
    "env remove mine --dry-run": DOES,
    "env export -n mine --from-history": DOES,
    "export -n mine --format requirements-txt": DOES,
    "run -n mine --no-capture-output true": DOES,
    "tree -i demo -n mine": DOES,
    "diff mine ENV": DOES,
    "info --envs": "bridge env list",
    "info -e": "bridge env list",
    "list -n mine --revisions": "bridge history",
    "list --format=freeze": "bridge export --format requirements",
    "install --revision 1 -n mine": "bridge rollback N",
    "env update -n mine --prune": "bridge sync",
    "env export --no-builds": "--from-history",
    "env config vars set A=1": "`variables:`",
    "rename -n mine other": "--clone NAME",
    "notices": "no notices",
    "tos accept": "asks for no terms",
    "skeleton pypi x": "bridge convert REQ",
    "config --add channels conda-forge": "bridge config set --add",
    "repoquery whoneeds demo": "bridge tree --invert",
    "shell hook": "bridge activate",
    "shell init -s bash": "bridge activate",
    "compare FILE": "bridge diff A B",
    "index versions demo": "bridge search NAME",
    "hash FILE": "bridge lock",
    "wheel demo": "bridge convert REQ",
    "inspect": "bridge list --json",
    "cache dir": "where the caches are",
    "cache purge": "bridge cache --prune",
    "pip compile FILE": "bridge lock -r FILE",
    "pip sync FILE": "bridge sync LOCK",
    "pip freeze": "bridge export",
    "pip list -n mine": "bridge list -n mine",
    "publish": "rattler-build upload",
    "convert demo.whl --out-dir NEW": "-o DIR",
    "convert demo.whl -o NEW --out-format V2": "--format conda|tar.bz2",
    "convert demo.whl -o NEW --to https://example.org/channel": "rattler-build upload",
    "mirror demo -o NEW --upload": "copy it to a server",
    "index NEW --to s3://bucket": "anaconda upload",
    "format": "formats no code",
    "init": "-r FILE",
    "project channel add x": "pixi.toml or pyproject.toml",
    "workspace export conda-environment": "pixi.toml or pyproject.toml",
    "import environment.yml": "bridge create -r FILE",
    "completion --shell bash": "bridge completion bash",
    "exec demo": "bridge run",
    "self-update": "bridge self update",
}
LINES = {line: answer for lines in (*TYPED.values(), MORE) for line, answer in lines.items()}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("habits")
    for name, version in (("demo", "1.0"), ("demo", "2.0"), ("other", "1.0")):
        make_conda(folder / "channel", name, version)
    make_repodata(folder / "channel")
    make_wheel(folder / "wheels", "demo", "3.0")
    return folder


@pytest.mark.parametrize("line", [line for line in LINES if LINES[line] == DOES])
def test_a_habit_is_understood(line: str, packages: Path, tmp_path: Path) -> None:
    bridge = Bridge.of_folder(tmp_path, packages=packages, HOME=str(tmp_path / "home"))
    for prefix in (tmp_path / "ENV", tmp_path / "home/.conda/envs/mine"):
        install_record(prefix, "demo", "1.0", requested_specs=["demo"])
    (tmp_path / "FILE").write_text("# platform: linux-64\ndemo=1.0=0\n")
    (tmp_path / "YML").write_text("name: x\ndependencies:\n  - demo\n")
    ran = bridge(*shlex.split(line))
    assert ran.status == 0, ran.err


@pytest.mark.parametrize("line", [line for line in LINES if LINES[line] != DOES])
def test_a_habit_is_answered(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    expected = LINES[line]
    status = main(shlex.split(line))
    out, err = capsys.readouterr()
    assert (status, out) == (2, ""), err
    assert expected in err.split("hint: ", 1)[1]


def test_there_are_ten_lines_of_each_tool() -> None:
    assert {tool: len(lines) for tool, lines in TYPED.items()} == dict.fromkeys(("conda", "pip", "uv", "pixi"), 10)
    assert len(LINES) >= 80


def test_an_answer_names_only_commands_that_there_are() -> None:
    assert answer_to_command("freeze", {"export"}) is not None
    assert answer_to_command("freeze", {"list"}) is None
    assert answer_to_command("nonsense", COMMANDS) is None
    assert answer_to_option("uninstall", "--all", {"env"}) == answer_to_option("remove", "--all", {"env"})
    assert answer_to_option("list", "--outdated", {"list"}) is None
    assert set(ALIASES.values()) <= set(COMMANDS)


def test_unknown_words_are_compared_with_commands(tmp_path: Path) -> None:
    bridge = Bridge.of_folder(tmp_path)
    for word, near in (("instal", "install"), ("actvate", "activate"), ("uninstal", "uninstall")):
        ran = bridge(word)
        assert (ran.status, f"did you mean {near}" in ran.err) == (2, True), ran.err
    assert "see `bridge --help`" in bridge("qqqq").err


def test_a_file_of_constraints_is_no_channel(tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").write_text("demo<2\n")
    ran = Bridge.of_folder(tmp_path)("install", "-p", tmp_path, "-c", "constraints.txt", "demo")
    assert (ran.status, "channel-file" in ran.err) == (2, True)


def test_options_before_the_command_and_the_file_of_conda_env(tmp_path: Path, packages: Path) -> None:
    bridge = Bridge.of_folder(tmp_path, packages=packages, HOME=str(tmp_path / "home"))
    ran = bridge("-n", "mine", "list")
    assert (ran.status, "bridge list -n" in ran.err) == (2, True)
    (tmp_path / "e.yml").write_text("name: named\ndependencies:\n  - demo\n")
    ran = bridge("env", "create", "-f", "e.yml", "--json")
    assert (ran.status, ran.document["prefix"]) == (0, str(tmp_path / "home/.conda/envs/named")), ran.err
    assert "no pins" in bridge("pin", "-n", "named").err
    assert bridge("env", "remove", "-n", "named").status == 0


def test_several_platforms_are_refused_where_a_command_serves_one(tmp_path: Path) -> None:
    ran = Bridge.of_folder(tmp_path)("resolve", "demo", "--platform", "linux-64", "--platform", "win-64")
    assert (ran.status, "`bridge resolve` serves one platform" in ran.err) == (2, True), ran.err


def test_formats_have_their_usual_names(tmp_path: Path, packages: Path) -> None:
    bridge = Bridge.of_folder(tmp_path, packages=packages)
    assert bridge("create", "-p", "env", "demo").status == 0
    for name, word in (
        ("pylock.toml", "lock-version"),
        ("environment.yml", "dependencies"),
        ("pixi.lock", "version: 6"),
    ):
        ran = bridge("export", "-p", "env", "--format", name)
        assert (ran.status, word in ran.out) == (0, True), ran.err

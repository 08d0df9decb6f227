"""Forty command lines that people type by habit: each does it, or names the command that does."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bridge.cli import main
from bridge.cli.declaring import COMMANDS
from bridge.cli.habits import ALIASES, answer_to_command, answer_to_option, translated
from bridge.cli.habits.answers import OPTIONS
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
        "install -p ENV --freeze-installed other": DOES,
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
    "env export --no-builds -n mine": DOES,
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
    "completion --shell bash": DOES,
    "exec demo": "bridge run",
    "self-update": "bridge self update",
}
# Seventy more: options and words that mean what bridge has under another name, or what it does anyway.
OTHERS = {
    "create -n fresh --no-default-packages demo --dry-run": DOES,
    "create -n fresh demo -d": DOES,
    "create -n fresh --copy demo --dry-run --offline": DOES,
    "create -n fresh --manifest-path YML --dry-run": DOES,
    "env ls": DOES,
    "env info": DOES,
    "env rm mine --dry-run": DOES,
    "env export -f out.yml -n mine": DOES,
    "env create -n new -f YML --force": "bridge env remove NAME",
    "env clone mine": "--clone NAME",
    "env install demo": "bridge install",
    "install -n mine --solver=libmamba --no-update-deps other --dry-run": DOES,
    "install -n mine --repodata-fn current_repodata.json other --dry-run": DOES,
    "install -n mine --subdir=linux-64 --strict-channel-priority other --dry-run": DOES,
    "install -n mine --use-index-cache other": "--offline",
    "install -n mine --clobber other": "--allow-clobber PATTERN",
    "install -n mine --shortcuts other": "bridge run",
    "install -n mine --download-only other": "bridge fetch LOCK",
    "list -n mine --show-channel-urls": DOES,
    "list -n mine --format=json": DOES,
    "list -n mine --explicit": "bridge export --format explicit",
    "list -n mine --no-pip": "bridge list --json",
    "search --full-name demo --subdir linux-64": DOES,
    "search --envs demo": "bridge env list",
    "info --all": DOES,
    "info --base": "bridge env list",
    "conda activate mine": "bridge activate mine",
    "mamba repoquery whoneeds demo": "bridge tree --invert",
    "install -p ENV --requirement FILE --no-input --disable-pip-version-check --dry-run": DOES,
    "install -p ENV demo -i INDEX --no-index --dry-run": DOES,
    "install -p ENV --progress-bar off --root-user-action=ignore demo --dry-run": DOES,
    "install -p ENV --upgrade-strategy only-if-needed demo --dry-run": DOES,
    "install -p ENV --only-binary=:all: --uploaded-prior-to 2030-01-01 demo --dry-run": DOES,
    "install -p ENV --only-binary demo demo": "--no-build",
    "install -p ENV --require-hashes -r FILE": "PIP_REQUIRE_HASHES=1",
    "install -p ENV --report out.json demo": "--dry-run --json",
    "install -p ENV --timeout 5 demo": "bridge config set timeout VALUE",
    "install -p ENV --cert x demo": "BRIDGE_CA_BUNDLE=VALUE",
    "install -p ENV --config-settings a=b demo": "./FILE.whl",
    "install -p ENV --ignore-requires-python demo": "bridge create -n NAME python=3.12",
    "uninstall -p ENV -r FILE -y": DOES,
    "list -p ENV --path lib": "-p DIR names the environment",
    "help install": DOES,
    "-V": DOES,
    "add -p ENV --git https://example.org/a demo": "NAME @ git+https",
    "add -p ENV --script a.py demo": "bridge install -r SCRIPT",
    "add -p ENV --bounds lower demo": "'NAME>=1'",
    "lock -r FILE -U --dry-run -o new.lock": DOES,
    "lock -r FILE -P demo --dry-run -o new.lock": DOES,
    "lock --python 3.12 -r FILE": "bridge lock python=3.12",
    "lock -n mine": "bridge export",
    "sync -p ENV --all-extras": "--extra NAME",
    "export -p ENV --no-hashes": DOES,
    "tree -p ENV -d 1": DOES,
    "tree -p ENV --reverse --package demo": DOES,
    "tree -p ENV --outdated": "bridge outdated",
    "run -p ENV --with demo true": "bridge create -n NAME REQ",
    "run -p ENV -m http.server": "bridge run python -m MODULE",
    "run -p ENV --no-sync true": "changes no environment",
    "run -p ENV --env-file x true": "bridge run env NAME=VALUE",
    "run -p ENV -e dev true": "-n NAME names the environment",
    "uvx demo": "bridge run -n TOOL COMMAND",
    "uv pip install demo": "bridge install demo",
    "self version": "bridge --version",
    "generate-shell-completion bash": "bridge completion bash",
    "completion -s zsh": DOES,
    "shell -e test": "-n NAME",
    "shell -n mine --change-ps1 false": "changeps1",
    "undo": "bridge rollback",
    "delete demo": "bridge remove NAME",
    "which python": "bridge owner PATH",
    "envs": "bridge env list",
    "licenses": "bridge list -v",
}
# Sixty more, of the first hour of people who know conda, mamba, pip, uv, pixi, poetry or conda-lock.
HOURS = {
    "env create environment.yml": "-r environment.yml",
    "create -n new uv.lock": "-r uv.lock",
    "create -n new requirements.txt": "-r requirements.txt",
    "create -n new ./requirements.txt": "-r ./requirements.txt",
    "lock pyproject.toml": "-r pyproject.toml",
    "install -r FILE -c constraints.txt": "pip's constraints",
    "list -n mine --no-builds": "bridge export --no-builds",
    "package --which bin/python": "bridge owner PATH",
    "env info --path": "bridge env list",
    "env list --full-path": DOES,
    "search --only-name demo": DOES,
    "search -N demo": DOES,
    "search -l 1 demo": DOES,
    "config path --global": DOES,
    "shell -n mine -c true": "bridge run -n NAME COMMAND",
    "shell completion": "bridge completion SHELL",
    "run python -V -n mine": "options of bridge come before COMMAND",
    "outdated demo -p ENV": DOES,
    "remove -p ENV --file FILE --dry-run": DOES,
    "create -n new demo@latest": "write demo",
    "create -n new demo@1.0": "write 'demo==1.0'",
    "create -n new demo@^1.2": "write 'demo>=1.2,<2'",
    "create -n new 'demo[x]@>=1,<3'": "write 'demo[x]>=1,<3'",
    "create -n new demo^0.3": "write 'demo>=0.3,<0.4'",
    "create -n new demo~1.2": "write 'demo>=1.2,<1.3'",
    "add -G test demo": "--group NAME",
    "install --with dev": "--group NAME",
    "install --without test": "--group NAME",
    "install --no-root": "--group NAME",
    "install --sync": "bridge sync LOCK",
    "install --skip demo": "out of the requirements",
    "create -n new -E test -r absent/pyproject.toml": "check the path",
    "update --lock": "bridge lock --upgrade",
    "lock --regenerate -r FILE --dry-run -o new.lock": DOES,
    "lock --no-update -r FILE --dry-run -o new.lock": DOES,
    "lock -f YML -p linux-64 --dry-run -o new.lock": DOES,
    "lock -f YML -p linux-64 -p osx-arm64 --dry-run -o new.lock": DOES,
    "lock --micromamba --conda x -f YML --dry-run -o new.lock": DOES,
    "lock --check-input-hash --dev-dependencies -f YML --dry-run -o new.lock": DOES,
    "lock --filename-template 'x-{platform}.lock' -f YML": "-o FILE",
    "lock --virtual-package-spec vp.yml -f YML": "--virtual-package",
    "lock --without-cuda -f YML": "__cuda=VERSION",
    "export --with dev": "bridge lock -r pyproject.toml",
    "export --no-dev": "bridge lock -r pyproject.toml",
    "export -f out.txt --without-hashes -p ENV": DOES,
    "conda-lock -f environment.yml": "bridge lock -r FILE -o conda-lock.yml",
    "conda-lock install": "bridge lock -r FILE -o conda-lock.yml",
    "render -p linux-64": "bridge export LOCK --format explicit",
    "python pin 3.12": "bridge pin",
    "source add x https://example.org": "index-url",
    "self add poetry-plugin-export": "no plugins",
    "self show": "bridge self check",
    "about": "bridge info",
    "clean --all": "--older-than 0d",
    "clean -tipy": "--older-than 0d",
    "project info": "pixi.toml or pyproject.toml",
    "workspace platform add win-64": "pixi.toml or pyproject.toml",
    "cache clear --all pypi": "--older-than 0d",
    "global upgrade-all": "bridge create -n TOOL",
    "install --locked": "bridge sync LOCK",
    "audit --ignore-vuln X": "bridge audit --baseline FILE",
    "audit -r requirements.txt": "bridge create -n NAME -r FILE",
    "audit --format json": "--json",
    "audit --report out.html": "--html FILE",
    "audit --strict": "--fail-on info",
}
LINES = {line: answer for lines in (*TYPED.values(), MORE, OTHERS, HOURS) for line, answer in lines.items()}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("habits")
    for name, version in (("demo", "1.0"), ("demo", "2.0"), ("other", "1.0")):
        make_conda(folder / "channel", name, version)
    make_repodata(folder / "channel")
    make_wheel(folder / "wheels", "demo", "3.0")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=pytest.mark.slow if line in OTHERS or line in HOURS else ())
        for line in LINES
        if LINES[line] == DOES
    ],
)
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
    assert len(LINES) >= 150


def test_the_value_of_an_option_that_needs_none_may_start_with_a_dash(tmp_path: Path) -> None:
    install_record(tmp_path / "env", "demo", "1.0", requested_specs=["demo"])
    bridge = Bridge.of_folder(tmp_path)
    assert bridge("audit", "-p", "env", "--checks=-world-writable,-files", "--json").document["findings"] == []
    ran = bridge("audit", "-p", "env", "--checks=-nonsense")
    assert (ran.status, "nonsense" in ran.err) == (2, True), ran.err
    assert "world-writable" in bridge("audit", "--checks").out


def test_options_of_other_tools_keep_what_bridge_declares() -> None:
    declared = {"-r", "--file", "-c", "--platform"}
    assert translated("install", ["-r", "a", "--subdir=x", "demo"], declared) == ["-r", "a", "--platform=x", "demo"]
    assert translated("add", ["--solver", "x", "demo", "-S"], declared) == ["demo"]
    assert translated("install", ["--", "--solver"], declared) == ["--", "--solver"]
    assert translated("uninstall", ["-i", "x", "--unknown"], declared) == ["--index-url", "x", "--unknown"]


def test_an_answer_names_only_commands_that_there_are() -> None:
    assert answer_to_command("freeze", {"export"}) is not None
    assert answer_to_command("freeze", {"list"}) is None
    assert answer_to_command("nonsense", COMMANDS) is None
    assert answer_to_option("uninstall", "--all", {"env"}) == answer_to_option("remove", "--all", {"env"})
    assert answer_to_option("list", "--outdated", {"list"}) is None
    assert set(ALIASES.values()) <= set(COMMANDS)
    named = [words[1] for _, _, text in OPTIONS if (words := text.split())[0] == "bridge"]
    assert [word for word in named if word not in COMMANDS] == []


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
    assert (ran.status, "this command serves one platform" in ran.err) == (2, True), ran.err


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


def test_what_a_file_names_is_removed_where_it_is_installed(tmp_path: Path) -> None:
    """Whatever its marker, as with pip."""
    for name in ("demo", "other", "stays"):
        install_record(tmp_path / "env", name, "1.0", requested_specs=[name])
    (tmp_path / "requirements.txt").write_text("demo>=0.5\nnowhere\nother; sys_platform == 'win32'\n")
    bridge = Bridge.of_folder(tmp_path)
    ran = bridge("remove", "-p", "env", "--file", "requirements.txt")
    assert (ran.status, "not installed, so not removed: nowhere" in ran.err) == (0, True), ran.err
    assert [each["name"] for each in bridge("list", "-p", "env", "--json").document["packages"]] == ["stays"]
    ran = bridge("remove", "-p", "env")
    assert (ran.status, "bridge remove -r FILE" in ran.err) == (2, True), ran.err

"""bridge as a package: the conda package of itself, the GitHub action, and the hooks of pre-commit."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bridge.cli.group import declared
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge, clean_environment

ROOT = Path(__file__).resolve().parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
HOOKS = {each["id"]: each for each in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))}


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.usefixtures("real_index")
def test_the_conda_package_of_itself_runs_in_an_environment_of_host(tmp_path: Path, bridge_cache: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("bridge", "converters", "pyproject.toml", "README.md", "LICENSE"):
        origin = ROOT / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, source)
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    kept["BRIDGE_INDEX_STRATEGY"] = "best"  # of the indexes that pip's configuration names, as pip itself
    bridge = Bridge(cache=bridge_cache, index=None, folder=tmp_path, environ=kept)
    made = bridge("convert", "./source", "--index", "-o", "channel", "-c", "host", "--json")
    assert made.status == 0, made.err
    assert {each["name"] for each in made.document["packages"]} == {"conda-bridge"}
    created = bridge("create", "-p", "env", "--override-channels", "-c", "host", "-c", "./channel", "conda-bridge")
    assert created.status == 0, created.err
    program = tmp_path / "env/bin/bridge"
    environ = clean_environment() | {"HOME": str(tmp_path), "PATH": f"{program.parent}{os.pathsep}/usr/bin"}
    version, check = (
        subprocess.run([program, *words], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        for words in (["--version"], ["self", "check", "--json"])
    )
    assert version.stdout.startswith("bridge, version "), version.stderr
    levels = {each["id"]: each["level"] for each in json.loads(check.stdout)["checks"]}
    assert (check.returncode, set(levels.values())) == (0, {"ok"}), check.stdout
    assert bridge("audit", "-p", "env").status == 0


# The action


def test_the_action_names_inputs_and_files_that_are_there() -> None:
    text = (ROOT / "action.yml").read_text("utf-8")
    assert set(re.findall(r"inputs\.(\w+)", text)) == set(ACTION["inputs"])
    scripts = re.findall(r"\$GITHUB_ACTION_PATH/(\S+\.sh)", text)
    assert len(scripts) == 2
    assert all((ROOT / each).is_file() for each in scripts)
    for step in ACTION["runs"]["steps"]:
        assert "uses" in step or step["shell"] == "bash"
        assert "${{" not in step.get("run", ""), "an input in a script would be code"
        script = (ROOT / each).read_text("utf-8") if (each := _script(step)) else step.get("run", "")
        assert set(re.findall(r"INPUT_\w+", script)) <= set(step.get("env", {})), step


def _script(step: dict[str, str]) -> str | None:
    found = re.search(r"\$GITHUB_ACTION_PATH/(\S+\.sh)", step.get("run", ""))
    return found[1] if found else None


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    make_python(folder / "channel", "3.12")
    make_conda(folder / "channel", "lib", "1.0", subdir="linux-64", noarch=None)
    make_repodata(folder / "channel")
    make_wheel(folder / "wheels", "demo", "1.0", files={"demo/__init__.py": b""})
    return folder


@pytest.fixture
def bridge(packages: Path, tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path, packages)


@pytest.fixture
def runner(bridge: Bridge, tmp_path: Path) -> dict[str, str]:
    """The variables of a step, with this interpreter's bridge on PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "bridge").write_text(f'#!/bin/sh\nexec {sys.executable} -m bridge "$@"\n')
    (programs / "bridge").chmod(0o755)
    files = {name: str(tmp_path / name) for name in ("GITHUB_PATH", "GITHUB_ENV", "GITHUB_OUTPUT")}
    own = {"GITHUB_ACTION_PATH": str(ROOT), "RUNNER_TEMP": str(tmp_path / "runner"), "HOME": str(tmp_path)}
    own |= {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    return clean_environment() | dict(bridge.environ) | files | own | {"BRIDGE_CACHE_DIR": str(bridge.cache)}


def specify(folder: Path, *dependencies: str) -> None:
    text = "".join(f"  - {each}\n" for each in dependencies)
    (folder / "environment.yml").write_text(f"dependencies:\n{text}")


def step(word: str, folder: Path, environ: dict[str, str], **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run the step of the action whose script has a word, with its default inputs."""
    (found,) = (each for each in ACTION["runs"]["steps"] if word in each.get("run", ""))
    given = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()} | inputs
    named = {name: given[re.sub(r"\W|inputs", "", text)] for name, text in found["env"].items()}
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", found["run"]],
        cwd=folder, env=environ | named, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_action_installs_what_a_lock_says_and_audits_it(
    bridge: Bridge, runner: dict[str, str], tmp_path: Path
) -> None:
    specify(tmp_path, "python", "lib", "pip: [demo]")
    assert bridge("lock", "-r", "environment.yml").status == 0
    done = step("sync.sh", tmp_path, runner, lock="bridge.lock", prefix="./made here")
    assert done.returncode == 0, done.stderr
    audited = step("audit", tmp_path, runner, prefix="./made here")
    assert (audited.returncode, "::error" in audited.stdout) == (0, False), audited.stderr
    (tmp_path / "made here/share/lib/lib.txt").unlink()
    audited = step("audit", tmp_path, runner, prefix="./made here")
    assert (audited.returncode, "::error" in audited.stdout) == (11, True), audited.stderr


@pytest.mark.slow
def test_the_action_refuses_a_lock_that_no_longer_fits(bridge: Bridge, runner: dict[str, str], tmp_path: Path) -> None:
    specify(tmp_path, "python")
    assert bridge("lock", "-r", "environment.yml").status == 0
    specify(tmp_path, "python", "lib")
    done = step("sync.sh", tmp_path, runner, lock="bridge.lock")
    assert (done.returncode, "lock-outdated" in done.stderr, (tmp_path / "env").exists()) == (6, True, False)
    done = step("sync.sh", tmp_path, runner, lock="bridge.lock", check="false")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("version", "what"), [("", str(ROOT)), ("0.1.0", "conda-bridge==0.1.0"), ("./dist/x.whl", "./dist/x.whl")]
)
def test_the_action_installs_bridge_where_the_next_steps_find_it(
    version: str, what: str, runner: dict[str, str], tmp_path: Path
) -> None:
    """A python that makes no environment but writes down what it was asked for stands in the place of pip."""
    python = tmp_path / "programs/fake"
    python.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit; fi\n'
        f'echo "$@" > {tmp_path / "asked"}; cp {tmp_path / "programs/bridge"} "$(dirname "$0")/bridge"\n'
    )
    python.chmod(0o755)
    done = step("install.sh", tmp_path, runner, version=version, python=str(python))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_text().split() == ["-m", "pip", "install", "--quiet", what]
    folder = Path((tmp_path / "GITHUB_PATH").read_text().strip())
    assert [each.name for each in folder.iterdir()] == ["bridge"]
    output = dict(line.split("=", 1) for line in (tmp_path / "GITHUB_OUTPUT").read_text().splitlines())
    assert output["prefix"] == "./env"
    assert (tmp_path / "GITHUB_ENV").read_text() == f"BRIDGE_CACHE_DIR={output['cache']}\n"
    assert "dependencies" in done.stdout, "it checks what it installed"


# The hooks


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_calls_a_command_that_is_there(name: str) -> None:
    words = HOOKS[name]["entry"].split()
    command = declared(words[1])
    options = {option for parameter in command.params for option in parameter.opts}
    assert words[0] == "bridge"
    assert set(words[2:]) <= options


def test_the_hook_of_locks_runs_for_what_a_lock_is_made_from() -> None:
    pattern = re.compile(HOOKS["bridge-lock-check"]["files"])
    seen = ["bridge.lock", "a/pixi.lock", "conda-lock.yml", "pylock.toml", "pylock.dev.toml", "pyproject.toml"]
    seen += ["pixi.toml", "environment.yml", "environment-dev.yaml", "requirements-dev.txt"]
    assert [each for each in seen if not pattern.search(each)] == []
    assert [each for each in ("setup.py", "docs/lock.md", "mypixi.toml", "uv.lock.orig") if pattern.search(each)] == []


@pytest.mark.slow
def test_pre_commit_runs_the_hooks(bridge: Bridge, runner: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("pre_commit")
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    project = tmp_path / "project"
    project.mkdir()
    specify(project, "python", "lib")
    made = bridge("lock", "-r", "project/environment.yml", "-o", "project/bridge.lock")
    assert made.status == 0, made.err
    assert bridge("sync", "-p", "env", "project/bridge.lock").status == 0
    # As the hooks are, but with the bridge on PATH: pre-commit would install one from an index.
    local = [{**each, "language": "system"} for each in HOOKS.values()]
    local = [
        {**each, "args": ["-p", str(tmp_path / "env")]} if each["id"] == "bridge-audit" else each for each in local
    ]
    (project / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": local}]}))

    def hooks() -> tuple[int, str]:
        subprocess.run(["git", "add", "."], cwd=project, env=runner, check=True)
        words = [sys.executable, "-m", "pre_commit", "run", "--color", "never"]
        done = subprocess.run(words, cwd=project, env=runner, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    subprocess.run(["git", "init", "-q"], cwd=project, env=runner, check=True)
    status, output = hooks()
    assert (status, output.count("Passed")) == (0, 2), output
    specify(project, "python", "lib", "pip: [demo]")
    (tmp_path / "env/share/lib/lib.txt").unlink()
    status, output = hooks()
    assert (status, output.count("Failed")) == (1, 2), output
    assert "lock-outdated" in output
    assert "missing-file" in output

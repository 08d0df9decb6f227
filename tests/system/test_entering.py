"""`run`, `shell`, `activate` and `deactivate`: a bridge-made environment is entered without a conda."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import jsonschema
import pytest

from bridge.cli.shells import lines
from bridge.config.activation import activated, deactivated
from tests.support.builders import install_record
from tests.support.command_line import Bridge, clean_environment

TRICKY = 'it\'s "q" $HOME `id` \\ \u2019\nnext'


@pytest.fixture
def env(tmp_path: Path) -> Path:
    prefix = tmp_path / "home/.conda/envs/science"
    for below in ("conda-meta", "bin", "etc/conda/activate.d", "etc/conda/deactivate.d", "etc/conda/env_vars.d"):
        (prefix / below).mkdir(parents=True)
    (prefix / "etc/conda/activate.d/a.sh").write_text("echo noise; export FROM_SCRIPT=$OF_STATE\n")
    (prefix / "etc/conda/deactivate.d/a.sh").write_text("unset FROM_SCRIPT\n")
    (prefix / "etc/conda/env_vars.d/package.json").write_text('{"OF_PACKAGE": "1", "OF_STATE": "beaten"}')
    state = {"version": 1, "env_vars": {"OF_STATE": TRICKY, "GONE": "***unset***"}}
    (prefix / "conda-meta/state").write_text(json.dumps(state))
    return prefix


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path, HOME=str(tmp_path / "home"))


def schema(name: str) -> dict[str, object]:
    text = (Path(__file__).parents[2] / "bridge/schemas" / f"{name}.json").read_text("utf-8")
    return dict(json.loads(text))


def test_run_passes_on_the_status_the_variables_and_the_arguments(env: Path, bridge: Bridge) -> None:
    text = 'printf "%s|" "$@" "$CONDA_DEFAULT_ENV" "$CONDA_PREFIX" "$FROM_SCRIPT" "$GONE"; exit 7'
    ran = bridge("run", "-n", "science", "sh", "-c", text, "sh", "--json", "-p", "two words")
    assert ran.status == 7
    assert ran.out == f"--json|-p|two words|science|{env}|{TRICKY}||"
    assert ran.err == "noise\n"


def test_run_looks_for_the_command_in_the_environment_first(env: Path, bridge: Bridge) -> None:
    shutil.rmtree(env / "etc")
    (env / "bin/cat").write_text("#!/bin/sh\necho ours\n")
    (env / "bin/cat").chmod(0o755)
    assert bridge("run", "-p", env, "cat").out == "ours\n"
    (env / "bin/cat").chmod(0o644)
    ran = bridge("run", "-p", env, env / "bin/cat")
    assert (ran.status, "command-not-executable" in ran.err) == (126, True)
    ran = bridge("run", "-p", env, "no-such-command")
    assert (ran.status, "command-not-found" in ran.err) == (127, True)
    ran = bridge("run", "-n", "sciense", "true")
    assert (ran.status, "did you mean science?" in ran.err) == (2, True)


def test_run_keeps_standard_input_and_signals(env: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bridge", "run", "-p", str(env)]
    environ = clean_environment()
    done = subprocess.run([*words, "cat"], input="typed", capture_output=True, text=True, env=environ, check=False)
    assert (done.returncode, done.stdout) == (0, "typed")
    with subprocess.Popen(
        [*words, "sh", "-c", "echo ready; exec sleep 60"], stdout=subprocess.PIPE, env=environ
    ) as ran:
        assert ran.stdout is not None
        assert ran.stdout.readline() == b"ready\n"
        ran.send_signal(signal.SIGTERM)
        assert ran.wait(10) == -signal.SIGTERM


def test_run_as_a_document(env: Path, bridge: Bridge) -> None:
    ran = bridge("run", "-p", env, "--json", "--cwd", "/", "sh", "-c", "pwd; echo wrong >&2; kill -9 $$")
    jsonschema.validate(ran.document, schema("run"))
    assert (ran.status, ran.document["status"]) == (137, 137)
    assert (ran.document["stdout"], ran.document["stderr"]) == ("/\n", "noise\nwrong\n")


def evaluated(shell: str, text: str, environ: dict[str, str]) -> dict[str, str]:
    dump = f"{sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    done = subprocess.run([shell, "-c", f"{text}\n{dump}"], env=environ, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("shell", ["bash", "sh", "zsh"])
def test_activate_and_deactivate_undo_each_other(shell: str, env: Path, bridge: Bridge) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    before = {"PATH": os.environ["PATH"], "HOME": str(env.parents[2]), "OF_STATE": "mine"}
    ran = bridge("activate", "science", "--shell", shell)
    assert ran.status == 0, ran.err
    # The lines were computed for the calling process, so its variables count; here PATH is the same.
    inside = evaluated(shell, lines(activated(env, "science", before), shell), before)
    assert (inside["OF_STATE"], inside["FROM_SCRIPT"], inside["OF_PACKAGE"]) == (TRICKY, TRICKY, "1")
    assert inside["PATH"].split(":")[0] == str(env / "bin")
    assert (inside["CONDA_SHLVL"], inside["CONDA_DEFAULT_ENV"], inside["CONDA_PREFIX"]) == ("1", "science", str(env))
    change = deactivated({}, inside)
    assert change is not None
    after = evaluated(shell, lines(change, shell), inside)
    of_shells = {"_", "PWD", "SHLVL", "OLDPWD", "LC_CTYPE", "LOGNAME"}
    assert {name: after[name] for name in after.keys() - of_shells} == {**before, "CONDA_SHLVL": "0"}


def test_environments_are_stacked_as_conda_stacks_them(env: Path, tmp_path: Path) -> None:
    (tmp_path / "other/conda-meta").mkdir(parents=True)
    first = activated(env, "science", {"PATH": "/bin"}).applied({"PATH": "/bin"})
    second = activated(tmp_path / "other", "x", first).applied(first)
    assert (second["CONDA_SHLVL"], second["CONDA_PREFIX_1"]) == ("2", str(env))
    assert (second["PATH"], "OF_STATE" in second) == (f"{tmp_path / 'other/bin'}:/bin", False)
    back = deactivated({env: "science"}, second)
    assert back is not None
    third = back.applied(second)
    assert {name: third[name] for name in first} == first
    again = activated(env, "science", third)
    assert (again.applied(third)["CONDA_SHLVL"], len(again.before), len(again.after)) == ("1", 1, 1)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ('{"env_vars": {"A;touch /tmp/x": "1"}}', "cannot be the name of a variable"),
        ('{"env_vars": ["A"]}', "not an object"),
        ("{", "not a JSON"),
        ('{"env_vars": {"A": {"b": 1}}}', "not a text"),
    ],
)
def test_a_state_file_that_no_shell_could_use_is_refused(state: str, reason: str, env: Path, bridge: Bridge) -> None:
    (env / "conda-meta/state").write_text(state)
    for command in ("activate", "shell"):
        ran = bridge(command, "-p", env)
        assert (ran.status, ran.out) == (3, "false\n" if command == "activate" else "")
        assert "environment-variables" in ran.err
        assert reason in ran.err


def test_a_prompt_runs_no_command(tmp_path: Path) -> None:
    prefix = tmp_path / "$(touch x)"
    (prefix / "conda-meta").mkdir(parents=True)
    assert activated(prefix, str(prefix), {"PATH": ""}).prompt == ""


def test_documents_and_errors_of_activate(env: Path, bridge: Bridge) -> None:
    for words in (("activate", "-p", env), ("shell", "-p", env), ("activate", env)):
        ran = bridge(*words, "--json", "--shell", "fish")
        jsonschema.validate(ran.document, schema("activate"))
        assert (ran.document["shell"], ran.document["variables"]["OF_STATE"]) == ("fish", TRICKY)
    assert bridge("deactivate").status == 2
    assert "--shell: 'tcsh'" in bridge("activate", "science", "--shell", "tcsh").err
    assert "not-an-environment" in bridge("activate", "-p", env / "bin").err


def test_shell_takes_its_commands_from_standard_input(env: Path) -> None:
    words = [sys.executable, "-m", "bridge", "shell", "-p", str(env), "--shell", "bash"]
    done = subprocess.run(
        words, input="echo $OF_PACKAGE; exit 5", capture_output=True, text=True, env=clean_environment(), check=False
    )
    assert (done.returncode, done.stdout) == (5, "1\n")


@pytest.mark.slow
def test_names_in_create_and_in_the_list(bridge: Bridge, tmp_path: Path) -> None:
    listing = tmp_path / "home/.conda/environments.txt"
    (tmp_path / "home").mkdir()
    environ = {"BRIDGE_CHANNEL": "host", "CONDA_REGISTER_ENVS": "true"}
    ran = bridge("create", "-n", "mine", "python", environ=environ)
    assert ran.status == 0, ran.err
    prefix = tmp_path / "home/.conda/envs/mine"
    assert listing.read_text() == f"{prefix}\n"
    ran = bridge("env", "list", "--json")
    jsonschema.validate(ran.document, schema("env"))
    assert ran.document["environments"] == [{"name": "mine", "prefix": str(prefix), "base": False, "active": False}]
    assert "python" in {row["name"] for row in bridge("list", "-n", "mine", "--json").document["packages"]}
    assert "prefix-exists" in bridge("create", "-n", "mine", "python", environ=environ).err
    assert "name it with -n NAME" in bridge("create", "python", environ={"CONDA_PREFIX": str(prefix)}).err
    (tmp_path / "environment.yml").write_text("name: from-file\ndependencies: [python]\n")
    ran = bridge("create", "-r", tmp_path / "environment.yml", "--dry-run", "--json", environ=environ)
    assert ran.document["prefix"] == str(tmp_path / "home/.conda/envs/from-file")


def test_info_names_the_source_of_each_setting(env: Path, bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "home/.condarc").write_text("channel_priority: flexible\n")
    (tmp_path / "pip.conf").write_text("[global]\ntimeout = 7\nindex-url = https://me:secret@pypi.example/simple\n")
    environ = {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), "PIP_NO_INDEX": ""}
    environ |= {"BRIDGE_PATIENCE": "5", "PIP_RETRIES": "2"}
    ran = bridge("info", "-n", "science", "--prefer", "newest", "--json", environ=environ)
    assert ran.status == 0, ran.err
    document = ran.document
    jsonschema.validate(document, schema("info"))
    assert document["environment"] == {"prefix": str(env), "name": "science", "source": "-n"}
    sources = {each["name"]: (each["value"], each["source"]) for each in document["settings"]}
    assert sources["prefer"] == ("newest", "--prefer")
    assert sources["patience"] == ("5.0", "BRIDGE_PATIENCE")
    assert sources["timeout"] == ("7.0", str(tmp_path / "pip.conf"))
    assert sources["retries"] == ("2", "PIP_RETRIES")
    assert sources["channel-priority"] == ("flexible", str(tmp_path / "home/.condarc"))
    assert sources["durability"] == ("batched", "default")
    assert sources["index-url"][1] == str(tmp_path / "pip.conf")
    assert "secret" not in ran.out


def test_an_environment_is_removed_with_its_line_in_the_list(env: Path, bridge: Bridge, tmp_path: Path) -> None:
    listing = tmp_path / "home/.conda/environments.txt"
    listing.write_text(f"{env}\n/other\n")
    ran = bridge("env", "remove", "-n", "science", "--dry-run", "--json")
    jsonschema.validate(ran.document, schema("env"))
    assert (ran.document["removed"], env.is_dir()) == (False, True)
    ran = bridge("env", "remove", "science")
    assert (ran.status, listing.read_text()) == (0, "/other\n"), ran.err
    assert sorted(path.name for path in env.parent.iterdir()) == []


def test_an_environment_that_is_named_without_an_option(env: Path, bridge: Bridge, tmp_path: Path) -> None:
    ran = bridge("diff", "science", env)
    assert (ran.status, "science" in ran.err + ran.out) == (0, False), ran.err
    assert "did you mean science?" in bridge("diff", "sciense", env).err
    assert bridge("env", "remove", "science", "-n", "science").status == 2
    install_record(tmp_path / "science", "demo", "1.0")
    ran = bridge("env", "remove", "science")
    assert (ran.status, "-n science or -p ./science" in ran.err) == (2, True), ran.err
    assert bridge("env", "remove", "./science").status == 0
    assert (env.is_dir(), (tmp_path / "science").exists()) == (True, False)


def test_what_must_not_be_removed_is_not(env: Path, bridge: Bridge, tmp_path: Path) -> None:
    inner = env / "envs/inner/conda-meta"
    inner.mkdir(parents=True)
    (tmp_path / "home/.conda/environments.txt").write_text(f"{inner.parent}\n")
    ran = bridge("env", "remove", "-p", env)
    assert (ran.status, "contains the environment" in ran.err) == (4, True)
    shutil.rmtree(env / "envs")
    ran = bridge("env", "remove", "-p", env, environ={"CONDA_PREFIX": str(env)})
    assert (ran.status, "it is active" in ran.err) == (4, True)
    ran = bridge("env", "remove", "-p", env, environ={"CONDA_ROOT": str(env)})
    assert (ran.status, "conda's own" in ran.err) == (4, True)
    (tmp_path / "link").symlink_to(env)
    assert bridge("env", "remove", "-p", tmp_path / "link").status == 4
    (env / "conda-meta/frozen").write_text("{}")
    assert bridge("env", "remove", "-p", env).status == 4
    assert bridge("env", "remove", environ={"CONDA_PREFIX": str(env)}).status == 2
    assert bridge("env", "remove", "-p", tmp_path).status == 2
    assert env.is_dir()
    assert bridge("env", "remove", "-p", env, "--override-frozen", "-y").status == 0


def test_a_shell_on_a_terminal_is_activated_after_its_start_up_file(env: Path, tmp_path: Path) -> None:
    (tmp_path / "home/.bashrc").write_text("PATH=/usr/bin:/bin; PS1='> '; export FROM_RC=1\n")
    environ = clean_environment() | {"HOME": str(tmp_path / "home"), "TERM": "dumb"}
    words = [sys.executable, "-m", "bridge", "shell", "-n", "science", "--shell", "bash"]
    terminal, end = pty.openpty()
    with subprocess.Popen(words, stdin=end, stdout=end, stderr=end, env=environ, start_new_session=True) as process:
        os.close(end)
        os.write(terminal, b"echo [$CONDA_DEFAULT_ENV:$FROM_RC:${PATH%%:*}]; exit 3\n")
        shown = b""
        with suppress(OSError):  # The terminal's end when the process has closed it (Linux).
            while block := os.read(terminal, 4096):
                shown += block
        os.close(terminal)
    assert process.returncode == 3
    assert f"[science:1:{env}/bin]".encode() in shown


@pytest.mark.parametrize("shell", ["bash", "sh", "zsh"])
def test_a_strict_script_can_enter_though_scripts_read_unset_variables(shell: str, env: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = env / "etc/conda/activate.d/unset.sh"
    script.write_text('export OLD="$SET_NOWHERE"\nexport READ=1\n')
    environ = {"PATH": os.environ["PATH"], "HOME": str(env.parents[2])}
    text = lines(activated(env, "science", environ), shell)
    assert evaluated(shell, f"set -eu\n{text}", environ)["READ"] == "1"
    done = subprocess.run(
        [shell, "-c", f"set -u\n{text}\necho $SET_NOWHERE"], env=environ, capture_output=True, check=False
    )
    assert done.returncode != 0, "set -u holds again after the scripts"


def test_a_script_stops_where_an_environment_cannot_be_entered(bridge: Bridge) -> None:
    """`eval ""` succeeds, also under `set -e`: the script would go on in another environment."""
    ran = bridge("activate", "-n", "absent")
    assert (ran.status, ran.out) == (2, "false\n"), ran.err
    assert bridge("activate", "-n", "absent", "--shell", "powershell").out == ""


def test_a_command_in_one_word_has_its_own_answer(env: Path, bridge: Bridge) -> None:
    ran = bridge("run", "-p", env, "sh -c true")
    assert (ran.status, "as separate words" in ran.err) == (127, True), ran.err

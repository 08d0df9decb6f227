"""Link scripts: named and not run by default; where they are allowed they run, and one that fails undoes everything.

CEP 34 has clients run them; bridge does so only when asked (docs/decisions).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridge.install.link_scripts import LinkScript, scripts_of
from bridge.model import Install, Plan, Resolved
from converters.record import Record
from tests.support.builders import make_conda, make_repodata, tree_digest
from tests.support.command_line import Bridge, clean_environment
from tests.support.environments import TARGET, Environment, describe

WORKS = b'echo "$PREFIX|$PKG_NAME|$PKG_VERSION|$PKG_BUILDNUM" > "$PREFIX/trace"; echo hello > "$PREFIX/.messages.txt"\n'
FAILS = b'echo one; echo new > "$PREFIX/trace"; mkdir -p "$PREFIX/made/deep"; echo x > "$PREFIX/made/deep/x"; exit 3\n'


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge(cache=tmp_path / "cache", index=None, folder=tmp_path)


def channel(folder: Path, name: str, scripts: dict[str, bytes], version: str = "1.0") -> Path:
    files = {f"bin/.{name}-{action}.sh": script for action, script in scripts.items()}
    make_conda(folder, name, version, subdir="linux-64", noarch=None, files={**files, f"share/{name}": b"data"})
    make_repodata(folder)
    return folder


def own_files(prefix: Path) -> dict[str, tuple[str, str]]:
    return {path: kind for path, kind in tree_digest(prefix).items() if not path.startswith("conda-meta/.bridge")}


def test_without_leave_they_are_named_and_not_run(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    done = bridge(
        "install", "-p", environment.root, "-c", channel(tmp_path / "channel", "loud", {"post-link": WORKS}), "loud"
    )
    assert done.status == 0, done.err
    assert "bin/.loud-post-link.sh" in done.err
    assert "--allow-link-scripts" in done.err
    assert not (environment.root / "trace").exists()


@pytest.mark.parametrize("way", ["option", "variable"])
def test_with_leave_they_run_in_the_prefix_and_are_heard(bridge: Bridge, tmp_path: Path, way: str) -> None:
    environment = Environment(tmp_path / "env")
    words = ["install", "-p", environment.root, "-c", channel(tmp_path / "channel", "loud", {"post-link": WORKS})]
    if way == "option":
        done = bridge(*words, "loud", "--allow-link-scripts")
    else:
        done = bridge(*words, "loud", environ={"BRIDGE_ALLOW_LINK_SCRIPTS": "1"})
    assert done.status == 0, done.err
    assert (environment.root / "trace").read_text() == f"{environment.root}|loud|1.0|0\n"
    assert "hello" in done.err
    assert not (environment.root / ".messages.txt").exists()


def test_one_that_fails_undoes_the_change_and_its_own_traces(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    source = channel(tmp_path / "channel", "bad", {"post-link": FAILS})
    channel(source, "good", {"post-link": WORKS})
    before = own_files(environment.root)
    done = bridge("install", "-p", environment.root, "-c", source, "bad", "good", "--allow-link-scripts")
    assert done.status == 7, done.err
    assert "error[link-script-failed]: the post-link script of" in done.err
    assert "exit status 3" in done.err
    assert own_files(environment.root) == before
    assert bridge("recover", "-p", environment.root, "--json").document["state"] == "nothing"


def test_what_a_script_changed_is_named(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    environment.write("mine.txt", b"of the user")
    script = b'echo spoiled > "$PREFIX/mine.txt"; exit 1\n'
    source = channel(tmp_path / "channel", "bad", {"post-link": script})
    done = bridge("install", "-p", environment.root, "-c", source, "bad", "--allow-link-scripts")
    assert done.status == 7
    assert "mine.txt" in done.err


def test_a_new_environment_whose_script_fails_is_not_there(bridge: Bridge, tmp_path: Path) -> None:
    source = channel(tmp_path / "channel", "bad", {"post-link": FAILS})
    done = bridge("create", "-p", tmp_path / "made/env", "-c", source, "bad", "--allow-link-scripts")
    assert done.status == 7, done.err
    assert not (tmp_path / "made").exists()
    works = channel(tmp_path / "other", "loud", {"post-link": WORKS})
    done = bridge("create", "-p", tmp_path / "made/env", "-c", works, "loud", "--allow-link-scripts")
    assert done.status == 0, done.err
    assert (tmp_path / "made/env/trace").read_text().startswith(f"{tmp_path}/made/env|")


def test_what_goes_is_unlinked_by_its_script_before(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    gone = b'cat "$PREFIX/share/polite" > "$PREFIX/last-words"\n'
    source = channel(tmp_path / "channel", "polite", {"pre-unlink": gone})
    assert bridge("install", "-p", environment.root, "-c", source, "polite").status == 0
    done = bridge("remove", "-p", environment.root, "polite", "--allow-link-scripts")
    assert done.status == 0, done.err
    assert (environment.root / "last-words").read_text() == "data"
    assert not (environment.root / "share/polite").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_one_runs_undoes_the_change(tmp_path: Path, number: signal.Signals) -> None:
    environment = Environment(tmp_path / "env")
    source = channel(tmp_path / "channel", "slow", {"post-link": b'echo > "$PREFIX/trace"; sleep 60\n'})
    before = own_files(environment.root)
    words: list[object] = ["-m", "bridge", "install", "-p", environment.root, "-c", source, "slow"]
    command = [sys.executable, *map(str, words), "--allow-link-scripts"]
    variables = clean_environment() | {"BRIDGE_CACHE_DIR": str(tmp_path / "cache"), "PIP_CONFIG_FILE": os.devnull}
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE) as process:
        for _ in range(600):
            if (environment.root / "trace").exists():
                break
            time.sleep(0.05)
        process.send_signal(number)
        process.communicate(timeout=30)
    assert process.returncode in {-number, 128 + number}
    assert own_files(environment.root) == before


def test_scripts_run_after_those_of_what_they_need(tmp_path: Path) -> None:
    """MUST (CEP 34): a package is linked after what it depends on."""
    archives = [
        make_conda(tmp_path, name, "1.0", files={f"bin/.{name}-post-link.sh": b""}, depends=depends)
        for name, depends in {"a": ["b >=1"], "b": ["c"], "c": ["d", "b"], "d": []}.items()
    ]
    found = [describe(path) for path in archives]
    steps = tuple(Install(new=Resolved(record=record)) for record, _ in found)
    plan = Plan(prefix=tmp_path, target=TARGET, operations=steps)
    scripts = scripts_of(plan, {record.identity: manifest for record, manifest in found})
    assert [script.record.name for script in scripts] == ["d", "c", "b", "a"]
    assert str(scripts[0]) == "d-1.0-0: bin/.d-post-link.sh"


def test_only_the_script_of_its_own_name_is_a_package_s(tmp_path: Path) -> None:
    path = make_conda(tmp_path, "a", "1.0", files={"bin/.b-post-link.sh": b"", "bin/.a-pre-link.sh": b""})
    record, manifest = describe(path)
    plan = Plan(prefix=tmp_path, target=TARGET, operations=(Install(new=Resolved(record=record)),))
    found = scripts_of(plan, {record.identity: manifest})
    assert [(type(each), each.action) for each in found] == [(LinkScript, "pre-link")]
    assert isinstance(found[0].record, Record)

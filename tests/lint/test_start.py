"""What a command may not import: what it does not need, it would pay for at every start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builders import install_record, make_conda, make_repodata, make_wheel
from tests.support.command_line import clean_environment

HTTP = {"requests", "urllib3", "cachecontrol"}
LAYOUT = {"rich", "pygments"}
STAGING = {
    "installer",
    "sqlite3",
    "bridge.install.fetching",
    "bridge.install.staging",
    "bridge.archive.wheels",
}
CHANGING = STAGING | {"bridge.install.apply"}
BUILDING = {"build", "pkginfo", "bridge.sdists.build", "elftools"}
FILES = {"yaml", "tomllib", "tomli", "optparse", "packaging.pylock", "bridge.requirements.files.reading"}
SOLVING = {"resolvelib", "bridge.resolve", "bridge.index"}
ASKING = {"asyncio"}  # the event loop that channels are asked in
QUICK = {"rattler", "email", "zipfile"}  # nothing that reads plain records needs them
LISTING = QUICK | {"packaging", "click", "logging", "ctypes", "pickle", "concurrent"}
EVERYTHING = HTTP | LAYOUT | CHANGING | BUILDING | FILES | SOLVING | ASKING | {"rattler", "packaging", "bridge.config"}

# The words of a command line → what it does without. PREFIX and SETTLED are environments, CHANNEL a folder with one
# package, which was asked for in SETTLED before, and WHEEL a wheel.
COMMANDS = {
    "--version": EVERYTHING,
    "--help": EVERYTHING,
    "install --help": EVERYTHING,
    "schema list": EVERYTHING - {"packaging"},
    "list -p PREFIX --json": LISTING | HTTP | LAYOUT | CHANGING | BUILDING | FILES | SOLVING | ASKING,
    "list -p PREFIX": LISTING | HTTP | LAYOUT | CHANGING | BUILDING | FILES | SOLVING | ASKING,
    "tree -p PREFIX --json": (QUICK - {"rattler"}) | HTTP | LAYOUT | CHANGING | BUILDING | FILES | SOLVING | ASKING,
    "activate -p PREFIX --shell bash": EVERYTHING - {"packaging", "bridge.config"},
    "env list": EVERYTHING - {"packaging", "bridge.config"},
    "config list": EVERYTHING - {"packaging", "bridge.config"},
    "completion bash": EVERYTHING - {"packaging", "bridge.config"},
    "info --json": HTTP | LAYOUT | CHANGING | BUILDING | FILES | SOLVING | ASKING,
    "search -c CHANNEL demo --no-index": {"click"} | HTTP | LAYOUT | CHANGING | BUILDING | FILES,
    "owner -p PREFIX README --json": HTTP | LAYOUT | CHANGING | BUILDING | FILES | SOLVING | ASKING,
    "audit -p PREFIX": HTTP | LAYOUT | CHANGING | BUILDING | (FILES - {"tomllib", "tomli"}) | SOLVING | ASKING,
    "why -p PREFIX demo --json": HTTP | LAYOUT | CHANGING | BUILDING | FILES | SOLVING | ASKING,
    "resolve -c CHANNEL demo --json": {"click", "bridge.prefix"} | HTTP | LAYOUT | CHANGING | BUILDING | FILES,
    "install -p SETTLED -c CHANNEL demo --json": {"click"} | HTTP | LAYOUT | STAGING | BUILDING | FILES,
    "install -p PREFIX -c CHANNEL demo --dry-run --json": HTTP | LAYOUT | STAGING | BUILDING | FILES,
    "install -p PREFIX -c CHANNEL demo --dry-run": HTTP | LAYOUT | STAGING | BUILDING | FILES,
    "convert WHEEL -o OUTPUT": HTTP | LAYOUT | (CHANGING - {"bridge.archive.wheels"}) | BUILDING
        | {"resolvelib", "bridge.resolve", "rattler", "ctypes", "yaml", "packaging.pylock"},
    "remove -p PREFIX demo --dry-run --json": HTTP | LAYOUT | STAGING | BUILDING | FILES,
}  # fmt: skip
_RUN = """
import json, os, sys
from bridge.cli import main
status = main(json.loads(sys.argv[1]))
sys.stdout.flush()
print(json.dumps([status, sorted(sys.modules)]), file=sys.stderr, flush=True)
os._exit(0)  # an interpreter that used rattler may abort while it finalises
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("start")
    make_conda(folder / "channel", "demo", "1.0")
    make_repodata(folder / "channel")
    install_record(folder / "prefix", "demo", "1.0")
    install_record(folder / "settled", "demo", "1.0", requested_specs=["demo"])
    wheel = make_wheel(folder, "demo", "1.0")
    named = {name: str(folder / name.lower()) for name in ("PREFIX", "SETTLED", "CHANNEL", "CACHE", "OUTPUT")}
    return named | {"WHEEL": str(wheel)}


def test_what_pythonpath_hides_is_told_and_not_imported(places: dict[str, str], tmp_path: Path) -> None:
    """An audit that is to tell of a `json.py` must not stumble over it."""
    for name in ("json.py", "requests.py", "packaging/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('hidden')\n")
    environment = clean_environment() | {"BRIDGE_CACHE_DIR": places["CACHE"], "PIP_CONFIG_FILE": "/dev/null"}
    done = subprocess.run(
        [sys.executable, "-m", "bridge", "audit", "-p", places["PREFIX"], "--json", "--fail-on", "never"],
        env=environment | {"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [finding["id"] for finding in json.loads(done.stdout)["findings"]].count("python-path-shadow") == 1


def test_the_version_needs_no_parser_of_the_command_line() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "bridge", "--version"]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=True)
    assert "bridge.cli.streams" in done.stderr
    assert "click" not in done.stderr


def test_a_solve_imports_parts_of_rattler(places: dict[str, str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "bridge", "resolve", "-c", places["CHANNEL"], "demo >=1a1"]
    environment = clean_environment() | {"BRIDGE_CACHE_DIR": places["CACHE"], "PIP_CONFIG_FILE": "/dev/null"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "rattler.match_spec" in done.stderr
    assert "rattler.install" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_only_what_it_needs(command: str, places: dict[str, str]) -> None:
    words = [places.get(word, word) for word in command.split()]
    environment = clean_environment() | {"BRIDGE_CACHE_DIR": places["CACHE"], "PIP_CONFIG_FILE": "/dev/null"}
    done = subprocess.run(
        [sys.executable, "-c", _RUN, json.dumps(words)],
        env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    status, modules = json.loads(done.stderr.splitlines()[-1])
    assert status == 0, done.stderr
    assert {name for name in COMMANDS[command] if name in modules} == set()

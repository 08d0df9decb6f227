"""The import contracts of `pyproject.toml` hold, and each of them can break."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"

# What is added to a module, and the contract that has to notice.
BREACHES = {
    "against the order": ("bridge/install/plan.py", "import bridge.cli\n", "A wing imports only"),
    "between wings of one level": (
        "bridge/convert/job.py",
        "import bridge.install.plan\n",
        "A wing imports only",
    ),
    "the converters know bridge": ("converters/names.py", "import bridge.model\n", "A wing imports only"),
    "a cycle behind TYPE_CHECKING": (
        "bridge/prefix/entries.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bridge.prefix.claims import Claim\n",
        "No two modules",
    ),
    "pure code opens a process": ("bridge/install/plan.py", "import subprocess\n", "Pure code"),
    "click below the command line": ("bridge/audit/checks/__init__.py", "import click\n", "click stays"),
    "requests outside fetch": ("bridge/index/simple_api.py", "import requests\n", "requests and cachecontrol"),
    "rattler outside its adapter": ("bridge/install/apply.py", "import rattler\n", "rattler stays"),
    "the plugin opens a session": ("bridge/conda_plugin/needs.py", "import bridge.cli.session\n", "Only the command"),
    "a wing uses the interface": ("bridge/convert/job.py", "import bridge.api\n", "A wing imports only"),
    "click in the interface": ("bridge/api/values.py", "import click\n", "click stays"),
    "conda outside the plugin": ("bridge/prefix/origin.py", "import conda\n", "Only the plugin"),
}


def lint(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contracts")
    for package in ("bridge", "converters"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_contracts_hold(copy: Path) -> None:
    status, output = lint(copy)
    assert status == 0, output


@pytest.mark.parametrize("kind", BREACHES)
def test_a_breach_turns_its_contract_red(kind: str, copy: Path) -> None:
    name, line, contract = BREACHES[kind]
    path = copy / name
    before = path.read_text("utf-8")
    path.write_text(f"{before}\n{line}", "utf-8")
    try:
        status, output = lint(copy)
    finally:
        path.write_text(before, "utf-8")
    assert status != 0, output
    assert any(row.startswith(contract) and row.endswith("BROKEN") for row in output.splitlines()), output

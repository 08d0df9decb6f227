"""`variables:` of environment.yml: set as `conda env config vars set` does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.builders import make_wheel
from tests.support.command_line import Bridge


def write(folder: Path, variables: str, *wheels: str) -> Path:
    path = folder / "environment.yml"
    lines = "".join(f"    - {wheel}\n" for wheel in wheels)
    path.write_text(f"variables:\n{variables}dependencies:\n  - python\n  - pip:\n{lines}")
    return path


def variables(prefix: Path) -> dict[str, str]:
    return dict(json.loads((prefix / "conda-meta/state").read_text())["env_vars"])


@pytest.mark.slow
def test_variables_are_set_and_added_to(tmp_path: Path, bridge_cache: Path) -> None:
    bridge = Bridge(
        cache=bridge_cache, index=None, folder=tmp_path,
        environ={"PIP_NO_INDEX": "1", "BRIDGE_CHANNEL": "host", "BRIDGE_FIND_LINKS": str(tmp_path / "wheels")},
    )  # fmt: skip
    (tmp_path / "wheels").mkdir()
    for name in ("leaf", "stem"):
        make_wheel(tmp_path / "wheels", name, "1.0")
    env = tmp_path / "env"
    ran = bridge("create", "-p", env, "-r", write(tmp_path, "  QT_API: pyside2\n  LEVEL: 3\n", "leaf"))
    assert ran.status == 0, ran.err
    assert variables(env) == {"QT_API": "pyside2", "LEVEL": "3"}

    ran = bridge("install", "-p", env, "-r", write(tmp_path, "  LEVEL: 4\n", "leaf", "stem"))
    assert (ran.status, variables(env)) == (0, {"QT_API": "pyside2", "LEVEL": "4"}), ran.err
    assert bridge("audit", "-p", env, "--fail-on", "info").status == 0

    ran = bridge("install", "-p", env, "-r", write(tmp_path, "  LEVEL: 5\n", "leaf"))
    assert (ran.status, variables(env)["LEVEL"]) == (0, "4")
    assert "conda env config vars set" in ran.err

"""Wheels of one namespace package of the old kind: one owns `__init__.py`, and the others are told to share it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.builders import make_wheel
from tests.support.command_line import Bridge
from tests.system.test_end_to_end import succeeded

DECLARATION = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)"
INIT = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages/ns/__init__.py"


def part(folder: Path, name: str, init: str | None = None) -> Path:
    files = {"ns/__init__.py": (init or f"{DECLARATION}  # {name}\n").encode(), f"ns/{name}.py": b"X = 1\n"}
    return make_wheel(folder / "wheels", name, "1.0", files=files)


@pytest.mark.slow
def test_parts_of_a_namespace_live_together(bridge_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    bridge = Bridge(bridge_cache, (tmp_path / "nothing").as_uri(), tmp_path)
    first, second, third, fourth = (part(tmp_path, name) for name in ("one", "two", "three", "four"))
    made = succeeded(bridge("create", "-p", "env", "-c", "host", "python", first, second))
    assert "declares a namespace" in made.err
    assert (tmp_path / "env" / INIT).read_text() == f"{DECLARATION}  # one\n"
    succeeded(bridge("install", "-p", "env", third, fourth))
    code = "import ns.one, ns.two, ns.three, ns.four"
    subprocess.run([tmp_path / "env/bin/python", "-c", code], check=True)
    assert succeeded(bridge("audit", "-p", "env", "--json")).document["findings"] == []
    refused = bridge("install", "-p", "env", part(tmp_path, "five", f"{DECLARATION}\nVERSION = 5\n"))
    assert (refused.status, "ns/__init__.py" in refused.err) == (4, True)
    succeeded(bridge("remove", "-p", "env", "two", "three"))
    assert (tmp_path / "env" / INIT).read_text() == f"{DECLARATION}  # one\n"

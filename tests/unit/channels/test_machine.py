"""The subdir and the virtual packages of this machine are what rattler says, also where rattler is not asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rattler import Subdir

from bridge.channels import machine
from bridge.channels._rattler import detect_virtual_packages


def test_it_is_what_rattler_says() -> None:
    assert machine.current_subdir() == str(Subdir.current())


def test_a_machine_that_is_not_known_asks_rattler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_PLAIN", {})
    assert machine.current_subdir() == str(Subdir.current())


def test_requirement_files_are_read_without_rattler() -> None:
    code = "import bridge.requirements.files.reading, sys; assert 'rattler' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_virtual_packages_are_what_rattler_says(tmp_path: Path) -> None:
    assert machine.virtual_packages(tmp_path) == detect_virtual_packages()
    assert machine.virtual_packages(tmp_path) == detect_virtual_packages()


@pytest.mark.skipif(not machine._key(), reason="this system does not say when it was started")
def test_known_virtual_packages_are_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def detect() -> tuple[tuple[str, str, str], ...]:
        asked.append(1)
        return (("__unix", "0", "0"), ("__cuda", os.environ.get("CONDA_OVERRIDE_CUDA", "none"), "0"))

    monkeypatch.setattr("bridge.channels._rattler.detect_virtual_packages", detect)
    first = machine.virtual_packages(tmp_path)
    assert (machine.virtual_packages(tmp_path), len(asked)) == (first, 1)
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.4")
    assert machine.virtual_packages(tmp_path)[1] == ("__cuda", "12.4", "0")
    assert len(asked) == 2
    (damaged,) = [each for each in tmp_path.rglob("*") if each.is_file() and b"12.4" in each.read_bytes()]
    damaged.write_bytes(b"damaged")
    assert (machine.virtual_packages(tmp_path)[1][1], len(asked)) == ("12.4", 3)
    monkeypatch.setattr(machine, "_BOOT", tmp_path / "absent")
    assert (machine.virtual_packages(tmp_path)[1][1], len(asked)) == ("12.4", 4)

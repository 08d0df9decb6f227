"""The subdir of this machine is what rattler says, also where rattler is not asked."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rattler import Subdir

from bridge.channels import machine


def test_it_is_what_rattler_says() -> None:
    assert machine.current_subdir() == str(Subdir.current())


def test_a_machine_that_is_not_known_asks_rattler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_PLAIN", {})
    assert machine.current_subdir() == str(Subdir.current())


def test_requirement_files_are_read_without_rattler() -> None:
    code = "import bridge.requirements.files.reading, sys; assert 'rattler' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

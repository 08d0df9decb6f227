"""Both packages are typed for those who use them (PEP 561)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

USER = """
from pathlib import Path

from bridge import prefix
from bridge.audit.finding import Report
from bridge.audit.run import audit
from bridge.model import PrefixState
from converters.names import NameMap
from converters.target import Target

state: PrefixState = prefix.read(Path("env"))
target = Target(subdir="linux-64")
report: Report = audit(Path("env"), target, NameMap.empty())
print(report.files, [finding.id for finding in report.findings], state.installed)
"""


def test_a_program_that_uses_bridge_passes_mypy_strict(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

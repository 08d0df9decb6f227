"""Both packages are typed for those who use them (PEP 561)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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


OF_API = """
from pathlib import Path

from bridge import api

options = api.Options(channels=["conda-forge", Path("channel")], prefer="wheel", only={"numpy": "conda"})


def show(progress: api.Progress) -> bool:
    return progress.done <= (progress.total or 0)


def main(prefix: Path) -> int:
    try:
        solution: api.Solution = api.resolve(["numpy >=2"], files=[Path("pyproject.toml")], options=options)
        made: api.Outcome = api.create(prefix, ["python"], options=options, progress=show, dry_run=True)
        api.install(prefix, ["rich"], upgrade=True)
        api.update(prefix)
        api.remove(str(prefix), ["rich"])
        locked: api.LockResult = api.lock(platforms=["linux-64"], output=None, format="pylock")
        api.sync(prefix, "bridge.lock", keep=True)
        report: api.AuditReport = api.audit(prefix, against="bridge.lock")
        made_of: api.Conversion = api.convert([Path("a-1-py3-none-any.whl")], "channel", compression=3)
        names: list[str] = [change.name for change in made.changes] + [each.evidence for each in report.findings]
        package: api.Package | None = api.Environment.read(prefix).package("numpy")
        print(solution.packages, names, package, locked.text, made_of.failures)
    except api.CancelledError:
        return 1
    except api.BridgeError as error:
        return error.exit_code
    return 0
"""

WRONG = """
from bridge import api

api.Options(prefer="pip")  # type: ignore[arg-type]
api.install("env", ["a"], upgraded=True)  # type: ignore[call-arg]
api.create("env", [1])  # type: ignore[list-item]
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of mypy for all programs."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.slow
@pytest.mark.parametrize("text", [USER, OF_API, WRONG], ids=["core", "interface", "mistakes are found"])
def test_a_program_that_uses_bridge_passes_mypy_strict(text: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "user.py").write_text(text, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--warn-unused-ignores", "--cache-dir", cache, "user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout

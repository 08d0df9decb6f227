"""Wheels placed by several processes: the same tree, whatever becomes of a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# In an interpreter of its own: with the threads that other tests leave, nothing is forked.
CODE = """
import os, sys
from pathlib import Path
from bridge import faults
from bridge.errors import BridgeError
from bridge.install.staging import placing
from tests.support.builders import make_wheel, tree_digest
from tests.support.environments import Environment

folder, HOME = Path(sys.argv[1]), os.getpid()
wheels = [
    make_wheel(folder, f"pkg-{n}", "1.0", files={f"pkg_{n}/m{k}.py": b"x = 1" for k in range(9)}) for n in range(6)
]
place = placing.Placing._place
environment = Environment(folder / "env")

def placed(few, in_copy="", at_home=""):
    def watched(self, number):
        faults.arm((in_copy if os.getpid() != HOME else at_home) if number == 3 else None)
        if os.getpid() != HOME:
            (folder / "forked").touch()
        return place(self, number)

    placing.Placing._place, placing._FEW = watched, few
    (folder / "forked").unlink(missing_ok=True)
    before = tree_digest(environment.root)
    try:
        environment.stage(wheels)
    except BridgeError as error:
        return error.id
    finally:
        faults.arm(None)
        assert tree_digest(environment.root) == before
    assert (folder / "forked").exists() == (few == 0)
    return tree_digest(folder / "new")

expected = placed(1 << 30)
assert len([path for path in expected if "/pkg_" in path and path.endswith(".py")]) == 54
faulty = ("stage.file_done:5=kill", "stage.mkdir:1=kill", "stage.file_write:3=enospc", "stage.file_open:2=exit")
for fault in ("", *faulty):
    print(fault, placed(0, fault) == expected)
print(placed(0, "stage.file_done:5=enospc", "stage.file_write:2=enospc"))
"""


@pytest.mark.slow
def test_what_a_process_fails_to_place_is_placed_again(tmp_path: Path) -> None:
    """MUST: a process that is killed, or fails, leaves nothing of its own; an error that comes again is raised."""
    words = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        *("True", "stage.file_done:5=kill", "True", "stage.mkdir:1=kill", "True", "stage.file_write:3=enospc", "True"),
        *("stage.file_open:2=exit", "True", "no-space"),
    ]


PARTS = """
import os, sys
from dataclasses import replace
from pathlib import Path
from bridge import faults
from bridge.install.staging import placing
from tests.unit.install.test_linking import Machine, packages

folder, HOME, place = Path(sys.argv[1]), os.getpid(), placing.Placing._place
machine = Machine(folder)
task = machine.task(packages(folder))
task = replace(task, unpacked=machine.unpacked(task))
expected = machine.stage("expected", task)
placing._LARGE, placing._FEW, placing.processors = 1, 0, lambda: 2

def watched(self, number):
    faults.arm("stage.file_done:1=kill" if os.getpid() != HOME and number == harmed else None)
    return place(self, number)

placing.Placing._place = watched
for harmed in range(8):
    print(machine.stage(f"harmed-{harmed}", task) == expected)
"""


@pytest.mark.slow
def test_a_part_that_a_process_fails_to_place_is_placed_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PARTS, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True"] * 8

"""A transaction folder that somebody else wrote, with right checksums: recovery refuses it, or does no harm outside.

Exit 9 and nothing deleted is the answer to whatever cannot be trusted (docs/reliability.md). A pipe or device in place
of the lock, the journal or the plan is never read and never waited for.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import BridgeError
from bridge.paths import OWN
from bridge.transaction.recovery import recover
from bridge.transaction.waiting import pending
from tests.fault.workloads import MEMORY, OLD, build
from tests.support.builders import tree_digest

FOLDER = f"{OWN}/txn/20260101T000000Z-1-aaaa"
SOUND_STEP = {"path": "bin/tool", "owner": "demo", "record": False, "after": {"kind": "file", "sha256": "0" * 64}}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


def forge(prefix: Path, states: list[Any], plan: Any) -> None:  # noqa: ANN401 - whatever JSON can say
    folder = prefix / FOLDER
    for part in ("old", "new"):
        (folder / part).mkdir(parents=True)
    lines = b""
    for state in states:
        text = json.dumps(state).encode()
        lines += b"\n%08x %s\n" % (zlib.crc32(text), text)
    (folder / "journal").write_bytes(lines)
    body = json.dumps(plan)[1:].encode()
    (folder / "plan.json").write_bytes(b'{"crc32":"%08x",\n%s\n' % (zlib.crc32(body), body))


def steps(**fields: object) -> dict[str, object]:
    return {"format": 1, "made": [], "prunable": [], "steps": [{**SOUND_STEP, **fields}]}


SWAPPING = [{"state": "PLANNED", "format": 1}, {"state": "STAGED"}, {"state": "SWAPPING"}]
COMMITTED = [*SWAPPING, {"state": "COMMITTED"}]
FORGED: dict[str, tuple[list[Any], Any]] = {
    "path-above": (SWAPPING, steps(path="../outside/precious")),
    "path-absolute": (SWAPPING, steps(path="/etc/hostname")),
    "path-empty": (SWAPPING, steps(path="")),
    "path-nul": (SWAPPING, steps(path="bin/a\0b")),
    "path-number": (SWAPPING, steps(path=5)),
    "path-list": (SWAPPING, steps(path=["bin", "tool"])),
    "path-huge": (SWAPPING, steps(path="a/" * 5000 + "b")),
    "owner-none": (SWAPPING, steps(owner=None)),
    "after-odd": (SWAPPING, steps(after={"kind": "fifo", "color": "red"})),
    "after-text": (SWAPPING, steps(after="x")),
    "staged-odd": (SWAPPING, steps(staged=["x", {}, None])),
    "staged-short": (SWAPPING, steps(staged=[1])),
    "emptied-odd": (SWAPPING, steps(emptied=[["../outside", 0o777]])),
    "emptied-text": (SWAPPING, steps(emptied="abc")),
    "steps-none": (SWAPPING, {"format": 1, "made": [], "prunable": [], "steps": None}),
    "steps-missing": (SWAPPING, {"format": 1}),
    "made-above": (SWAPPING, {"format": 1, "made": [["../outside", 0o700]], "prunable": [], "steps": []}),
    "made-odd": (SWAPPING, {"format": 1, "made": [5], "prunable": [], "steps": []}),
    "plan-list": (SWAPPING, [1, 2]),
    "prunable-above": (COMMITTED, {"format": 1, "made": [], "prunable": ["../outside"], "steps": []}),
    "prunable-odd": (COMMITTED, {"format": 1, "made": [], "prunable": [5, None], "steps": []}),
    "prunable-text": (COMMITTED, {"format": 1, "made": [], "prunable": "bin", "steps": []}),
    "state-list": ([{"state": ["COMMITTED"], "format": 1}], steps()),
    "state-unknown": ([{"state": "DONE", "format": 1}], steps()),
    "format-text": ([{"state": "PLANNED", "format": "one"}], steps()),
    "format-huge": ([{"state": "PLANNED", "format": 10**400}], steps()),
    "entry-list": ([[1], 2, None], steps()),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_forged_transaction_touches_nothing_outside(kind: str, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    build(prefix, OLD)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    before = tree_digest(outside)
    forge(prefix, *FORGED[kind])
    refusal: BridgeError | None = None
    try:
        recover(prefix, lock_timeout=0.0)
    except BridgeError as error:
        refusal = error
    assert refusal is None or refusal.exit_code == 9, refusal
    assert refusal is None or (prefix / FOLDER / "plan.json").exists()
    assert tree_digest(outside) == before


@pytest.mark.parametrize("name", ["lock", f"{FOLDER[len(OWN) + 1 :]}/journal", f"{FOLDER[len(OWN) + 1 :]}/plan.json"])
@pytest.mark.parametrize("kind", ["pipe", "endless", "directory", "outside"])
def test_a_file_of_the_transaction_that_is_none_is_not_waited_for(name: str, kind: str, tmp_path: Path) -> None:
    prefix, outside = tmp_path / "env", tmp_path / "outside"
    build(prefix, OLD)
    outside.write_bytes(b"precious")
    forge(prefix, SWAPPING, steps())
    path = prefix / OWN / name
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "endless" else outside)
    code = "from bridge.transaction.recovery import recover\nfrom bridge.transaction.waiting import pending\n"
    code += f"from pathlib import Path\np = Path({str(prefix)!r})\n"
    code += "pending(p)\nrecover(p, lock_timeout=0.0)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode not in {0, -signal.SIGKILL}, done.stderr
    assert done.stderr.splitlines()[-1].startswith(("bridge.errors.", "converters.errors.")), done.stderr
    assert outside.read_bytes() == b"precious"


def test_the_forger_of_these_tests_writes_what_recovery_reads(tmp_path: Path) -> None:
    """The forged folders would be settled if what they say were true."""
    prefix = tmp_path / "env"
    build(prefix, OLD)
    before = {path: found for path, found in tree_digest(prefix).items() if not path.startswith(OWN)}
    forge(prefix, SWAPPING, {"format": 1, "made": [], "prunable": [], "steps": []})
    assert pending(prefix) is not None
    assert recover(prefix, lock_timeout=0.0).state == "restored"
    assert {path: found for path, found in tree_digest(prefix).items() if not path.startswith(OWN)} == before

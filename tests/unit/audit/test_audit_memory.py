"""What is remembered of an audit: believed while nothing changed, and not a moment longer."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.audit.finding import Report
from bridge.audit.look.tree import walking
from bridge.audit.report_cache import ReportCache
from bridge.audit.run import audit
from tests.support.audit_cases import LINUX, NAMES, NP, numpy
from tests.support.prefixes import SITE, PrefixBuilder

LATER = 10_000_000_000  # ns


@pytest.fixture
def made(tmp_path: Path) -> PrefixBuilder:
    made = PrefixBuilder(tmp_path / "env")
    numpy(made)
    made.wheel("rich", "13.0", requires=["absent"])
    return made


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes ten seconds after what the tests write."""
    now = time.time_ns
    monkeypatch.setattr("bridge.audit.look.tree.time.time_ns", lambda: now() + LATER)


def remembered(made: PrefixBuilder, context: str = "") -> tuple[ReportCache, Report | None]:
    with walking(str(made.root)) as walk:
        walk.tree  # noqa: B018 - read now
    memory = ReportCache(made.root.parent / "cache", made.root, context, walk)
    return memory, memory.recall()


def keep(made: PrefixBuilder, *outside: str) -> Report:
    memory, nothing = remembered(made)
    assert nothing is None
    report = audit(made.root, LINUX, NAMES)
    memory.keep(report, outside)
    return report


def test_what_is_remembered_is_what_was_found(made: PrefixBuilder) -> None:
    report = keep(made)
    assert report.findings
    assert remembered(made)[1] == report


CHANGES: dict[str, Callable[[PrefixBuilder], object]] = {
    "another content": lambda made: made.write(NP, b"other"),
    "another content of the same size and time": lambda made: _disguised(made.root / NP),
    "a new file": lambda made: made.write(f"{SITE}/new.py", b""),
    "a file less": lambda made: (made.root / NP).unlink(),
    "another name": lambda made: (made.root / NP).rename(made.root / SITE / "numpy/other.py"),
    "another mode": lambda made: (made.root / NP).chmod(0o600),
    "another link": lambda made: _relinked(made.root / "bin/python"),
    "a second name of the inode": lambda made: os.link(made.root / NP, made.root.parent / "second"),
    "a record": lambda made: made.conda("a", "1", {}),
    "an empty folder": lambda made: (made.root / "share/empty").mkdir(parents=True),
}


def _disguised(path: Path) -> None:
    was = path.stat()
    path.write_bytes(b"x" * was.st_size)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def _relinked(path: Path) -> None:
    path.unlink()
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("name", CHANGES)
def test_nothing_is_remembered_after(name: str, made: PrefixBuilder) -> None:
    """MUST: an audit never says of a changed environment what it said before."""
    keep(made)
    time.sleep(0.02)  # one tick of the clock of the file system
    CHANGES[name](made)
    assert remembered(made)[1] is None


def test_circumstances_and_what_lies_outside_count(made: PrefixBuilder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    keep(made, str(outside))
    assert remembered(made, "another")[1] is None
    assert remembered(made)[1] is not None
    outside.mkdir()
    assert remembered(made)[1] is None


def test_what_changed_just_now_is_not_kept(made: PrefixBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    keep(made)
    assert remembered(made)[1] is None


@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 9999, b'{"format": 1}', b"\xff"])
def test_a_broken_memory_is_none(data: bytes, made: PrefixBuilder) -> None:
    keep(made)
    (path,) = (made.root.parent / "cache").glob("*.json")
    path.write_bytes(data)
    assert remembered(made)[1] is None


def test_a_cache_that_cannot_be_written_is_no_fault(made: PrefixBuilder) -> None:
    (made.root.parent / "cache").write_bytes(b"a file")
    keep(made)
    assert remembered(made)[1] is None


def _edits(root: Path) -> list[Callable[[Path], object]]:
    """What can be done to a file, or beside it."""
    return [
        _disguised,
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("renamed")),
        lambda path: path.chmod(path.stat().st_mode ^ 0o100),
        lambda path: path.with_name("new").symlink_to("nowhere"),
        lambda path: path.with_name("new").mkdir(),
        lambda path: os.replace(shutil.copy2(path, root.parent / "copy"), path),
        lambda path: path.parent.rename(path.parent.with_name("moved")),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_every_edit_is_found_and_without_one_the_report_is_the_same(seed: int, made: PrefixBuilder) -> None:
    """MUST: a report is remembered until anything changed, anywhere."""
    rng = random.Random(seed)
    for number in range(30):
        path = "/".join([SITE, "many", *rng.choices("abc", k=rng.randrange(3)), f"m{number}.py"])
        made.write(path, rng.randbytes(rng.randrange(50)))
    kept = keep(made)
    for edit in rng.sample(_edits(made.root), 4):
        assert remembered(made)[1] == kept
        time.sleep(0.02)  # one tick of the clock of the file system
        edit(rng.choice(sorted(path for path in (made.root / SITE).rglob("*") if path.is_file())))
        memory, nothing = remembered(made)
        assert nothing is None
        kept = audit(made.root, LINUX, NAMES)
        memory.keep(kept, ())

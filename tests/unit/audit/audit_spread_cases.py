"""What copies of the process read of a prefix is what the process itself would have read."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from unittest import mock

import pytest

from bridge import prefix
from bridge.audit import run
from bridge.audit.checks import CHECKS
from bridge.audit.look import ahead, walker
from bridge.audit.look.observe import observe
from bridge.audit.look.tree import read_tree, walking
from bridge.audit.run import audit
from bridge.fs import copies as bridge_copies
from bridge.fs import processes
from bridge.paths import OWN
from tests.support.audit_cases import LINUX, NAMES
from tests.support.binaries import elf
from tests.support.prefixes import SITE, PrefixBuilder

PACKAGES = 70


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PrefixBuilder:
    """Enough packages and files that copies are worth it, and one of each kind of damage among them."""
    made = PrefixBuilder(tmp_path_factory.mktemp("many") / "env")
    for number in range(PACKAGES):
        files = {f"{SITE}/p{number}/m{index}.py": bytes([number, index]) * index for index in range(20)}
        files[f"{SITE}/p{number}/x.cpython-312-x86_64-linux-gnu.so"] = elf(needed=["libgone.so"] if number == 3 else [])
        install = (made.wheel, made.conda_python, made.distribution)[number % 3]
        install(f"p{number}", "1.0", files=files)
    damage(made, f"{SITE}/p")
    return made


def damage(made: PrefixBuilder, package: str) -> None:
    root = made.root
    made.write(f"{package}0/m5.py", b"changed")
    made.write(f"{package}1/m6.py", bytes([4, 6]) * 6)  # what p4 has under that name
    (root / f"{package}2/m7.py").unlink()
    for path, kind in {f"{package}4/m8.py": "link", f"{package}5/m8.py": "loop", f"{package}6/m8.py": "pipe"}.items():
        (root / path).unlink()
        if kind == "pipe":
            os.mkfifo(root / path)
        else:
            (root / path).symlink_to("m9.py" if kind == "link" else "m8.py")
    (root / f"{package}7/m8.py").unlink()
    (root / f"{package}7/m8.py").mkdir()
    made.write(f"{package}8/nobodys.py", b"x")
    made.write("conda-meta/p9-1.0-py3_none_any_0.json", b"{")
    made.write(f"{SITE}/p10-1.0.dist-info/RECORD", b'"open,,\n')
    made.write(f"{SITE}/p13-1.0.dist-info/METADATA", b"\xff")
    made.write(f"{package}11/x.cpython-312-x86_64-linux-gnu.so", b"\x7fELF\2\1\1")
    made.distribution("p12", "2.0", {f"{package}12/m9.py": b"another's"})
    (root / f"{package}14/M1.py").write_bytes(b"")
    os.chmod(root / f"{package}15/m1.py", 0o666)


@pytest.fixture
def copies() -> Iterator[mock.Mock]:
    with mock.patch.object(processes, "_start", wraps=processes._start) as start:
        yield start


def test_an_audit_by_copies_finds_the_same(made: PrefixBuilder, copies: mock.Mock) -> None:
    """MUST: how many processes read changes nothing of what is found."""
    alone = audit(made.root, LINUX, NAMES, jobs=1)
    assert not copies.called
    assert len({finding.id for finding in alone.findings}) >= 12
    assert audit(made.root, LINUX, NAMES, jobs=3) == alone
    assert copies.call_count == 2  # the tree, the records


def test_checks_that_run_early_find_what_they_would_find_last(made: PrefixBuilder, tmp_path: Path) -> None:
    """MUST: what a check finds before the files are hashed depends on no hash."""
    cache = tmp_path / "cache"
    early = audit(made.root, LINUX, NAMES, environ={}, cache=cache)
    with mock.patch.object(run, "EARLY", frozenset()):
        assert audit(made.root, LINUX, NAMES, environ={}, cache=cache) == early
    assert {check.id for check in CHECKS} > run.EARLY


def test_what_is_observed_by_copies_is_the_same(made: PrefixBuilder, copies: mock.Mock) -> None:
    state = prefix.read(made.root)
    assert dict(observe(state, jobs=1)) == dict(observe(state, jobs=2))
    assert copies.called


def test_records_read_by_copies_are_the_same(made: PrefixBuilder, copies: mock.Mock) -> None:
    alone, together = prefix.read(made.root), prefix.read(made.root, jobs=3)
    assert copies.call_count == 1
    assert together == alone


def test_a_tree_read_by_copies_is_the_same(made: PrefixBuilder, copies: mock.Mock) -> None:
    with walking(str(made.root), 1) as one, walking(str(made.root), 2) as two:
        assert copies.call_count == 1
        assert one.signature == two.signature
        alone, together = one.tree, two.tree
    assert together.newest == alone.newest
    walked = [f"{folder.path}/{name}".lstrip("/") for folder in together.directories() for name in folder.names]
    assert walked == [path for path, _ in prefix.walk(made.root)]


def words(made: PrefixBuilder, *more: str) -> list[str]:
    return ["audit", "-p", str(made.root), *more]


@contextmanager
def begun(words: list[str], environ: Mapping[str, str] = MappingProxyType({})) -> Iterator[ahead.Begun | None]:
    """What is begun for a command line, with two processors."""
    with mock.patch("os.sched_getaffinity", return_value={0, 1}):
        ahead.begin(words, environ)
    yield ahead._begun
    ahead.take("")


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_a_walk_that_was_begun_early_is_the_same(made: PrefixBuilder, copies: mock.Mock) -> None:
    with begun(words(made)) as early:
        assert early is not None
        assert len(early.copies) == 1
        with walking(str(made.root)) as walk:
            assert not copies.called
            assert walk.started == early.started
            assert walk.holds(str(made.root))
            signature, tree = walk.signature, walk.tree
    with walking(str(made.root), 1) as alone:
        assert (signature, tree.newest) == (alone.signature, alone.tree.newest)
        assert [f.names for f in tree.directories()] == [f.names for f in alone.tree.directories()]
    assert_ended(early)


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
@pytest.mark.parametrize("step", range(3))
def test_a_process_that_was_begun_early_may_die(step: int, made: PrefixBuilder) -> None:
    """MUST: who walks through a prefix changes nothing of what is found."""
    with walking(str(made.root), 1) as alone, begun(words(made)) as early:
        assert early is not None
        if step == 0:
            os.kill(early.copies[0][0], signal.SIGKILL)
        with walking(str(made.root)) as walk:
            if step == 1:
                os.kill(early.copies[0][0], signal.SIGKILL)
            assert walk.signature == alone.signature
            if step == 2:
                os.kill(early.copies[0][0], signal.SIGKILL)
            assert walk.tree.newest == alone.tree.newest


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_without_processes_an_early_walk_is_made_later(made: PrefixBuilder) -> None:
    with (
        mock.patch("os.fork", side_effect=BlockingIOError),
        begun(words(made)) as early,
        walking(str(made.root)) as walk,
    ):
        assert early is not None
        assert early.copies == []
        signature = walk.signature
    with walking(str(made.root), 1) as alone:
        assert signature == alone.signature


def test_without_proc_nothing_begins_early(made: PrefixBuilder) -> None:
    with mock.patch("os.listdir", side_effect=FileNotFoundError), begun(words(made)) as early:
        assert early is None


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")
def test_an_early_walk_through_another_prefix_ends(made: PrefixBuilder, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with begun(words(made)) as early, walking(str(tmp_path)) as walk:
        assert early is not None
        assert_ended(early)
        assert [folder.names for folder in walk.tree.directories()] == [("file",)]


def assert_ended(early: ahead.Begun) -> None:
    for process, answers in early.copies:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(answers)


def test_only_an_audit_of_a_large_environment_begins_early(made: PrefixBuilder, tmp_path: Path) -> None:
    named = str(made.root)
    for line in (["list", "-p", named], ["audit"], words(made, "--help"), words(made, "--checks"), ["audit", "-p"]):
        with begun(line) as early:
            assert early is None
    for path in (tmp_path, tmp_path / "none"):
        with begun(["audit", "-p", str(path)]) as early:
            assert early is None
    if sys.platform == "linux":
        for line in (["audit", f"--prefix={named}"], ["audit", "a", "--prefix", named, "b"], ["audit"]):
            with begun(line, {"CONDA_PREFIX": named}) as early:
                assert early is not None


def test_names_are_those_of_the_other_modules() -> None:
    assert f"{walker._META}/{walker._OWN}" == OWN
    assert (ahead._TOKEN.format, ahead._MOST_TOKENS) == (processes._TOKEN.format, processes._MAX_TOKENS)
    assert ahead._LENGTH.format == bridge_copies._LENGTH.format


def test_without_copies_nothing_is_missing(made: PrefixBuilder) -> None:
    """MUST: where no process can be started, the audit takes longer, and finds the same."""
    with mock.patch("os.fork", side_effect=BlockingIOError):
        report = audit(made.root, LINUX, NAMES, jobs=3)
    assert report == audit(made.root, LINUX, NAMES, jobs=1)


def test_an_environment_of_one_folder_is_walked_whole(tmp_path: Path) -> None:
    (tmp_path / "a/b/c/d/e/f").mkdir(parents=True)
    (tmp_path / "conda-meta/.bridge/txn").mkdir(parents=True)
    for path in ("x", "a/b/c/d/e/f/y", "conda-meta/history", "conda-meta/.bridge/lock"):
        (tmp_path / path).write_bytes(b"")
    walked = [f"{f.path}/{name}".lstrip("/") for f in read_tree(str(tmp_path)).directories() for name in f.names]
    assert walked == [path for path, _ in prefix.walk(tmp_path)]

"""Random changes by bridge, by a person and by faults: what the records claim is there after every step.

MUST: after every step each claimed path is there with the bytes that the claim promises (but for what a person
changed), every file that no person put there has an owner, and a change that was refused changed nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bridge import faults, fs
from bridge import prefix as prefixes
from bridge.errors import FaultError, OwnershipError
from bridge.install import staging as link
from bridge.prefix.claims import claims_of
from bridge.transaction import commit
from tests.fault.workloads import MEMORY
from tests.support.builders import make_conda, tree_digest
from tests.support.environments import Environment

NAMES = st.sampled_from(["one", "two", "three"])
PATHS = st.lists(st.sampled_from(["a", "b", "c.py"]), min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS.map("share/".__add__), st.sampled_from([b"1", b"2"]), min_size=1, max_size=4)
FAULTS = st.sampled_from(
    ["stage.file_write:2=enospc", "swap.rename_one:1=eio", "record.conda_meta:1=eacces", "commit.written:1=eio"]
)


def is_a_tree(files: Mapping[str, bytes]) -> bool:
    return not any(path.startswith(f"{other}/") for path in files for other in files)


class Life(RuleBasedStateMachine):
    """One environment. `mine` is what a person put there or changed: path → content."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.work = Path(self.folder.name)
        self.root = self.work / "env"
        (self.root / "conda-meta").mkdir(parents=True)
        self.environment = Environment.__new__(Environment)
        self.environment.root, self.environment.work = self.root, self.work
        self.mine: dict[str, bytes] = {}
        self.count = 0

    def teardown(self) -> None:
        faults.arm(None)
        self.folder.cleanup()

    def installed(self) -> list[str]:
        return sorted(each.record.name for each in self.environment.state.installed)

    def change(self, archives: list[Path], remove: list[str], fault: str | None = None, *, adopt: bool = False) -> None:
        """Change it, or see that a refusal changed nothing."""
        before = tree_digest(self.root)
        faults.arm(fault)
        try:
            task = self.environment.task(archives, remove=remove, adopt=adopt)
            with commit.change(self.root, durability="none") as opened:
                staged = link.stage(task, opened.staging, opened.staging.parent / "scratch")
                opened.commit(staged.changes)
        except (OwnershipError, FaultError):
            after = tree_digest(self.root)
            # The lock's folder stays once it was confirmed; a first change that failed takes it away again.
            assert after == before
            return
        finally:
            faults.arm(None)
        for kept in staged.kept_aside:
            self.mine[kept.saved] = self.mine.pop(kept.path)
        # What is adopted, or is now as its package has it, is no person's any more.
        promised = self.promised()
        self.mine = {path: data for path, data in self.mine.items() if self.is_mine(path, promised)}

    def promised(self) -> dict[str, str | None]:
        """Path → sha256, as the records promise."""
        table = claims_of(prefixes.read(self.root)).by_path
        return {path: table.promise(path) for path in table}

    def is_mine(self, path: str, promised: Mapping[str, str | None]) -> bool:
        found = fs.fingerprint(self.root, path)
        if found is None:
            return path in promised  # a person took it away, and its package still promises it
        return path not in promised or promised[path] != found.sha256

    @rule(name=NAMES, files=FILES.filter(is_a_tree), fault=st.none() | FAULTS, adopt=st.booleans())
    def install_or_upgrade(self, name: str, files: dict[str, bytes], fault: str | None, adopt: bool) -> None:
        self.count += 1
        archive = make_conda(self.work / "packages", name, str(self.count), files=files)
        self.change([archive], [], fault, adopt=adopt)

    @rule(data=st.data(), fault=st.none() | FAULTS)
    @precondition(lambda self: self.installed())
    def remove(self, data: st.DataObject, fault: str | None) -> None:
        self.change([], [data.draw(st.sampled_from(self.installed()))], fault)

    @rule(path=PATHS.map("share/".__add__), content=st.sampled_from([b"1", b"mine"]))
    def write_by_hand(self, path: str, content: bytes) -> None:
        target = self.root / path
        if target.is_dir() or any(parent.is_file() for parent in target.parents):
            return
        self.environment.write(path, content)
        self.mine[path] = content

    @rule(data=st.data())
    @precondition(lambda self: self.installed())
    def delete_by_hand(self, data: st.DataObject) -> None:
        lying = [path for path in self.promised() if path.startswith("share/") and (self.root / path).is_file()]
        if lying:
            path = data.draw(st.sampled_from(lying))
            (self.root / path).unlink()
            self.mine[path] = b""

    @invariant()
    def what_is_claimed_is_there(self) -> None:
        promised = self.promised()
        for path, sha256 in promised.items():
            found = fs.fingerprint(self.root, path)
            if path in self.mine:
                continue
            assert found is not None, path
            assert sha256 in {None, found.sha256}, path
        for path, found_there in tree_digest(self.root).items():
            if found_there[0].startswith("file") and not path.startswith(("conda-meta/.bridge", "conda-meta/history")):
                assert path in promised or path in self.mine, path


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=8, stateful_step_count=10, deadline=None)

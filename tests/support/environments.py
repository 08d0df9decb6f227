"""A prefix with a working interpreter, for tests that stage plans and swap them in for real."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bridge import fs, prefix
from bridge.archive.conda import check_conda
from bridge.archive.wheels import check_wheel
from bridge.install import manifest, ownership
from bridge.install import staging as link
from bridge.install.staging import StagedPlan, StageInputs
from bridge.model import (
    Change,
    Install,
    Installed,
    Operation,
    PathChange,
    Plan,
    PrefixState,
    Reinstall,
    Remove,
    Resolved,
)
from bridge.transaction import commit
from converters.names import NameMap
from converters.record import Record, conda_record
from converters.target import Python, Target
from converters.translate import translate
from converters.wheel import WheelInfo
from tests.support.builders import install_record

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
VERSION = f"{MINOR}.{sys.version_info.micro}"
SITE = f"lib/python{MINOR}/site-packages"
PYTHON = Python(version=VERSION)
TARGET = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.36", "0"),), python=PYTHON)


class Environment:
    """A prefix with a working interpreter, and plans that are staged and swapped in for real."""

    def __init__(self, root: Path, work: Path | None = None) -> None:
        self.root, self.work = root, work or root.parent
        venv.create(root, with_pip=False, symlinks=True)
        claimed = {f"bin/python{MINOR}": b""}
        install_record(root, "python", VERSION, files=claimed, write=False, subdir="linux-64")

    @property
    def state(self) -> PrefixState:
        return prefix.read(self.root)

    def installed(self, name: str) -> Installed:
        return next(each for each in self.state.installed if each.record.name == name)

    def task(
        self,
        archives: Sequence[Path],
        *,
        remove: Sequence[str] = (),
        requested: Mapping[str, tuple[str, ...]] | None = None,
        python: Python = PYTHON,
        **options: Any,  # noqa: ANN401 - those of `judge`
    ) -> StageInputs:
        """Install, change or reinstall `archives`, and remove packages by name, as a plan would."""
        state = self.state
        old = {each.record.name: each for each in state.installed}
        steps: list[Operation] = [Remove(old=old[name]) for name in remove]
        paths, manifests = {}, {}
        for path in archives:
            record, found = describe(path)
            new = Resolved(record=record, requested=(requested or {}).get(record.name, ()))
            if record.name not in old:
                steps.append(Install(new=new))
            elif old[record.name].record.identity == record.identity:
                steps.append(Reinstall(old=old[record.name], new=new))
            else:
                steps.append(Change(old=old[record.name], new=new))
            paths[record.identity], manifests[record.identity] = path, found
        plan = Plan(prefix=self.root, target=TARGET, operations=tuple(steps), python=python)
        predicted = manifest.predict(plan, manifests, site_packages=manifest.site_packages_after(plan, state))
        judgement = ownership.judge(state, plan, predicted, lambda path: fs.fingerprint(self.root, path), **options)
        return StageInputs(
            plan=plan,
            state=state,
            archives=paths,
            manifests=manifests,
            predicted=predicted,
            judgement=judgement,
            names=NameMap.empty(),
            command="bridge install",
            when="2026-11-22 10:00:00",
            version="1.0",
        )

    def stage(self, archives: Sequence[Path], **options: Any) -> tuple[Path, StagedPlan]:  # noqa: ANN401
        """Stage only; the staging directory is the caller's to look at."""
        staging = self.work / "new"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        return staging, link.stage(self.task(archives, **options), staging, self.work / "scratch")

    def apply(self, archives: Sequence[Path], **options: Any) -> StagedPlan:  # noqa: ANN401
        """Stage and swap in, in one transaction; the environment is consistent afterwards, or the test fails."""
        task = self.task(archives, **options)
        with commit.change(self.root, durability="none") as opened:
            staged = link.stage(task, opened.staging, opened.staging.parent / "scratch")
            opened.commit(staged.changes)
        state = self.state
        assert state.defects == ()
        for package in state.installed:
            for entry in package.entries if package.record.name != "python" else ():
                found = fs.fingerprint(self.root, entry.path)
                assert found is not None, entry.path
                assert entry.fingerprint.sha256 in {None, found.sha256}, entry.path
        return staged

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [self.root / "bin" / command[0], *command[1:]], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, path: str, data: bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)


def describe(path: Path) -> tuple[Record, manifest.Manifest]:
    """The record of an archive, as an index or a channel would give it, and what it was judged to hold."""
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if path.suffix == ".whl":
        wheel = check_wheel(path)
        info = WheelInfo(filename=path.name, metadata=wheel.metadata, url=path.as_uri(), sha256=sha256)
        return translate(info, TARGET, NameMap.empty()), wheel
    conda = check_conda(path)
    facts = {**conda.index, "url": path.as_uri(), "fn": path.name, "sha256": sha256, "size": path.stat().st_size}
    return conda_record(facts, origin=path.parent.parent.as_uri()), conda


def paths(changes: Sequence[PathChange]) -> set[str]:
    return {change.path for change in changes}

"""Conda packages that bridge places out of its cache lie exactly as rattler links them, records included."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.cache import packages as store
from bridge.cache.packages import PackageStore
from bridge.cache.prune import inspect
from bridge.errors import IntegrityError, UnsafeInputError
from bridge.fs.linking import LinkMode
from bridge.install import staging as link
from bridge.install.staging import StageInputs, placing
from tests.support.builders import make_conda, make_wheel, tree_digest
from tests.support.environments import SITE, Environment

PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3" + "_placehold" * 16
TEXT, BINARY = (PLACEHOLDER, "text"), (PLACEHOLDER, "binary")
PYC = f"{SITE}/made/__pycache__/x.cpython-311.pyc"


def packages(folder: Path) -> list[Path]:
    """Packages with everything that one can have."""
    thing = make_conda(
        folder,
        "thing",
        "2.0",
        noarch="python",
        files={
            "site-packages/thing/__init__.py": b"class A:\n    @staticmethod\n    def main(): print('hi')\n",
            "site-packages/thing-2.0.dist-info/RECORD": b"",
            "python-scripts/thing-script": f"#!{PLACEHOLDER}/bin/python\nprint(1)\n".encode(),
            "python-scripts/plain": b"#!/bin/sh\necho script\n",
            "etc/thing.conf": f"root={PLACEHOLDER}/share\nagain={PLACEHOLDER}\n".encode(),
            "share/empty": b"",
        },
        executable=["python-scripts/thing-script", "python-scripts/plain"],
        placeholders={"etc/thing.conf": TEXT, "python-scripts/thing-script": TEXT},
        entry_points=["thing = thing:A.main", "thing-gui=thing:A"],
        depends=["python"],
    )
    native = make_conda(
        folder,
        "native",
        "1.0",
        subdir="linux-64",
        noarch=None,
        files={
            "lib/native.so": b"\0\1" + PLACEHOLDER.encode() + b"/lib\0\0\2" + PLACEHOLDER.encode() + b":x\0",
            "lib/large.bin": bytes(range(256)) * 300,
            "share/same.txt": b"same",
            "share/data/file": b"data",
            "bin/env-script": f"#!{PLACEHOLDER}/bin/perl -w\n".encode(),
            PYC: b"bytecode",
        },
        links={"lib/native.so.1": "native.so", "lib/data": "../share/data", "lib/broken": "nowhere"},
        executable=["bin/env-script", "lib/native.so"],
        placeholders={"lib/native.so": BINARY, "bin/env-script": TEXT},
    )
    other = make_conda(folder, "other", "1.0", files={"share/same.txt": b"same", "share/other/a": b"a"})
    return [thing, native, other, old_package(folder)]


def old_package(folder: Path) -> Path:
    """A .tar.bz2 with hard links, an odd mode, and files that are not to be linked."""
    files = {"bin/tool": b"#!/bin/sh\n", "share/tool.txt": b"tool", "share/group.txt": b"group"}
    listed = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_in_bytes": len(data),
            **({"no_link": True} if path == "share/tool.txt" else {}),
        }
        for path, data in {**files, "bin/twin": files["bin/tool"]}.items()
    ]
    index = {"name": "old", "version": "1", "build": "0", "build_number": 0, "subdir": "linux-64", "depends": []}
    info = {
        "info/index.json": json.dumps(index).encode(),
        "info/paths.json": json.dumps({"paths": listed, "paths_version": 1}).encode(),
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for path, data in {**info, **files}.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), {"bin/tool": 0o4755, "share/group.txt": 0o666}.get(path, 0o640)
            tar.addfile(member, io.BytesIO(data))
        twin = tarfile.TarInfo("bin/twin")
        twin.type, twin.linkname = tarfile.LNKTYPE, "bin/tool"
        tar.addfile(twin)
    target = folder / "linux-64/old-1-0.tar.bz2"
    target.write_bytes(bz2.compress(stream.getvalue()))
    return target


class Machine:
    def __init__(self, folder: Path, prefix: str = "env") -> None:
        self.folder, self.cache = folder, folder / "cache"
        self.environment = Environment(folder / prefix)

    def task(self, archives: Sequence[Path], mode: LinkMode = "copy", **options: object) -> StageInputs:
        """A task for rattler: without unpacked packages."""
        return replace(self.environment.task(archives, **options), cache=self.cache, link_mode=mode)  # type: ignore[arg-type]

    def unpacked(self, task: StageInputs) -> Mapping[str, Path]:
        found = {}
        for each in task.plan.operations:
            record = each.new.record  # type: ignore[union-attr]
            if record.ecosystem == "conda":
                archive = task.archives[record.identity]
                _, path = PackageStore(self.cache).check(archive, sha256=record.sha256, filename=archive.name)
                assert path is not None
                found[record.identity] = path
        return found

    def stage(self, name: str, task: StageInputs) -> dict[str, object]:
        staging = self.folder / name
        staging.mkdir()
        link.stage(task, staging, self.folder / "scratch")
        return {path: seen for path, seen in tree_digest(staging).items() if ".bridge" not in path}

    def both(self, task: StageInputs) -> tuple[dict[str, object], dict[str, object]]:
        return self.stage("rattler", task), self.stage("own", replace(task, unpacked=self.unpacked(task)))


@pytest.mark.parametrize("prefix", ["env", "with space", "x" * 60])
def test_packages_lie_as_rattler_links_them(tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MUST: the same paths, bytes, modes and records."""
    machine = Machine(tmp_path, prefix)
    archives = [*packages(tmp_path), make_wheel(tmp_path, "pure", "1.0", files={"pure.py": b""})]
    task = machine.task(archives, requested={"thing": ("thing >=2",)})
    by_rattler = machine.stage("rattler", task)
    monkeypatch.setattr("bridge.channels._rattler_link.link", lambda *_, **__: pytest.fail("rattler was asked"))
    own = machine.stage("own", replace(task, unpacked=machine.unpacked(task)))
    for path in sorted(path for path in own if path.startswith("conda-meta/")):
        lines = [(tmp_path / name / path).read_text().splitlines() for name in ("own", "rattler")]
        assert lines[0] == lines[1]
    assert own == by_rattler


def test_large_packages_are_placed_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path)
    task = machine.task(packages(tmp_path))
    task = replace(task, unpacked=machine.unpacked(task))
    whole = machine.stage("whole", task)
    monkeypatch.setattr(placing, "_LARGE", 1)
    monkeypatch.setattr(placing, "processors", lambda: 3)
    assert machine.stage("parts", task) == whole


def test_who_yields_leaves_the_path_to_the_other(tmp_path: Path) -> None:
    first = make_conda(tmp_path, "one", "1.0", files={"share/x": b"one", "share/one": b""})
    second = make_conda(tmp_path, "two", "1.0", files={"share/x": b"two", "share/two": b""})
    machine = Machine(tmp_path)
    by_rattler, own = machine.both(machine.task([first, second], allow_clobber=["one"]))
    assert own == by_rattler
    assert (tmp_path / "own/share/x").read_bytes() == b"two"


def test_what_is_damaged_is_unpacked_again(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    task = machine.task(packages(tmp_path))
    by_rattler, unpacked = machine.stage("rattler", task), machine.unpacked(task)
    path = unpacked["native-1.0-0"]
    data = path.read_bytes()
    for number, harmed in enumerate((data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], data[:-9], b"")):
        path.write_bytes(harmed)
        assert not store.is_intact(path)
        assert inspect(machine.cache, verifies=True).damaged == (path.relative_to(machine.cache).as_posix(),)
        assert machine.stage(f"own-{number}", replace(task, unpacked=unpacked)) == by_rattler
        assert path.read_bytes() == data
        assert store.is_intact(path)
    path.write_bytes(b"")
    task.archives["native-1.0-0"].write_bytes(task.archives["other-1.0-0"].read_bytes())
    with pytest.raises((IntegrityError, UnsafeInputError)):
        machine.stage("changed", replace(task, unpacked=unpacked))


def test_hard_links_are_for_what_nobody_rewrites(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    task = machine.task(packages(tmp_path), "hardlink")
    task = replace(task, unpacked=machine.unpacked(task))
    one, other = machine.stage("a", task), machine.stage("b", task)
    assert one == other
    files = [path for path, seen in one.items() if str(seen).startswith("('file")]
    same = {path for path in files if (tmp_path / "a" / path).samefile(tmp_path / "b" / path)}
    assert {"lib/large.bin", f"{SITE}/thing/__init__.py", "share/same.txt", "share/group.txt"} <= same
    own = {"share/tool.txt", "etc/thing.conf", "lib/native.so", PYC, "bin/thing"}
    assert same.isdisjoint({*own, f"{SITE}/thing-2.0.dist-info/RECORD"})

"""What an archive becomes when rattler installs it alone, and when bridge does: two trees to be compared.

`python -m tests.support.archive_trees FOLDER…` does so for every archive below the folders, and prints what differs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rattler import PackageRecord, RepoDataRecord, install
from rattler.package_streaming import extract

from bridge import prefix
from bridge.archive.conda import CondaManifest
from bridge.errors import BridgeError
from bridge.install import manifest, ownership
from bridge.install import staging as link
from bridge.install.staging import StageInputs
from bridge.model import Install, Plan, PrefixState, Resolved
from converters.names import NameMap
from tests.support.builders import make_python
from tests.support.environments import MINOR, PYTHON, SITE, TARGET, describe

__all__ = ["Tree", "Trees", "archives"]

Tree = Mapping[str, tuple[object, ...]]
"""Prefix-relative path → ("file", sha256, mode) or ("symlink", target); directories and bookkeeping are left out."""

_WRITABLE_BY_ANYONE = 0o002  # the one bit that bridge takes away and rattler leaves
_OF_PYTHON = {"bin/python", f"bin/python{MINOR}", f"{SITE}/README.txt"}


def archives(folder: Path) -> list[Path]:
    """Every archive below a folder."""
    return sorted(path for path in folder.rglob("*") if path.name.endswith((".conda", ".tar.bz2")) and path.is_file())


class Trees:
    """Installs archives alone, each way into the same prefix, beside a stand-in for python where one is needed."""

    def __init__(self, work: Path) -> None:
        """:param work: an empty folder."""
        self._work = work
        self._python = make_python(work / "channel", MINOR)
        self._live = work / "live"
        self._install([self._python], self._live)
        self._number = 0

    def by_rattler(self, archive: Path) -> tuple[Tree | None, str]:
        """The tree that rattler makes; `None` and its reason where it makes none."""
        self._number += 1
        final = self._work / str(self._number) / "env"
        try:
            index = self._install([archive], final)
        except Exception as error:  # noqa: BLE001 - rattler's own kinds, and OSError
            return None, str(error)
        found = dict(tree(final))
        return {path: found[path] for path in found.keys() - (_OF_PYTHON if _is_python(index) else set())}, ""

    def by_bridge(self, archive: Path) -> tuple[Tree, CondaManifest]:
        """The tree that bridge stages for the prefix of the last `by_rattler`. Raises `BridgeError`."""
        record, found = describe(archive)
        assert isinstance(found, CondaManifest)
        state = prefix.read(self._live) if found.noarch == "python" else PrefixState(prefix=self._live)
        plan = Plan(
            prefix=self._work / str(self._number) / "env",
            target=TARGET,
            operations=(Install(new=Resolved(record=record)),),
            python=PYTHON,
        )
        predicted = manifest.predict(plan, {record.identity: found}, site_packages=SITE)
        task = StageInputs(
            plan=plan,
            state=state,
            archives={record.identity: archive},
            manifests={record.identity: found},
            predicted=predicted,
            judgement=ownership.judge(state, plan, predicted, lambda _: None),
            names=NameMap.empty(),
            command="bridge install",
            when="2026-12-01 10:00:00",
            version="1.0",
            compiles=False,
        )
        staging = self._work / str(self._number) / "staged"
        staging.mkdir(parents=True)
        link.stage(task, staging, self._work / str(self._number) / "scratch")
        return dict(tree(staging)), found

    def differences(self, archive: Path) -> tuple[list[str], bool]:
        """What bridge does otherwise than rattler; and whether rattler installs the archive at all.

        Entry points are written by each in its own words: they are to be there, and no more.
        """
        theirs, _ = self.by_rattler(archive)
        if theirs is None:
            return [], False
        try:
            ours, found = self.by_bridge(archive)
        except BridgeError as error:
            return [f"{error.id}: {error.message}"], True
        commands = {f"bin/{text.partition('=')[0].strip()}" for text in found.entry_points}
        odd = [
            f"{path}: rattler {theirs.get(path)}, bridge {ours.get(path)}"
            for path in sorted(theirs.keys() | ours.keys())
            if _without_loose_bit(theirs.get(path)) != ours.get(path)
            and not (path in commands and path in theirs and path in ours)
        ]
        return odd, True

    def _install(self, packages: Iterable[Path], target: Path) -> Mapping[str, object]:
        """Install packages by rattler, and python where the last one needs it; that one's index.json."""
        records: list[RepoDataRecord] = []
        index: Mapping[str, object] = {}
        for path in packages:
            index = self._described(path, records)
        if _is_python(index):
            self._described(self._python, records)
        work = install(records, target_prefix=str(target), cache_dir=target.parent / "cache", show_progress=False)
        asyncio.run(work)
        return index

    def _described(self, path: Path, records: list[RepoDataRecord]) -> Mapping[str, object]:
        """Add the record of a package, made of its own index.json, which is returned."""
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            extract(path, Path(folder, "package"))
            source = Path(folder, "package/info/index.json")
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            record = PackageRecord.from_index_json(source, sha256=sha256, size=path.stat().st_size)
            index: Mapping[str, object] = json.loads(source.read_bytes())
        records.append(RepoDataRecord(record, path.name, path.as_uri(), path.parent.parent.as_uri()))
        return index


def tree(root: Path) -> Iterator[tuple[str, tuple[object, ...]]]:
    """All files and links below `root`, but for `conda-meta` and rattler's tag."""
    for folder, folders, files in os.walk(root):
        for name in files + [name for name in folders if Path(folder, name).is_symlink()]:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if relative.partition("/")[0] in {"conda-meta", "CACHEDIR.TAG"}:
                continue
            if path.is_symlink():
                yield relative, ("symlink", os.readlink(path))
            else:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                yield relative, ("file", digest, f"{path.stat().st_mode & 0o7777:o}")


def _is_python(index: Mapping[str, object]) -> bool:
    return index.get("noarch") == "python"


def _without_loose_bit(found: tuple[object, ...] | None) -> tuple[object, ...] | None:
    """As bridge has it: nothing in an environment may be written by anyone (CA08)."""
    if found is None or found[0] != "file":
        return found
    return (*found[:2], f"{int(str(found[2]), 8) & ~_WRITABLE_BY_ANYONE:o}")


def _main(folders: Iterable[str]) -> int:
    counted: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as work:
        trees = Trees(Path(work))
        seen: set[bytes] = set()
        for path in (path for folder in folders for path in archives(Path(folder))):
            digest = hashlib.sha256(path.read_bytes()).digest()
            if digest in seen:
                continue
            seen.add(digest)
            odd, is_installed = trees.differences(path)
            counted["differ" if odd else "same" if is_installed else "not installed by rattler"] += 1
            for line in odd[:5]:
                print(f"{path}: {line}", flush=True)
    print(", ".join(f"{count} {what}" for what, count in sorted(counted.items())), flush=True)
    return int(counted["differ"] > 0)


if __name__ == "__main__":
    os._exit(_main(sys.argv[1:]))  # an interpreter that used rattler may abort while it finalises

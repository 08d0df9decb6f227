"""Power loss, modelled (X17): of what was not synced, any part may be on the disk, in any order.

The calls of an undisturbed run, as the shim logs them, are replayed on a copy of the prefix up to some call. What a
sync covers is kept; of the rest each call is kept or lost by lot, as far as it can still be done without those that
were lost. `syncfs` covers all before it; `fsync` of a directory the names in it, of a file its bytes and mode, but not
its name. A rename is kept or lost as a whole.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import BridgeError
from bridge.transaction.recovery import recover
from tests.fault.enumeration import Bench, Tree, difference, plain
from tests.fault.workloads import build, observe

ROOT_CALLS = {"open": "create", "open64": "create", "openat": "create", "openat64": "create", "creat": "create"}
NAMES = {"create", "link", "rename", "symlink", "mkdir", "unlink", "rmdir"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One logged call on `path`, relative to the prefix (`.`: itself).

    `also` is as the shim logs it, `offset` that of a write. `inode` stands for the file or directory that it is about,
    which a rename does not change; `folders` for those whose names it changes.
    """

    name: str
    path: str
    also: str
    offset: int
    inode: str
    folders: frozenset[str]

    def is_covered_by(self, sync: Call) -> bool:
        if sync.name == "syncfs":
            return True
        return sync.inode in self.folders if self.name in NAMES else sync.inode == self.inode


class _Inodes:
    """Which inode a path leads to, as calls go by. One that was there before is called by its path."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._made = 0

    def at(self, path: str) -> str:
        return self._known.get(path, path)

    def folder(self, path: str) -> str:
        return self.at(os.path.dirname(path) or ".")

    def make(self, path: str) -> None:
        if path not in self._known:  # Else the call failed: it is there.
            self._made += 1
            self._known[path] = f"#{self._made}"

    def rename(self, source: str, target: str) -> None:
        inside = [path for path in self._known if path.startswith(f"{source}/")]
        for path in [source, *inside]:
            self._known[target + path.removeprefix(source)] = self.at(path)
            self._known.pop(path, None)


def read_log(log: Path, prefix: Path) -> list[Call]:
    """The calls that change something, and the syncs, in order."""
    calls, sizes, inodes = [], dict[str, int](), _Inodes()
    for line in log.read_text().splitlines():
        _, name, rest = line.split(" ", 2)
        absolute, _, also = rest.partition("\t")
        path = os.path.relpath(absolute, prefix)
        name = ROOT_CALLS.get(name, name.removesuffix("at").removesuffix("64"))
        if name == "flock":
            continue
        folders = {inodes.folder(path)}
        if name in {"rename", "link"}:
            also = os.path.relpath(also, prefix)
        if name == "rename":
            folders.add(inodes.folder(also))
            inodes.rename(also, path)
        if name == "mkdir" or (name == "create" and path not in sizes):
            inodes.make(path)
        if name == "unlink" and also == str(0x200):  # AT_REMOVEDIR
            name = "rmdir"
        offset = sizes.setdefault(path, 0)
        if name == "write":
            sizes[path] = offset + int(also)
        inode = inodes.at(path)
        calls.append(Call(name=name, path=path, also=also, offset=offset, inode=inode, folders=frozenset(folders)))
    return calls


def bytes_written(bench: Bench, calls: Sequence[Call]) -> Mapping[str, bytes]:
    """What each written file held in the end, by the path it was written under; read after a kill at the end."""
    bench.run(failpoint="commit.synced=kill")
    (folder,) = (bench.prefix / "conda-meta/.bridge/txn").iterdir()
    found = {}
    for path in {call.path for call in calls if call.name == "write"}:
        name = path.partition(f"{folder.name}/")[2]
        if name.endswith(".bridge-tmp"):
            found[path] = (folder / "plan.json").read_bytes()
        elif name == "journal":
            found[path] = (folder / "journal").read_bytes()
        else:
            content = bench.workload.after[name.removeprefix("new/")]
            assert isinstance(content, bytes)
            found[path] = content
    return found


def replay(root: Path, calls: Sequence[Call], kept: Sequence[bool], contents: Mapping[str, bytes]) -> None:
    for call, is_kept in zip(calls, kept, strict=True):
        if is_kept and not _is_through_symlink(root, call.path):
            with suppress(OSError):  # It builds on what was lost.
                _do(root, call, contents)


def _is_through_symlink(root: Path, path: str) -> bool:
    """Whether a directory of the path was lost, and a symlink still lies there: the call was about another inode."""
    return any((root / folder).is_symlink() for folder in Path(path).parents)


def _do(root: Path, call: Call, contents: Mapping[str, bytes]) -> None:
    path = root / call.path
    if call.name == "create":
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    elif call.name == "write":
        descriptor = os.open(path, os.O_WRONLY)
        data = contents[call.path][call.offset : call.offset + int(call.also)]
        os.pwrite(descriptor, data, call.offset)
        os.close(descriptor)
    elif call.name in {"fchmod", "chmod"}:
        path.chmod(int(call.also))
    elif call.name == "link":
        os.link(root / call.also, path, follow_symlinks=False)
    elif call.name == "rename":
        os.rename(root / call.also, path)
    elif call.name == "symlink":
        path.symlink_to(call.also)
    elif call.name == "mkdir":
        path.mkdir()
        path.chmod(int(call.also) & 0o1755)
    elif call.name == "unlink":
        path.unlink()
    elif call.name == "rmdir":
        path.rmdir()


def states(calls: Sequence[Call], lot: random.Random, each: int) -> Iterator[tuple[int, list[bool]]]:
    """For each call at which the power may go: which of those before it are on the disk, `each` times."""
    for end in range(1, len(calls) + 1):
        syncs = [(number, call) for number, call in enumerate(calls[:end]) if call.name in {"syncfs", "fsync"}]
        covered = [
            any(number < at and call.is_covered_by(sync) for at, sync in syncs)
            for number, call in enumerate(calls[:end])
        ]
        # A directory whose removal is on the disk takes with it what was done in it.
        for gone in reversed(range(end)):
            for number in range(gone if covered[gone] and calls[gone].name == "rmdir" else 0):
                covered[number] = covered[number] or calls[gone].inode in calls[number].folders
        for share in (lot.choice([0.0, 0.2, 0.5, 0.8, 1.0]) for _ in range(each)):
            yield end, [is_covered or lot.random() < share for is_covered in covered]


def lose_power(bench: Bench, folder: Path, *, seed: int, each: int) -> tuple[int, list[str]]:
    """How many states were made, and what is wrong with those from which recovery leads to neither before nor after."""
    begun = {path: plain(state) for path, state in bench.reset().items()}
    calls = _logged(bench, folder / "power.log", bench.name)
    contents = bytes_written(bench, calls)
    # The last line of the journal is COMMITTED; from the sync of it on, the change may not be lost.
    last = max(number for number, call in enumerate(calls) if call.name == "write" and call.path.endswith("/journal"))
    committed = next((n for n, call in enumerate(calls) if n > last and call.name in {"fsync", "syncfs"}), len(calls))

    def start(root: Path) -> None:
        assert bench.workload.before is not None
        build(root, bench.workload.before)

    wrong, count = [], 0
    for end, kept in states(calls, random.Random(seed), each):
        count += 1
        allowed = [bench.after] if end > committed else [begun, bench.after]
        wrong += _recovered(folder / "power", start, calls[:end], kept, contents, allowed)
    return count, wrong


def lose_power_in_recovery(
    bench: Bench, folder: Path, *, failpoint: str, seed: int, each: int
) -> tuple[int, list[str]]:
    """The same, for the recovery from a kill at the failpoint."""
    bench.run(failpoint=f"{failpoint}=kill")
    allowed = [bench.after if bench.is_committed() else {path: plain(state) for path, state in bench.begun.items()}]
    shutil.copytree(bench.prefix, folder / "interrupted", symlinks=True)
    calls = _logged(bench, folder / "power.log", "recover")
    wrong, count = [], 0
    for end, kept in states(calls, random.Random(seed), each):
        count += 1
        wrong += _recovered(
            folder / "power",
            lambda root: shutil.copytree(folder / "interrupted", root, symlinks=True),
            calls[:end],
            kept,
            {},
            allowed,
        )
    shutil.rmtree(folder / "interrupted")
    return count, wrong


def _logged(bench: Bench, log: Path, workload: str) -> list[Call]:
    bench.server.run(bench.prefix, workload, durability=bench.durability, log=log)
    calls = read_log(log, bench.prefix)
    log.unlink()
    return calls


def _recovered(
    root: Path,
    start: Callable[[Path], object],
    calls: Sequence[Call],
    kept: Sequence[bool],
    contents: Mapping[str, bytes],
    allowed: Sequence[Tree],
) -> list[str]:
    """What is wrong after the power went and came, and the prefix was recovered."""
    start(root)
    replay(root, calls, kept, contents)
    try:
        recover(root, durability="none")
        seen = observe(root)
        return [] if seen in allowed else [f"after {len(calls)}: {[difference(seen, tree) for tree in allowed]}"]
    except BridgeError as error:
        return [f"after {len(calls)}: {error.message} {error.context}"]
    finally:
        shutil.rmtree(root)

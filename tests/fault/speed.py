"""`python -m tests.fault.speed [--folder DIR] [--files N]`: what a commit and a recovery cost, beside the bare calls.

"bare" is what the same renames, links and unlinks cost without any of ours: a disk that is slow at those is slow at
both. Hashing what is replaced is part of a commit where a hash is known; it is shown apart.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bridge import faults, fs
from bridge.model import Fingerprint, PathChange
from bridge.transaction.commit import change
from bridge.transaction.recovery import recover


def paths(count: int) -> list[str]:
    return [f"lib/python3.12/site-packages/p{number // 40}/m{number}.py" for number in range(count)]


def timed(what: str, work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    spent = time.perf_counter() - began
    print(f"  {what:44} {spent:8.3f} s", flush=True)
    return spent


def upgrade(
    prefix: Path, count: int, generation: int, before: Mapping[str, Fingerprint], durability: fs.Durability
) -> Mapping[str, Fingerprint]:
    """Replace, or place, every path; only the commit is timed. The fingerprints of what is there now."""
    with change(prefix, durability=durability) as transaction:
        with fs.WritableTree(transaction.staging) as staging:
            after = {path: fs.write_file(staging, path, [b"%d" % generation * 2400]) for path in paths(count)}
        todo = [PathChange(path=path, before=before.get(path), after=after[path]) for path in paths(count)]
        timed("commit: " + ("replaced" if before else "added"), lambda: transaction.commit(todo))
    return after


def remove(prefix: Path, before: Mapping[str, Fingerprint], durability: fs.Durability) -> None:
    with change(prefix, durability=durability) as transaction:
        todo = [PathChange(path=path, before=found, after=None) for path, found in before.items()]
        timed("commit: removed", lambda: transaction.commit(todo))


def interrupt(prefix: Path, count: int, before: Mapping[str, Fingerprint], failpoint: str) -> None:
    child = os.fork()
    if child == 0:
        faults.arm(f"{failpoint}=kill")
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 1)
        upgrade(prefix, count, 3, before, "batched")
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def bare(folder: Path, count: int) -> None:
    for name in ("one", "two", "old"):
        (folder / name).mkdir()
    for number in range(count):
        for name in ("one", "two"):
            (folder / name / str(number)).write_bytes(b"x" * 2400)

    def work() -> None:
        for number in range(count):
            os.link(folder / "one" / str(number), folder / "old" / str(number))
            os.rename(folder / "two" / str(number), folder / "one" / str(number))
        for number in range(count):
            os.unlink(folder / "old" / str(number))

    timed("bare link, rename, unlink", work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--recover", type=int, default=10000)
    arguments = parser.parse_args()
    for durability in ("none", "batched", "full"):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            prefix = Path(folder, "env")
            (prefix / "conda-meta").mkdir(parents=True)
            print(f"{arguments.files} files of 2.4 kB, durability {durability}")
            first = upgrade(prefix, arguments.files, 1, {}, durability)
            timed("hashing alone", lambda: [fs.fingerprint(prefix, path) for path in first])  # noqa: B023
            remove(prefix, upgrade(prefix, arguments.files, 2, first, durability), durability)
            bare(Path(folder), arguments.files)
    for failpoint in ("commit.pre_sync", "commit.synced"):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            prefix = Path(folder, "env")
            (prefix / "conda-meta").mkdir(parents=True)
            print(f"recovery of {arguments.recover} paths, killed at {failpoint}")
            before = upgrade(prefix, arguments.recover, 1, {}, "none")
            interrupt(prefix, arguments.recover, before, failpoint)
            timed("recover", lambda: recover(prefix))  # noqa: B023


if __name__ == "__main__":
    main()

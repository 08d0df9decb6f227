"""`python -m tests.fault.mounts KIND FOLDER`: transactions on a file system that is small, or an overlay.

To be run in a mount namespace of its own (`unshare -rm`). Exit status 0: all was as it must be; 77: the mount is not
permitted here; else what is wrong is on standard output.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bridge import faults
from bridge.errors import FaultError
from bridge.transaction.recovery import recover
from bridge.transaction.waiting import pending
from tests.fault.workloads import NEW, OLD, Workload, build, observe, own, run

PAGE = 4096


@contextmanager
def mounted(folder: Path, kind: str, options: str) -> Iterator[None]:
    done = subprocess.run(["mount", "-t", kind, "-o", options, "none", folder], capture_output=True, check=False)
    if done.returncode != 0:
        print(done.stderr.decode())
        sys.exit(77)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def files(generation: int, count: int) -> dict[str, bytes]:
    return {f"lib/{number}": bytes([generation]) * PAGE * 2 for number in range(count)}


def on_small_disks(folder: Path) -> Iterator[str]:
    """X07: too small at every size from just enough for what is there to enough for the change."""
    workload = Workload(before={**OLD, **files(1, 8)}, after={**NEW, **files(2, 10)})
    outcomes = set()
    for pages in range(60, 110, 2):
        with mounted(folder, "tmpfs", f"size={pages * PAGE}"):
            prefix = folder / "env"
            try:
                build(prefix, workload.before or {})
            except OSError:
                continue  # It does not even hold what is to be changed.
            before = observe(prefix, identity=True)
            try:
                run(prefix, workload)
                outcome = "after"
            except FaultError as error:
                outcome = error.id
            outcomes.add(outcome)
            if outcome != "after" and (observe(prefix, identity=True) != before or own(prefix)):
                yield f"{pages} pages: {outcome}, but not as before"
            if pending(prefix) is not None:
                yield f"{pages} pages: recovery is needed"
    if outcomes != {"after", "no-space"}:
        yield f"outcomes: {outcomes}"


def on_an_overlay(folder: Path) -> Iterator[str]:
    """A prefix in a lower layer, as in a container's image: its directories cannot be renamed."""
    for name in ("lower", "upper", "merged"):
        (folder / name).mkdir()
    build(folder / "lower/env", OLD)
    build(folder / "expected", NEW)
    for failpoint in ("", "swap.rmdir_one=eio", "swap.rename_one:4=eio", "commit.pre_sync=eio"):
        with mounted(folder / "upper", "tmpfs", "size=16m"):
            (folder / "upper/data").mkdir()
            (folder / "upper/work").mkdir()
            layers = f"lowerdir={folder / 'lower'},upperdir={folder / 'upper/data'},workdir={folder / 'upper/work'}"
            with mounted(folder / "merged", "overlay", f"{layers},userxattr"):
                prefix = folder / "merged/env"
                yield from _on_an_overlay(prefix, failpoint, observe(folder / "expected"))


def _on_an_overlay(prefix: Path, failpoint: str, expected: object) -> Iterator[str]:
    before = observe(prefix)
    faults.arm(failpoint)
    try:
        run(prefix, Workload(before=OLD, after=NEW))
    except FaultError as error:
        if not failpoint:
            yield f"{error.message} {error.context}"
        if observe(prefix) != before or own(prefix):
            yield f"{failpoint}: not as before"
    else:
        if failpoint or observe(prefix) != expected:
            yield f"{failpoint}: not as after"
    if recover(prefix).state != "nothing":
        yield f"{failpoint}: recovery is needed"


def main(arguments: Sequence[str]) -> int:
    kind, folder = arguments
    wrong = list({"small": on_small_disks, "overlay": on_an_overlay}[kind](Path(folder)))
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

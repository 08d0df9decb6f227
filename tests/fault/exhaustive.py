"""`python -m tests.fault.exhaustive`: every fault at every call of every workload and of every recovery from a kill.

The workloads are of two kinds: changes of paths as values, and whole commands on packages (`bridge-…`), of which
recoveries are killed too where the command itself was killed at every n-th call (`--each`).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.fault.commands import COMMANDS, CommandBench, environment, make_packages
from tests.fault.enumeration import ERRNOS, Bench, Tally, kill, kill_recovery, recovery_points, refuse, stick
from tests.fault.power import lose_power, lose_power_in_recovery
from tests.fault.server import Server, build_shim
from tests.fault.workloads import WORKLOADS

FAULTS = ("kill", "once", "sticky", "recovery", "power")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    parser.add_argument("--durability", default="batched", choices=["full", "batched", "none"])
    parser.add_argument(
        "--link-mode",
        default="copy",
        choices=["auto", "clone", "copy", "hardlink"],
        help="how commands place files; clones need a --folder on btrfs or XFS",
    )
    parser.add_argument("--each", type=int, default=10, help="a command's recoveries: from every n-th call")
    parser.add_argument("--fault", action="append", choices=FAULTS, help="of these kinds only (repeatable)")
    parser.add_argument("--step", type=int, default=1, help="at every n-th call instead of every one")
    parser.add_argument("workload", nargs="*", default=[*sorted(WORKLOADS), *COMMANDS])
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        shim = build_shim(Path(folder))
        if shim is None:
            sys.exit("this needs Linux and a C compiler (cc)")
        home, packages = Path(folder, "home"), Path(folder, "packages")
        home.mkdir()
        make_packages(packages)
        with Server(shim, home, environment(packages, arguments.link_mode)) as server:
            for name in arguments.workload:
                if name in COMMANDS:
                    bench: Bench = CommandBench(server, home, name, arguments.durability)
                else:
                    bench = Bench(server, home, name, arguments.durability)
                each = arguments.each if name in COMMANDS else 1
                failed += examine(bench, home, arguments.fault or FAULTS, step=arguments.step, each=each)
    return 1 if failed else 0


def examine(bench: Bench, folder: Path, faults: Sequence[str], *, step: int = 1, each: int = 1) -> int:
    """These kinds of faults at every `step`-th call; how many ended as they must not.

    :param each: of the calls before which it was killed, from how many on the recovery is killed as well.
    """
    failed = 0
    points = range(1, bench.calls + 1, step)
    no_space = ERRNOS["enospc"]
    if "kill" in faults:
        failed += report(bench, "SIGKILL", lambda: kill(bench, points))
    for text, code in ERRNOS.items() if "once" in faults else ():
        failed += report(bench, f"{text} once", partial(refuse, bench, points, code))
    if "sticky" in faults:
        failed += report(bench, "no space from there on", lambda: stick(bench, points, no_space, "allocating"))
        failed += report(bench, "all fails from there on", lambda: stick(bench, points, no_space, "sticky"))
    if "recovery" in faults and bench.workload.before is not None:
        pairs = list(recovery_points(bench, range(1, bench.calls + 1, each)))
        failed += report(bench, "SIGKILL in recovery", lambda: kill_recovery(bench, pairs))
    is_modelled = bench.workload.before is not None and not isinstance(bench, CommandBench)
    if "power" in faults and is_modelled and bench.durability != "none":
        failed += report_power(bench, "power", lambda: lose_power(bench, folder, seed=1, each=12))
        for failpoint in ("swap.rename_one:4", "commit.pre_sync", "commit.synced"):
            work = partial(lose_power_in_recovery, bench, folder, failpoint=failpoint, seed=1, each=12)
            failed += report_power(bench, f"power in recovery from {failpoint}", work)
    return failed


def report(bench: Bench, fault: str, work: Callable[[], Tally]) -> int:
    began = time.monotonic()
    tally = work()
    ends = f"{tally.before:6} as before, {tally.after:5} as after, {len(tally.torn)} other"
    return _print(bench, f"{fault:24} {tally.points:6} points: {ends}", tally.torn, began)


def report_power(bench: Bench, fault: str, work: Callable[[], tuple[int, list[str]]]) -> int:
    began = time.monotonic()
    count, wrong = work()
    return _print(bench, f"{fault:24} {count:6} states: {len(wrong)} neither as before nor as after", wrong, began)


def _print(bench: Bench, text: str, wrong: Sequence[str], began: float) -> int:
    print(f"{bench.name:14} {text}; {time.monotonic() - began:.1f} s", flush=True)
    for one in wrong[:5]:
        print(f"  {one[:600]}")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())

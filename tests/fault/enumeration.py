"""Every point of a workload, one after the other, and what must hold after each.

MUST, from the contract of a transaction: after a kill at any point, recovery leaves the prefix as before, or, if the
journal says COMMITTED, as after, and nothing of its own; after a single refused call the prefix is one or the other
without recovery, and the exit status says which.
"""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.transaction.journal import read_journal
from bridge.transaction.recovery import recover
from bridge.transaction.waiting import pending
from tests.fault.server import Outcome, Server
from tests.fault.workloads import WORKLOADS, Workload, build, observe, own

ERRNOS = {"enospc": errno.ENOSPC, "eio": errno.EIO, "eacces": errno.EACCES, "eperm": errno.EPERM}

Tree = dict[str, tuple[object, ...]]


@dataclass(slots=True, kw_only=True)
class Tally:
    """How many points were tried, and how they ended."""

    points: int = 0
    before: int = 0
    after: int = 0
    torn: list[str] = field(default_factory=list)


class Bench:
    """A workload and a place to run it in, again and again from the same start.

    `own_before` and `own_after` are what bridge keeps of its own in the prefix then.
    """

    own_before: Sequence[str] = ()
    own_after: Sequence[str] = ("conda-meta/.bridge", "conda-meta/.bridge/lock")

    def __init__(self, server: Server, folder: Path, name: str, durability: str = "batched") -> None:
        self.server, self.name, self.durability = server, name, durability
        self.workload: Workload = WORKLOADS[name]
        self.home = folder / name
        self.home.mkdir()
        self.prefix = self.home / "env"
        build(self.home / "expected", self.workload.after)
        self.after = observe(self.home / "expected")
        shutil.rmtree(self.home / "expected")
        self.calls = self.run().calls

    def reset(self) -> Tree:
        """Begin again; what the prefix is like then, inodes and times included."""
        shutil.rmtree(self.home)
        self.home.mkdir()
        self._fill()
        return self.see()

    def _fill(self) -> None:
        if self.workload.before is not None:
            build(self.prefix, self.workload.before)

    def run(self, *, at: int = 0, code: int = 0, mode: str = "once", failpoint: str = "") -> Outcome:
        """From the start, to the fault."""
        self.begun = self.reset()
        return self.server.run(
            self.prefix, self.name, at=at, code=code, mode=mode, failpoint=failpoint, durability=self.durability
        )

    def recover(self, *, at: int = 0, code: int = 0, mode: str = "once", failpoint: str = "") -> Outcome:
        """From where it is now, recover to the fault."""
        return self.server.run(self.prefix, "recover", at=at, code=code, mode=mode, failpoint=failpoint)

    def again(self) -> Outcome:
        """From where it is now, once more and without a fault."""
        return self.server.run(self.prefix, self.name)

    def see(self) -> Tree:
        return observe(self.prefix, identity=True) if self.prefix.exists() else {}

    def is_committed(self) -> bool:
        """What the journal that a killed process left says; without one, nothing was begun, or all was cleaned."""
        left = [*(self.prefix / "conda-meta/.bridge/txn").glob("*")]
        if self.workload.before is None:
            return self.prefix.exists()
        if not left:
            files = [{path for path, state in tree.items() if state[0] == "file"} for tree in (self.see(), self.begun)]
            return files[0] != files[1]
        folder = left[0]
        if folder.suffix:
            return folder.suffix == ".after"
        journal = folder / "journal"
        return journal.exists() and read_journal(journal.read_bytes()).state == "COMMITTED"

    def judge(self, *, is_after: bool) -> str:
        """What is wrong with the prefix and what lies beside it; empty: nothing."""
        if is_after:
            if (seen := observe(self.prefix) if self.prefix.exists() else {}) != self.after:
                return f"not as after: {difference(seen, self.after)}"
            allowed = self.own_after
        else:
            if (was := self.see()) != self.begun:
                return f"not as before: {difference(was, self.begun)}"
            allowed = self.own_before
        if (kept := own(self.prefix)) != [*allowed]:
            return f"left of its own: {kept}"
        beside = sorted(path.name for path in self.home.iterdir() if path != self.prefix)
        return f"left beside: {beside}" if beside else ""

    def mixed(self) -> str:
        """A path that holds neither its old nor its new content, before any recovery; empty: there is none.

        X02: absent only where it is absent before or after. A path that changes its kind (from or to a directory) has a
        moment in which it is absent; no rename closes it.
        """
        if not self.prefix.exists():
            return "" if not self.begun else "gone"
        seen = observe(self.prefix)
        begun = {path: plain(state) for path, state in self.begun.items()}
        for path in {*seen, *begun, *self.after} - {"conda-meta"}:
            known = {begun.get(path), self.after.get(path)}
            if seen.get(path) in known:
                continue
            kinds = {state[0] for state in known if state}
            if path not in seen and len(kinds) == 2 and "directory" in kinds:
                continue
            return f"{path}: {seen.get(path)}"
        return ""


def plain(state: tuple[object, ...]) -> tuple[object, ...]:
    return state if state[0] == "directory" else state[:-2]


def difference(one: Tree, other: Tree) -> dict[str, object]:
    return {path: (one.get(path), other.get(path)) for path in {*one, *other} if one.get(path) != other.get(path)}


def kill(bench: Bench, points: Iterable[int]) -> Tally:
    """X01, X02, X03 (recovery is idempotent): SIGKILL before each of the points, then recover."""
    tally = Tally()
    for point in points:
        outcome = bench.run(at=point)
        # Each process that places files tries a clone, and which one places what differs: so does the number of calls.
        is_over = outcome.exit_code == 0 and outcome.calls < point
        assert outcome.signal == signal.SIGKILL or is_over, outcome
        is_after = bench.is_committed()
        wrong = bench.mixed() or _settle(bench, is_after=is_after)
        _count(tally, f"{bench.name} kill {point}", wrong, is_after=is_after)
    return tally


def _settle(bench: Bench, *, is_after: bool) -> str:
    """Recover, in this process; what is wrong then. A killed creation is settled by the next one."""
    if bench.workload.before is None:
        if not is_after:
            if bench.prefix.exists():
                return "a prefix before it was published"
            again = bench.again()
            return again.error or bench.judge(is_after=True)
        return bench.judge(is_after=True)
    interrupted = pending(bench.prefix)
    state = recover(bench.prefix).state
    if interrupted is not None and state != ("finished" if is_after else "restored"):
        return f"recovery said {state}"
    wrong = bench.judge(is_after=is_after)
    return wrong or ("not idempotent" if recover(bench.prefix).state != "nothing" else "")


def refuse(bench: Bench, points: Iterable[int], code: int) -> Tally:
    """X06, X09: each of the points fails once with an errno; no recovery is needed."""
    tally = Tally()
    for point in points:
        outcome = bench.run(at=point, code=code)
        is_after = outcome.exit_code == 0
        wrong = "" if outcome.exit_code in {0, 7} else f"exit {outcome.exit_code}: {outcome.error} {outcome.context}"
        wrong = wrong or bench.judge(is_after=is_after)
        _count(tally, f"{bench.name} errno {code} at {point}", wrong, is_after=is_after)
    return tally


def stick(bench: Bench, points: Iterable[int], code: int, mode: str) -> Tally:
    """X07: from each of the points on every call fails ("allocating": every call that needs new blocks)."""
    tally = Tally()
    for point in points:
        outcome = bench.run(at=point, code=code, mode=mode)
        wrong = "" if outcome.exit_code in {0, 7, 9} else f"exit {outcome.exit_code}: {outcome.error}"
        if mode == "allocating" and outcome.exit_code == 9:
            wrong = f"undoing needed space: {outcome.context}"
        # An error past the point of no return is no error: what is left to do is done by the recovery.
        is_after = outcome.exit_code == 0 or (outcome.exit_code == 9 and bench.is_committed())
        wrong = wrong or _settle(bench, is_after=is_after)
        _count(tally, f"{bench.name} {mode} {code} from {point}", wrong, is_after=is_after)
    return tally


def kill_recovery(bench: Bench, pairs: Iterable[tuple[int, int]]) -> Tally:
    """X03, X04: SIGKILL in the transaction, then before the given call of the recovery, then recover."""
    tally = Tally()
    for point, again in pairs:
        bench.run(at=point)
        is_after = bench.is_committed()
        bench.recover(at=again)
        _count(tally, f"{bench.name} kill {point}, then {again}", _settle(bench, is_after=is_after), is_after=is_after)
    return tally


def recovery_points(bench: Bench, points: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Every call of every recovery from a kill at the given points."""
    for point in points:
        bench.run(at=point)
        for again in range(1, bench.recover().calls + 1):
            yield point, again


def _count(tally: Tally, what: str, wrong: str, *, is_after: bool) -> None:
    tally.points += 1
    if wrong:
        tally.torn.append(f"{what}: {wrong}")
    elif is_after:
        tally.after += 1
    else:
        tally.before += 1

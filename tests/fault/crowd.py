"""`python -m tests.fault.crowd [--processes 8] [--rounds 100]`: many commands on one environment at the same time.

In each round every process runs a command at random: installs, upgrades, moves, removes, recovers, audits or lists.
In every fourth round one of them is killed at a random moment. After each round nothing may be torn: a recovery
settles what was killed, every file is what its record promises, and every file has an owner. A round that takes longer
than its limit counts as a deadlock.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bridge import fs
from bridge import prefix as prefixes
from bridge.prefix.claims import claims_of
from bridge.transaction.recovery import recover
from tests.fault.commands import BASE, environment, make_packages
from tests.fault.running import run_command

WORDS: tuple[tuple[str, ...], ...] = (
    ("install", "pypi:demo==1.0"),
    ("install", "pypi:demo==2.0", "lib=1.0"),
    ("install", "conda:demo"),
    ("install", "lib=2.0"),
    ("install", "lib=1.0", "--no-compile"),
    ("remove", "demo"),
    ("remove", "lib"),
    ("recover",),
    ("list",),
    ("audit", "--fail-on", "error"),
)
# 6: `pypi:demo` where `conda:demo` was requested earlier; 2: what is to be removed is not there; 8: another process had
# it too long; 9: audited while a dead one's is pending.
EXPECTED = {0, 2, 6, 8, 9}
LIMIT = 120.0  # seconds for one round


def torn(prefix: Path) -> list[str]:
    """What is not as the records say; empty: the environment is whole."""
    recover(prefix)
    state = prefixes.read(prefix)
    found = [f"{defect.path}: {defect.detail}" for defect in state.defects]
    owned = claims_of(state).by_path
    for path, held in owned.items():
        lies = fs.fingerprint(prefix, path)
        promised = {claim.entry.fingerprint.sha256 for claim in held} - {None}
        if lies is None or (promised and promised != {lies.sha256}):
            found.append(f"{path} of {held[0].owner.label} is not what it promised")
    folders = {folder for path in owned for folder in _folders(path)}
    for path, _ in prefixes.walk(prefix):
        if path not in owned and path not in folders and path not in {"conda-meta", "conda-meta/history"}:
            found.append(f"{path} is nobody's")
    own = {entry.name for entry in (prefix / "conda-meta/.bridge").iterdir()}
    return found + [f"left of its own: {name}" for name in own - {"lock", "history"}]


def _folders(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]


def start(prefix: Path, words: tuple[str, ...]) -> int:
    """A process that runs a command; its exit status is the command's."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        status = int(str(run_command(prefix, words, "none").get("exit_code", 0)))
    finally:
        os._exit(status)


def play(prefix: Path, dice: random.Random, processes: int, *, kills: bool) -> tuple[Counter[int], list[str]]:
    """One round: how the commands ended, and what is wrong."""
    running = {start(prefix, words): words for words in dice.choices(WORDS, k=processes)}
    victim = dice.choice([*running]) if kills else 0
    moment, began = dice.uniform(0.0, 0.6), time.monotonic()
    ended: Counter[int] = Counter()
    wrong: list[str] = []
    while running:
        if time.monotonic() - began > LIMIT:
            for child in running:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            return ended, [*wrong, f"deadlock: {sorted(running.values())}"]
        if victim in running and time.monotonic() - began > moment:
            os.kill(victim, signal.SIGKILL)
        child, status = os.waitpid(-1, os.WNOHANG)
        if not child:
            time.sleep(0.005)
            continue
        words = running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        ended[code] += 1
        if code not in EXPECTED and not (child == victim and code == -signal.SIGKILL):
            wrong.append(f"{' '.join(words)}: exit {code}")
    return ended, wrong + torn(prefix)


def run(
    folder: Path, *, processes: int, rounds: int, seed: int, is_shown: bool = False
) -> tuple[Counter[int], list[str]]:
    """All rounds on one environment below `folder`: how the commands ended, and what was wrong after which round."""
    make_packages(folder / "packages")
    os.environ.update(environment(folder / "packages"))
    prefix, dice = folder / "env", random.Random(seed)
    # Not in this process: what rattler starts does not outlive a fork.
    assert os.waitpid(start(prefix, BASE), 0)[1] == 0, "the environment could not be made"
    total: Counter[int] = Counter()
    problems: list[str] = []
    for number in range(1, rounds + 1):
        ended, wrong = play(prefix, dice, processes, kills=number % 4 == 0)
        total += ended
        problems += [f"round {number}: {text}" for text in wrong]
        if is_shown and (wrong or number % 10 == 0):
            print(f"round {number}: {dict(sorted(total.items()))}", *wrong[:5], sep="\n  ", flush=True)
    return total, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        total, problems = run(
            Path(folder), processes=arguments.processes, rounds=arguments.rounds, seed=arguments.seed, is_shown=True
        )
    print(f"{sum(total.values())} commands by exit status: {dict(sorted(total.items()))}")
    print(f"{len(problems)} problems; {time.monotonic() - began:.0f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Draw mutants, run the tests that cover them, and say which survive.

    python -m tests.mutants --data .coverage --seconds junit.xml --out results.jsonl [--count 400] [--seed 12]

To be started in a copy of the repository: files are changed in place. `nox -s mutants` makes the copy and the data.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from tests.mutants.covering import Covering, read_seconds
from tests.mutants.running import Job, Outcome, Runner
from tests.mutants.sampling import Mutant, draw, operator_names


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--data", type=Path, required=True, help="what coverage.py recorded, with contexts")
    parser.add_argument("--seconds", type=Path, required=True, help="the report of that run, in the JUnit format")
    parser.add_argument("--out", type=Path, required=True, help="one JSON object a mutant is appended to it")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of tests for one mutant, as recorded")
    parser.add_argument("--again", type=Path, help="run those that survive in this file, instead of a new sample")
    parser.add_argument("--shard", default="0/1", help="of so many processes, each in a copy of its own, this one")
    options = parser.parse_args()
    root = Path.cwd()
    if options.again:
        rows = [json.loads(line) for line in options.again.read_text("utf-8").splitlines()]
        mutants = [Mutant(**row["mutant"]) for row in rows if row["status"] in ("survived", "uncovered")]
    else:
        mutants = draw(root, options.count, options.seed)
    shard, shards = map(int, options.shard.split("/"))
    mutants = mutants[shard::shards]
    print(f"{len(mutants)} mutants, seed {options.seed}, {len(operator_names())} operators", flush=True)
    covering = Covering(root, options.data, read_seconds(options.seconds))
    counts: Counter[str] = Counter()

    def report(job: Job, outcome: Outcome) -> None:
        row = _row(job, outcome)
        with options.out.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        print(f"{outcome.status:9} {outcome.seconds:6.1f} s  {job.mutant.id}  {outcome.killer or ''}", flush=True)

    runner = Runner(root, report)
    runner.run([Job(mutant, covering.select(mutant.file, mutant.line, options.budget)) for mutant in mutants])
    for line in options.out.read_text("utf-8").splitlines():
        counts[json.loads(line)["status"]] += 1
    noticed = counts["killed"] + counts["timeout"]
    print(f"{dict(counts)}: killed {noticed} of {counts.total()}, {100 * noticed / max(1, counts.total()):.1f} %")
    return 0


def _row(job: Job, outcome: Outcome) -> Mapping[str, object]:
    chosen = job.selection
    tests = {"tests": len(chosen.tests), "left_out": chosen.left_out}
    return {**asdict(outcome), "mutant": asdict(job.mutant), **tests}


if __name__ == "__main__":
    sys.exit(main())

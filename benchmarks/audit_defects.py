"""How well the audit finds what is broken: defects seeded into real environments, with a stated seed.

    python benchmarks/audit_defects.py [--instances 500] [--seed 1] [--kinds venv,uv,bridge,conda] [--json]

For each instance an environment is put back as it was made, one defect of one kind is seeded (each kind in turn, its
details drawn), and the audit is run as a library with the same arguments as the command's. *Recall*: the defect was
found, under one of the kinds of finding it may have. *Precision*: of the findings that the sound environment does not
have, how many the defect accounts for. *Culprit*: where somebody is to blame, the right one is named. The environments
are made with pip, uv (where it is on PATH or beside this python) and bridge, of small packages made on the spot; the
defects are those that the author of the audit thought of, which is what this figure leaves out.
"""

from __future__ import annotations

import argparse
import collections
import json
import random
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.defect_run import Outcome, run_defects


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default="venv,uv,bridge,conda")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bridge-defects-") as folder:
        rng = random.Random(asked.seed)
        outcomes = list(run_defects(Path(folder), tuple(asked.kinds.split(",")), asked.instances, rng))
    document = summary(outcomes) | {"seed": asked.seed, "seconds": round(time.perf_counter() - started, 1)}
    if asked.json:
        print(json.dumps(document, indent=2))
        return 0
    for outcome in outcomes:
        if not outcome.is_right:
            print(f"{outcome.environment}: {outcome.kind}: {outcome.complaint}")
    for key, value in document.items():
        print(f"{key:>12}: {value}")
    return 0


def summary(outcomes: list[Outcome]) -> dict[str, object]:
    findings = sum(outcome.findings for outcome in outcomes)
    false_alarms = sum(len(outcome.false_alarms) for outcome in outcomes)
    blamed = [outcome for outcome in outcomes if outcome.is_culprit_right is not None]
    return {
        "instances": len(outcomes),
        "kinds": len({outcome.kind for outcome in outcomes}),
        "environments": dict(collections.Counter(outcome.environment for outcome in outcomes)),
        "recall": _share(sum(outcome.is_found for outcome in outcomes), len(outcomes)),
        "precision": _share(findings - false_alarms, findings),
        "culprit": _share(sum(outcome.is_culprit_right is True for outcome in blamed), len(blamed)),
    }


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / whole:.2f} %)" if whole else "none"


if __name__ == "__main__":
    raise SystemExit(main())

"""How long `bridge resolve` of five names takes on a full channel, as a whole process with warm caches.

    python benchmarks/resolve_command.py FOLDER [--runs 7] [--json]

FOLDER holds the frozen data (`data`) and the server for it (`tools/serve_snapshot.py`); $BRIDGE_SHARED stands for it.
The channel, the index and the names come over loopback HTTP; the first run fills the caches (repodata, pages, METADATA,
bytecode) and does not count. `imports` is a process that imports the command line and ends; `solve` is what bridge says
of its solve alone. Wall seconds, and processor seconds (user and system), which a busy machine stretches less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from frozen import served_snapshot

NAMES = ("python=3.12", "numpy", "pandas", "scikit-learn", "rich")


def run(words: list[str], environment: Mapping[str, str]) -> tuple[str, float, float]:
    """What a process printed, its wall seconds and its processor seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(words, env=dict(environment), check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("BRIDGE_SHARED"), type=Path)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.folder is None:
        parser.error("name the folder of the frozen data, or set BRIDGE_SHARED")
    unwanted = ("BRIDGE_", "PIP_", "PYTHONDONTWRITEBYTECODE")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch, served_snapshot(arguments.folder) as url:
        environment = clean | {"BRIDGE_CACHE_DIR": f"{scratch}/cache", "PYTHONPYCACHEPREFIX": f"{scratch}/bytecode"}
        command = [sys.executable, "-m", "bridge", "resolve", *NAMES, "-c", f"{url}/conda-forge", "--index-url",
                   f"{url}/simple/", "--name-map", f"{url}/names/conda-forge-to-pypi.json", "--platform", "linux-64",
                   "--virtual-package", "__glibc=2.36", "--json"]  # fmt: skip
        run(command, environment)
        for _ in range(arguments.runs):
            printed, wall, processor = run(command, environment)
            imported, imports = run([sys.executable, "-c", "import bridge.cli"], environment)[1:]
            solve = json.loads(printed)["statistics"]["seconds"]
            figures = {"wall": wall, "processor": processor, "imports": imported, "imports, processor": imports,
                       "solve": solve}  # fmt: skip
            for key, value in figures.items():
                rows.setdefault(key, []).append(value)
    medians = {key: statistics.median(values) for key, values in rows.items()}
    if arguments.json:
        print(json.dumps({"names": NAMES, "runs": arguments.runs, "medians": medians}, indent=2))
    else:
        packages = len(json.loads(printed)["packages"])
        print(f"{len(NAMES)} names, {packages} packages, {arguments.runs} runs, medians of seconds")
        print("  ".join(f"{key} {value:.3f}" for key, value in medians.items()))


if __name__ == "__main__":
    main()

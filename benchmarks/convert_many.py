"""Many wheels: one process, two, and a Dask cluster of two workers, in turn.

    python benchmarks/convert_many.py [--wheels 500] [--kilobytes 300] [--repeat 1] [--no-dask] [--json]

Generated pure wheels of different sizes, of real Python source. Each run is the whole command into an empty folder; the
cluster is up before its run begins. Bars: two processes >= 1.8 times one; Dask within 15 % of two processes. Two cores
that are busy with something else show less: `load` is the system's load average per core at the start, and `cores` how
many cores two endless loops get at that time (2.0: an idle machine). `dask_to_two_processes` is the median of the
pairs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.builders import make_wheel


def generate(folder: Path, count: int, kilobytes: int) -> list[Path]:
    """Wheels of 1/3 to 5/3 of so many kilobytes of source each."""
    sources = [path.read_bytes() for path in sorted(Path(json.__file__).parents[1].glob("*.py"))]
    chance = random.Random(0)
    wheels = []
    for number in range(count):
        most = int(kilobytes * 1000 * (1 / 3 + 4 / 3 * chance.random()))
        files: dict[str, bytes] = {}
        while sum(map(len, files.values())) < most:
            text = chance.choice(sources)
            files[f"many{number}/module{len(files)}.py"] = b"# %d\n" % number + text
        wheels.append(make_wheel(folder, f"many{number}", "1.0", files=files, requires=["requests>=2"]))
    return wheels


def _spin(seconds: float) -> float:
    """Seconds of processor time that an endless loop gets."""
    started, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        pass
    return time.process_time() - used


def free_cores() -> float:
    """How many cores two busy processes get."""
    with multiprocessing.Pool(2) as pool:
        return round(sum(pool.map(_spin, [0.5, 0.5], chunksize=1)) / 0.5, 2)


def seconds(wheels: list[Path], *words: str) -> float:
    """Wall seconds of the whole command."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bridge", "convert", *map(str, wheels), "-o", folder, "-q", *words]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        elapsed = time.perf_counter() - started
        assert len(list(Path(folder).rglob("*.conda"))) == len(wheels)
    return elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=int, default=500)
    parser.add_argument("--kilobytes", type=int, default=300)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--no-dask", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    runs: dict[str, list[float]] = {"one": [], "two": [], "dask": []}
    summary: dict[str, object] = {
        "wheels": options.wheels,
        "load": round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
    }
    summary["cores"] = free_cores()
    with tempfile.TemporaryDirectory() as folder:
        wheels = generate(Path(folder), options.wheels, options.kilobytes)
        for _ in range(options.repeat):
            runs["one"].append(seconds(wheels))
            runs["two"].append(seconds(wheels, "-j", "2"))
            if not options.no_dask:
                from distributed import LocalCluster  # noqa: PLC0415 - not without --no-dask

                with LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=40
                ) as cluster:
                    runs["dask"].append(seconds(wheels, "--dask", cluster.scheduler_address))
    paired = [dask / two for two, dask in zip(runs["two"], runs["dask"], strict=False)]
    medians = {name: round(statistics.median(found), 2) for name, found in runs.items() if found}
    summary |= {"seconds": medians, "two_processes": round(medians["one"] / medians["two"], 2)}
    if paired:
        summary["dask_to_two_processes"] = round(statistics.median(paired), 2)
    print(json.dumps(summary, indent=None if options.json else 2))


if __name__ == "__main__":
    main()

"""Pure wheels to `.conda`, side by side with whl2conda: seconds and sizes, paired.

    python benchmarks/convert_speed.py WHEEL… --peer PATH/TO/whl2conda [--repeat 3] [--compression LEVEL|best] [--json]

Both are run as commands, one after the other, on the same wheel, so that each pair meets the same noise; the median of
the repeats counts. Start-up of both interpreters is in the figures. The peer's packages are not what bridge's are (see
`--help` of neither: its RECORD is stale, markers are gone), so its time is for less work. Bars: at the default level
median >= 10x faster and <= 1.10x its size; at `best` <= 1.0x its size and not slower.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def timed(command: list[str]) -> float:
    """Wall seconds of one command. Raises `SystemExit` with what it said where it failed."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-500:]}")
    return time.perf_counter() - started


def made(folder: Path) -> int:
    """The size of a package below `folder`; where the wheel became several (one for some pythons), the largest."""
    return max(package.stat().st_size for package in folder.rglob("*.conda"))


def compare(wheel: Path, peer: str, compression: str, repeat: int) -> dict[str, object]:
    """One wheel by both, `repeat` times in turn."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as scratch:
        mine, other = Path(scratch, "bridge"), Path(scratch, "peer")
        convert = [sys.executable, "-m", "bridge", "convert", str(wheel), "-o", str(mine), "-q"]
        for _ in range(repeat):
            theirs.append(timed([peer, "convert", str(wheel), "--out-dir", str(other), "--overwrite", "-q"]))
            ours.append(timed([*convert, "--compression", compression] if compression else convert))
            sizes = made(mine), made(other)
            shutil.rmtree(mine)
    speed = statistics.median(their / our for our, their in zip(ours, theirs, strict=True))
    return {
        "wheel": wheel.name,
        "bytes": wheel.stat().st_size,
        "bridge_seconds": round(statistics.median(ours), 2),
        "peer_seconds": round(statistics.median(theirs), 2),
        "times_faster": round(speed, 2),
        "size_ratio": round(sizes[0] / sizes[1], 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument("--peer", required=True, help="the whl2conda command")
    parser.add_argument("--compression", default="", metavar="LEVEL|best")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--smallest", type=int, default=1_000_000, help="bytes; smaller wheels are left out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for wheel in options.wheels:
        if wheel.name.endswith("-none-any.whl") and wheel.stat().st_size >= options.smallest:
            rows.append(compare(wheel.absolute(), options.peer, options.compression, options.repeat))
            if not options.json:
                print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    summary = {
        "wheels": len(rows),
        "median_times_faster": statistics.median(float(str(row["times_faster"])) for row in rows),
        "median_size_ratio": statistics.median(float(str(row["size_ratio"])) for row in rows),
        "largest_size_ratio": max(float(str(row["size_ratio"])) for row in rows),
    }
    print(json.dumps({"rows": rows, **summary} if options.json else summary, indent=2))


if __name__ == "__main__":
    main()

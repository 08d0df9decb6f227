"""Pure wheels to `.conda`, side by side with whl2conda and an earlier bridge: seconds and sizes, paired.

    python benchmarks/convert_speed.py WHEEL… --peer PATH/TO/whl2conda [--against PYTHON] [--repeat 3]
        [--compression LEVEL|best] [--json]

PYTHON is an interpreter that has the earlier bridge. All are run as commands, one after the other, on the same wheel,
so that each pair meets the same noise; the median of the repeats counts. Start-up of the interpreters is in the
figures. The peer's packages are not what bridge's are (its RECORD is stale, markers are gone), so its time is for
less work. Bars: at the default level not slower and not larger, against the peer, than the earlier bridge; at `best`
<= 1.0x the peer's size and not slower than the peer.
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
from collections.abc import Iterable, Mapping, Sequence
from operator import truediv
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


def compare(wheel: Path, commands: Mapping[str, Sequence[str]], repeat: int) -> dict[str, object]:
    """One wheel by each command, which ends with its output directory, `repeat` times in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(repeat):
            for name, command in commands.items():
                output = Path(scratch, f"{name}{number}")
                seconds[name].append(timed([*command, str(output)]))
                sizes[name] = made(output)
                shutil.rmtree(output)
    row: dict[str, object] = {"wheel": wheel.name, "bytes": wheel.stat().st_size}
    row |= {f"{name}_seconds": round(statistics.median(found), 2) for name, found in seconds.items()}
    for name in commands.keys() - {"peer"}:
        faster = statistics.median(map(truediv, seconds["peer"], seconds[name]))
        row |= {f"{name}_times_faster": round(faster, 2), f"{name}_size_ratio": round(sizes[name] / sizes["peer"], 3)}
    return row


def summarised(rows: Sequence[Mapping[str, object]], names: Iterable[str]) -> dict[str, float]:
    """Medians over all wheels, and the largest size."""
    summary: dict[str, float] = {"wheels": len(rows)}
    for name in names:
        speeds, sizes = ([float(str(row[f"{name}_{what}"])) for row in rows] for what in ("times_faster", "size_ratio"))
        summary |= {f"{name}_median_times_faster": statistics.median(speeds)}
        summary |= {f"{name}_median_size_ratio": statistics.median(sizes), f"{name}_largest_size_ratio": max(sizes)}
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", nargs="+", type=Path, metavar="WHEEL")
    parser.add_argument("--peer", required=True, help="the whl2conda command")
    parser.add_argument("--against", metavar="PYTHON", help="an interpreter with an earlier bridge")
    parser.add_argument("--compression", default="", metavar="LEVEL|best")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--smallest", type=int, default=1_000_000, help="bytes; smaller wheels are left out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    words = ["-q", *(["--compression", options.compression] if options.compression else []), "-o"]
    pythons = {"bridge": sys.executable, **({"earlier": options.against} if options.against else {})}
    rows: list[dict[str, object]] = []
    for wheel in map(Path.absolute, options.wheels):
        if wheel.name.endswith("-none-any.whl") and wheel.stat().st_size >= options.smallest:
            commands = {"peer": [options.peer, "convert", str(wheel), "--overwrite", "-q", "--out-dir"]}
            commands |= {
                name: [python, "-m", "bridge", "convert", str(wheel), *words] for name, python in pythons.items()
            }
            rows.append(compare(wheel, commands, options.repeat))
            if not options.json:
                print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    summary = summarised(rows, pythons)
    print(json.dumps({"rows": rows, **summary} if options.json else summary, indent=2))


if __name__ == "__main__":
    main()

"""What an audit costs, against hashing the same files with all cores; cold, and warm with what the last one left.

    python benchmarks/audit_speed.py [--files 50000] [--runs 5] [--prefix DIR] [--json]

Without `--prefix` an environment is made of `--files` files of wheels and conda packages, whose sizes are like those of
real site-packages (median 4 kB, mean 16 kB; one in fifty is a library). *hash* is a process for each core, which reads
and hashes what `os.walk` finds; *cold* is the whole command with an empty cache, *warm* the whole command again. They
take turns, each figure is the median, and the ratios are those of pairs. The files are in the page cache for all of
them. *peak* is the memory of all processes of a cold audit together, in MB: the largest sum of their proportional
resident sets (`Pss`) that was seen in a run by itself, looked at every few milliseconds; *cpu* are the seconds of
processors that hashing and a cold audit took, which say more than the wall where the machine has other work.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.binaries import elf
from tests.support.prefixes import SITE, PrefixBuilder

HASH = """
import concurrent.futures, hashlib, os, sys
def digests(paths):
    found = []
    for path in paths:
        with open(path, 'rb') as stream:
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
            found.append(digest.digest())
    return found
if __name__ == '__main__':
    paths = [os.path.join(folder, name) for folder, _, names in os.walk(sys.argv[1]) for name in names]
    paths = [path for path in paths if not os.path.islink(path)]
    batches = [paths[start:start + 256] for start in range(0, len(paths), 256)]
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        print(sum(map(len, pool.map(digests, batches))))
"""


def make(root: Path, count: int, rng: random.Random) -> None:
    made = PrefixBuilder(root)
    number = 0
    while count > 0:
        files = {}
        for index in range(min(count, rng.choice([20, 60, 180, 400]))):
            size = min(int(rng.lognormvariate(8.3, 1.7)), 4 << 20)
            folder = f"{SITE}/p{number}/{'sub/' * rng.randrange(3)}"
            if index % 50 == 49:
                path, data = f"{folder}m{index}.cpython-312-x86_64-linux-gnu.so", elf(needed=["libc.so.6"])
                data += rng.randbytes(size * 8)
            else:
                path, data = f"{folder}m{index}.py", rng.randbytes(size)
            files[path] = data
        (made.wheel if number % 2 else made.conda_python)(f"p{number}", "1.0", files=files)
        count -= len(files)
        number += 1


def timed(command: list[str], environ: dict[str, str]) -> tuple[float, float]:
    """Seconds on the wall, and of processors (its own processes included)."""
    started = time.perf_counter()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(process.pid, 0)
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


def memory(command: list[str], environ: dict[str, str]) -> float:
    """The largest memory of a command and its processes together, in MB."""
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, sum(map(resident, family(process.pid))))
        time.sleep(0.005)
    return peak / 1024


def family(process: int) -> list[int]:
    try:
        below = Path(f"/proc/{process}/task/{process}/children").read_text("ascii").split()
    except OSError:
        return []
    return [process, *(each for child in below for each in family(int(child)))]


def resident(process: int) -> int:
    """KB."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prefix", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bridge-audit-speed-") as folder:
        root, cache = asked.prefix or Path(folder, "env"), Path(folder, "cache")
        if asked.prefix is None:
            make(root, asked.files, random.Random(1))
        script = Path(folder, "hash.py")
        script.write_text(HASH)
        environ = {**os.environ, "BRIDGE_CACHE_DIR": str(cache), "PYTHONDONTWRITEBYTECODE": ""}
        audit = [sys.executable, "-m", "bridge", "audit", "-p", str(root), "--json", "--fail-on", "never"]
        hashing = [sys.executable, str(script), str(root)]
        timed(hashing, environ)
        timed([sys.executable, "-m", "bridge", "--version"], environ)
        found: dict[str, list[float]] = {"hash": [], "cold": [], "warm": [], "hash cpu": [], "cold cpu": []}
        for _ in range(asked.runs):
            shutil.rmtree(cache, ignore_errors=True)
            for name, command in {"hash": hashing, "cold": audit}.items():
                seconds, processors = timed(command, environ)
                found[name].append(seconds)
                found[f"{name} cpu"].append(processors)
            time.sleep(2.1)  # what was written in the last two seconds is not believed to be unchanged
            timed(audit, environ)
            found["warm"].append(timed(audit, environ)[0])
        shutil.rmtree(cache, ignore_errors=True)
        peak = memory(audit, environ)
        paths = [Path(base, name) for base, _, names in os.walk(root) for name in names]
        total = sum(path.lstat().st_size for path in paths)
    cold = statistics.median(c / h for c, h in zip(found["cold"], found["hash"], strict=True))
    warm = statistics.median(c / w for c, w in zip(found["cold"], found["warm"], strict=True))
    document: dict[str, object] = {"files": len(paths), "MB": round(total / 1e6), "cores": os.cpu_count()}
    document |= {key: round(statistics.median(values), 2) for key, values in found.items()}
    document |= {"peak": round(peak), "cold/hash": round(cold, 2), "cold/warm": round(warm, 1)}
    if asked.json:
        print(json.dumps(document, indent=2))
    else:
        for key, value in document.items():
            print(f"{key:>10}: {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""`bridge index` of a channel of many packages: the first index, that after one more package, and after nothing.

    python benchmarks/index_speed.py [--packages 50000] [--json]

The packages are one small file under many names: their records are those of conda-forge in size (500 bytes), which is
what an index costs; one dependency of five is of no package of the channel. Reading the archives is measured with
`--read N` of them. Bar: one more package <= 2 s.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bridge.convert.indexed import IndexedPackage, Memory, indexed
from converters.repodata import RepodataEntry
from tests.support.builders import make_conda

ROOT = Path(__file__).resolve().parents[1]


def synthetic(channel: Path, count: int) -> None:
    """Write files of one byte, and remember them as packages that were read: five versions of each name."""
    chance = random.Random(0)
    folder = channel / "noarch"
    folder.mkdir(parents=True)
    packages: dict[str, tuple[tuple[int, int], IndexedPackage]] = {}
    for number in range(count):
        name, version, build = f"many-{number // 5}", f"{number % 5}.{number % 7}.1", f"pyhd{number:06x}_0"
        path = folder / f"{name}-{version}-{build}.conda"
        path.write_bytes(b"0")
        record = {
            "name": name, "version": version, "build": build, "build_number": 0, "subdir": "noarch", "noarch": "python",
            "depends": ["python >=3.10", *(f"many-{chance.randrange(count // 4)} >=1.{each}" for each in range(4))],
            "constrains": [], "license": "MIT", "timestamp": 1700000000000 + number, "size": chance.randrange(1 << 20),
            "sha256": chance.randbytes(32).hex(), "md5": chance.randbytes(16).hex(),
            "purls": [f"pkg:pypi/{name}@{version}"],
        }  # fmt: skip
        status = path.stat()
        entry = RepodataEntry(stem=path.name.removesuffix(".conda"), extension="conda", record=record)
        packages[path.name] = ((status.st_size, status.st_mtime_ns), indexed(entry))
    Memory(packages=packages).save(channel, "noarch")


def seconds(channel: Path) -> dict[str, float]:
    """Wall and processor seconds of `bridge index CHANNEL`; other programs on the machine change the latter less."""
    started, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "bridge", "index", str(channel)], cwd=ROOT, check=True, capture_output=True)
    elapsed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {"wall": round(elapsed, 2), "processor": round(processor, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=int, default=50_000)
    parser.add_argument("--read", type=int, default=1000, help="packages of another channel that are read")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    summary: dict[str, object] = {"packages": options.packages}
    with tempfile.TemporaryDirectory() as folder:
        channel = Path(folder) / "channel"
        synthetic(channel, options.packages)
        summary["all_known"] = seconds(channel)
        make_conda(channel, "one-more", "1.0")
        summary["one_more"] = seconds(channel)
        summary["nothing_new"] = seconds(channel)
        summary["repodata_mb"] = round((channel / "noarch/repodata.json").stat().st_size / 1e6, 1)
        summary["zst_mb"] = round((channel / "noarch/repodata.json.zst").stat().st_size / 1e6, 1)
        for number in range(options.read):
            make_conda(Path(folder) / "other", f"small{number}", "1.0")
        summary["read_ms_each"] = round(seconds(Path(folder) / "other")["processor"] / max(1, options.read) * 1000, 2)
    print(json.dumps(summary, indent=None if options.json else 2))


if __name__ == "__main__":
    main()

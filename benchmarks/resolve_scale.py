"""A channel of 600,000 records against the one it was grown from: what its size costs.

    python benchmarks/resolve_scale.py FOLDER [--records 600000] [--serve file|http] [--layout zst|shards] [--json]

FOLDER holds the frozen data (`data`); $BRIDGE_SHARED stands for it. The big channel is the real one and copies of it
under other names (`NAME-of-7`, dependencies among them renamed alike), so shapes and sizes are real. Layout `zst` is
one repodata.json.zst a subdir; `shards` is CEP 16's index with one shard a name. Each row is a process of its own that
begins with an empty cache: `load` is until the first name is there, `solve` the median of the solves after the first
round of the same requests (processor seconds, a new catalog each), `peak` the largest resident memory, `names` how many
names were read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from frozen import served_folder
from zstandard import ZstdCompressor, ZstdDecompressor

SUBDIRS = ("linux-64", "noarch")
REQUESTS = (["python=3.12", "numpy", "pandas", "scikit-learn"], ["python", "scipy", "matplotlib-base"],
            ["jupyterlab", "dask-core"], ["pytorch", "python=3.11"], ["gdal", "geopandas"])  # fmt: skip
Records = dict[str, dict[str, object]]

_CHILD = """
import json, os, re, resource, statistics, sys, time
from pathlib import Path
from bridge.config import Settings
from bridge.fetch.client import Client
from bridge.channels.repodata import Repodata
from bridge.requirements.algebra import conda_requirement
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from converters.names import NameMap
from converters.target import Target
url, cache, requests = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
virtual = (("__unix", "0", "0"), ("__linux", "6.1", "0"), ("__glibc", "2.36", "0"))
client = Client(Settings(cache_dir=cache))
repodata = Repodata(lambda: client, [url], "linux-64", cache)
started = time.perf_counter()
repodata.prefetch(["python"])
load = time.perf_counter() - started
times, packages = [], 0
target = Target(subdir="linux-64", virtual_packages=virtual)
for turn in range(4):
    for texts in requests:
        catalog = Catalog(repodata, None, target, NameMap.empty(), Options())
        begun = time.process_time()
        found = resolve(SolveRequest(requirements=tuple(map(conda_requirement, texts))), catalog)
        if turn:
            times.append(time.process_time() - begun)
            packages += len(found.packages)
status = Path("/proc/self/status")  # rusage would count the parent's memory at the fork too
high = re.search(r"VmHWM:\\s+(\\d+)", status.read_text()) if status.exists() else None
peak = (int(high[1]) if high else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
print(json.dumps({"load": load, "solve": statistics.median(times), "peak": peak, "names": len(repodata._found),
                  "packages": packages}), flush=True)
os._exit(0)
"""


def read(path: Path) -> Records:
    with path.open("rb") as stream:
        document = json.loads(ZstdDecompressor().stream_reader(stream).read())
    return {**document.get("packages", {}), **document["packages.conda"]}


def grow(small: dict[str, Records], wanted: int) -> dict[str, Records]:
    """Copies under other names until there are `wanted` records; what was there stays as it is."""
    names = {str(record["name"]) for records in small.values() for record in records.values()}
    big = {subdir: dict(records) for subdir, records in small.items()}
    per_copy = sum(map(len, small.values()))
    for number in range(1, max(1, wanted // per_copy)):
        suffix = f"-of-{number}"
        for subdir, records in small.items():
            for filename, record in records.items():
                name = str(record["name"])
                copy = {**record, "name": name + suffix}
                for key in ("depends", "constrains"):
                    if key in record:
                        copy[key] = [renamed(text, names, suffix) for text in record[key]]  # type: ignore[attr-defined]
                big[subdir][filename.replace(name, name + suffix, 1)] = copy
    return big


def renamed(text: str, names: set[str], suffix: str) -> str:
    match = re.match(r"[^ =<>!~\[]+", text)
    return match[0] + suffix + text[match.end() :] if match and match[0] in names else text


def write(folder: Path, channel: dict[str, Records], layout: str) -> None:
    for subdir, records in channel.items():
        place = folder / subdir
        place.mkdir(parents=True)
        if layout == "zst":
            document = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": records, "repodata_version": 1}
            text = json.dumps(document).encode()
            (place / "repodata.json").write_bytes(text)  # a channel that is a folder is read as it is
            (place / "repodata.json.zst").write_bytes(ZstdCompressor(level=3).compress(text))
        else:
            write_shards(place, subdir, records)


def write_shards(place: Path, subdir: str, records: Records) -> None:
    """CEP 16: an index of names to hashes, and a msgpack shard a name, each compressed."""
    import msgpack  # noqa: PLC0415 - only this layout needs it

    by_name: dict[str, Records] = defaultdict(dict)
    for filename, record in records.items():
        hashes = {key: bytes.fromhex(str(record[key])) for key in ("sha256", "md5") if record.get(key)}
        by_name[str(record["name"])][filename] = {**record, **hashes}
    (place / "shards").mkdir()
    shards = {}
    for name, group in by_name.items():
        packed = msgpack.packb({"packages": {}, "packages.conda": group, "removed": []})
        data = ZstdCompressor(level=3).compress(packed)
        digest = hashlib.sha256(data)
        (place / "shards" / f"{digest.hexdigest()}.msgpack.zst").write_bytes(data)
        shards[name] = digest.digest()
    info = {"subdir": subdir, "base_url": "./", "shards_base_url": "./shards/", "created_at": "2026-01-01T00:00:00Z"}
    index = msgpack.packb({"version": 1, "info": info, "shards": shards})
    (place / "repodata_shards.msgpack.zst").write_bytes(ZstdCompressor(level=3).compress(index))


def measure(url: str, cache: Path) -> dict[str, float]:
    words = [sys.executable, "-c", _CHILD, url, str(cache), json.dumps(REQUESTS)]
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("BRIDGE_SHARED"), type=Path)
    parser.add_argument("--records", type=int, default=600_000)
    parser.add_argument("--serve", choices=["file", "http"], default="http")
    parser.add_argument("--layout", choices=["zst", "shards"], default="zst")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.folder is None:
        parser.error("name the folder of the frozen data, or set BRIDGE_SHARED")
    small = {subdir: read(arguments.folder / "data" / "conda-forge" / subdir / "repodata.json.zst")
             for subdir in SUBDIRS}  # fmt: skip
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as scratch, served_folder(Path(scratch)) as served:
        for size in ("small", "big"):
            channel = small if size == "small" else grow(small, arguments.records)
            folder = Path(scratch, size)
            write(folder, channel, arguments.layout)
            count = sum(map(len, channel.values()))
            del channel
            url = folder.as_uri() if arguments.serve == "file" else f"{served}/{size}"
            report[size] = {"records": count, **measure(url, Path(scratch, f"cache-{size}"))}
    ratio = statistics.median([report["big"]["solve"] / report["small"]["solve"]])
    if arguments.json:
        print(json.dumps({"layout": arguments.layout, "serve": arguments.serve, **report, "ratio": ratio}, indent=2))
        return
    for size, row in report.items():
        print(f"{size:5} {row['records']:7.0f} records  load {row['load']:6.2f} s  solve {row['solve']:.3f} s  "
              f"peak {row['peak'] / 2**20:5.0f} MiB  {row['names']:.0f} names read")  # fmt: skip
    print(f"solve, big to small: {ratio:.2f}")


if __name__ == "__main__":
    main()

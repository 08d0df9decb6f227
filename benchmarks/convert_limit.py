"""How close a conversion comes to what the work itself takes, and how much memory a huge wheel needs.

    python benchmarks/convert_limit.py WHEEL… [--huge-megabytes 900] [--repeat 3] [--json]

The limit of a wheel: its members inflated, hashed (sha256) and compressed once by zstd, in one thread, at the default
level with the same parameters. The conversion is given one thread too, and everything it does counts: judging the
wheel, both readings, records, writing and hashing the package. Bars: <= 1.5 times the limit, and at most 200 MB of
resident memory (VmHWM of the command) for a generated wheel of so many megabytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

import zstandard

from bridge.convert.wheel import convert_wheel
from converters.compression import DEFAULT_LEVEL
from converters.names import NameMap
from converters.package import _parameters
from converters.target import Python, Target

TARGET = Target(subdir="linux-64", python=Python(version="3.12.4"))
# Runs the command, and then says what the most was that this process ever held.
_PEAK = """
import os, sys
from bridge.cli import main
status = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
sys.stdout.flush()
os.write(2, f"peak {peak}\\n".encode())
os._exit(status)
"""


def limit(wheel: Path) -> float:
    """Seconds for unzip, hash and one pass of zstd."""
    started = time.perf_counter()
    with zipfile.ZipFile(wheel) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        size = sum(entry.file_size for entry in entries)
        packer = zstandard.ZstdCompressor(compression_params=_parameters(DEFAULT_LEVEL, 1, size))
        with open(os.devnull, "wb") as sink, packer.stream_writer(sink, closefd=False) as packed:
            for entry in entries:
                digest = hashlib.sha256()
                with archive.open(entry) as stream:
                    while block := stream.read(1 << 18):
                        digest.update(block)
                        packed.write(block)
    return time.perf_counter() - started


def conversion(wheel: Path) -> float:
    """Seconds for all of a conversion."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        convert_wheel(wheel, Path(folder), platforms=[TARGET.subdir], names=NameMap.empty())
        return time.perf_counter() - started


def huge(folder: Path, megabytes: int) -> Path:
    """A wheel with a few huge members: half of it repeats, half of it does not."""
    path = folder / "huge-1.0-py3-none-any.whl"
    chance = random.Random(0)
    rows = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(3):
            name = f"huge/data{number}.bin"
            digest = hashlib.sha256()
            length = 0
            with archive.open(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), "w", force_zip64=False) as out:
                for place in range(megabytes // 3):
                    block = chance.randbytes(1 << 19) + (b"%d some words that repeat\n" % place).ljust(32) * (1 << 14)
                    digest.update(block)
                    length += len(block)
                    out.write(block)
            rows.append((name, digest, length))
        metadata = b"Metadata-Version: 2.1\nName: huge\nVersion: 1.0\n"
        wheel = b"Wheel-Version: 1.0\nGenerator: benchmark\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        record = "".join(f"{name},sha256={_b64(digest.digest())},{length}\n" for name, digest, length in rows)
        for name, data in (("METADATA", metadata), ("WHEEL", wheel)):
            archive.writestr(f"huge-1.0.dist-info/{name}", data)
            record += f"huge-1.0.dist-info/{name},sha256={_b64(hashlib.sha256(data).digest())},{len(data)}\n"
        archive.writestr("huge-1.0.dist-info/RECORD", record + "huge-1.0.dist-info/RECORD,,\n")
    return path


def _b64(digest: bytes) -> str:
    from base64 import urlsafe_b64encode  # noqa: PLC0415 - for the generated wheel only

    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def peak(wheel: Path, folder: Path) -> int:
    """The most resident memory of the command, in MB."""
    words = [sys.executable, "-c", _PEAK, "convert", str(wheel), "-o", str(folder), "-q"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(done.stderr.split("peak ")[1]) // 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheels", nargs="*", type=Path, metavar="WHEEL")
    parser.add_argument("--huge-megabytes", type=int, default=900)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for wheel in options.wheels:
        pairs = [(limit(wheel), conversion(wheel)) for _ in range(options.repeat)]
        ratio = statistics.median(ours / least for least, ours in pairs)
        seconds = [round(statistics.median(column), 3) for column in zip(*pairs, strict=True)]
        rows.append({"wheel": wheel.name, "limit": seconds[0], "conversion": seconds[1], "ratio": round(ratio, 2)})
        if not options.json:
            print(rows[-1], flush=True)
    summary: dict[str, object] = {"zlib": zlib.ZLIB_RUNTIME_VERSION}
    if rows:
        summary["median_ratio"] = statistics.median(float(str(row["ratio"])) for row in rows)
    if options.huge_megabytes:
        with tempfile.TemporaryDirectory() as folder:
            summary["peak_megabytes"] = peak(huge(Path(folder), options.huge_megabytes), Path(folder, "out"))
    print(json.dumps({"rows": rows, **summary} if options.json else summary, indent=2))


if __name__ == "__main__":
    main()

"""Many wheels on a Dask cluster whose workers are killed: nothing is lost, nothing is doubled, the bytes are the same.

    python benchmarks/convert_kills.py [--wheels 3000] [--kills 6] [--real DIR [--releases 1]] [--json]

Small generated wheels, beside the real ones of `--real`; with `--releases N` each of these also as N - 1 further
versions, with the same files. Workers are killed (SIGKILL) at even distances of the work;
the cluster starts others in their place. The packages of two processes, which nobody kills, are the measure.
"""

from __future__ import annotations

import argparse
import base64
import csv
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.builders import make_wheel


def generate(folder: Path, count: int) -> list[Path]:
    return [
        make_wheel(
            folder,
            f"kill{number}",
            "1.0",
            files={f"kill{number}/__init__.py": f"NUMBER = {number}\n".encode() * (1 + number % 400)},
            requires=[f"kill{(number * 7) % count}"],
        )
        for number in range(count)
    ]


def rereleased(wheel: Path, folder: Path, number: int) -> None:
    """Write a wheel again, as another version with the same files."""
    name, version, *rest = wheel.name.split("-")
    later = f"{version}.{number}" if "+" in version else f"{version}+real.{number}"
    path = folder / "-".join((name, later, *rest))
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(path, "w") as target:
        (record,) = (each for each in source.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", each))
        old = record.removesuffix(".dist-info/RECORD")
        new = f"{old.split('-')[0]}-{later}"
        rows = []
        for member in source.infolist():
            data = source.read(member)
            place = re.sub(rf"^{re.escape(old)}\.(?=dist-info/|data/)", f"{new}.", member.filename)
            if place == f"{new}.dist-info/METADATA":
                data = re.sub(rb"(?mi)^Version:.*", f"Version: {later}".encode(), data, count=1)
            if member.filename == record or member.is_dir():
                continue
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.append((place, f"sha256={digest}", len(data)))
            member.filename = place
            target.writestr(member, data)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (f"{new}.dist-info/RECORD", "", "")])
        target.writestr(f"{new}.dist-info/RECORD", text.getvalue())


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.conda")}


def convert(wheels: Path, output: Path, *words: str) -> tuple[float, dict[str, object]]:
    command = [
        sys.executable,
        "-m",
        "bridge",
        "convert",
        "--find-links",
        str(wheels),
        "--no-index",
        "--index",
        "--json",
    ]
    with (output.parent / f"{output.name}.txt").open("w") as names:
        names.writelines(f"{path}\n" for path in sorted(wheels.glob("*.whl")))
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "-r", names.name, "-o", str(output), *words], capture_output=True, text=True, check=False
    )
    if not done.stdout:
        raise SystemExit(done.stderr[-2000:])
    document = json.loads(done.stdout)
    return time.perf_counter() - started, {**document["summary"], "failures": document["failures"]}


def _count(output: Path) -> int:
    return len(os.listdir(output / "noarch")) if (output / "noarch").is_dir() else 0


def kill_some(cluster: object, output: Path, total: int, kills: int, killed: list[int]) -> None:
    """Kill a worker each time that another part of the packages is there."""
    while len(killed) < kills:
        if _count(output) >= (len(killed) + 1) * total // (kills + 1):
            workers = list(cluster.workers.values())  # type: ignore[attr-defined]
            pid = workers[len(killed) % len(workers)].pid
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--releases", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from distributed import LocalCluster  # noqa: PLC0415 - it takes a second

    with tempfile.TemporaryDirectory() as folder:
        wheels, output = Path(folder) / "wheels", Path(folder) / "cluster"
        wheels.mkdir()
        generate(wheels, options.wheels)
        for path in sorted(options.real.glob("*.whl")) if options.real else ():
            os.symlink(path.resolve(), wheels / path.name)
            for number in range(1, options.releases):
                rereleased(path, wheels, number)
        total = len(list(wheels.glob("*.whl")))
        killed: list[int] = []
        with LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=60
        ) as cluster:
            thread = threading.Thread(
                target=kill_some, args=(cluster, output, total, options.kills, killed), daemon=True
            )
            thread.start()
            seconds, summary = convert(wheels, output, "--dask", cluster.scheduler_address)
        alone, measure = convert(wheels, Path(folder) / "one", "-j", "2")
        found, expected = digests(output), digests(Path(folder) / "one")
        listed = json.loads((output / "noarch/repodata.json").read_bytes())["packages.conda"]
        report = {
            "wheels": total,
            "killed": len(killed),
            "seconds": round(seconds, 1),
            "two_processes": round(alone, 1),
            "failed": summary["failed"],
            "failed_alone": measure["failed"],
            "packages": len(found),
            "lost": len(expected.keys() - found.keys()),
            "more": len(found.keys() - expected.keys()),
            "other_bytes": sum(found[name] != expected[name] for name in found.keys() & expected.keys()),
            "noarch_listed": len(listed),
            "left_behind": sum(1 for _ in output.rglob("*.bridge-tmp")),
            "failures": summary["failures"],
        }
    print(json.dumps(report, indent=None if options.json else 2)[:6000])


if __name__ == "__main__":
    main()

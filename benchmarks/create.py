"""How long a new environment takes, side by side with uv.

    python benchmarks/create.py [--runs 5] [--json]

Both make an environment with the same wheels from the same indexes, in one run, taking turns. *Cold*: empty caches, so
the network's share is in both; bridge also packs the interpreter, which it does once. *Warm*: full caches. uv's side is
`uv venv`, `uv pip install` of exactly the wheels that bridge chose, and a copy of the interpreter's files, since uv's
environment leans on the original and bridge's does not; neither compiles bytecode. Who goes first changes from run to
run, and what was written before is on the disk when a clock starts. Nothing is deleted before the end: for some seconds
ext4 passes over each inode that was freed, and whoever writes next pays. Needs uv on PATH or beside this python. Times
are wall seconds of whole processes; machines are noisy: read the medians and the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

REQUESTS = ("rich", "httpx")


def timed(command: list[str], environment: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def bridge(folder: Path, environment: dict[str, str]) -> float:
    words = ["create", "-p", str(folder / "bridge"), "-c", "host", "python", *REQUESTS, "--json"]
    return timed([sys.executable, "-m", "bridge", *words], environment)


def wheels_of(prefix: Path, environment: dict[str, str]) -> list[str]:
    listed = subprocess.run(
        [sys.executable, "-m", "bridge", "list", "-p", str(prefix), "--json"],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    packages = json.loads(listed.stdout)["packages"]
    return [f"{p['pypi_names'][0]}=={p['version']}" for p in packages if p["source"] == "wheel"]


def copy_interpreter(target: Path) -> float:
    """Copy what an independent environment needs: the binary, the standard library, headers, libpython."""
    started = time.perf_counter()
    base = Path(sys.base_prefix)
    library = Path(sysconfig.get_path("stdlib"))
    unwanted = shutil.ignore_patterns("site-packages", "dist-packages", "test", "tests", "__pycache__", "*.pyc", "*.a")
    shutil.copytree(library, target / library.relative_to(base), ignore=unwanted, symlinks=True)
    include = Path(sysconfig.get_path("include"))
    if include.is_dir():
        shutil.copytree(include, target / include.relative_to(base), symlinks=True)
    for path in [Path(os.path.realpath(sys.executable)), *base.glob("lib/libpython*.so*")]:
        (target / path.parent.relative_to(base)).mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target / path.relative_to(base), follow_symlinks=False)
    return time.perf_counter() - started


def uv(program: str, folder: Path, wheels: list[str], environment: dict[str, str]) -> float:
    venv = folder / "uv"
    made = timed([program, "venv", "--python", os.path.realpath(sys.executable), str(venv)], environment)
    installed = timed([program, "pip", "install", "--python", str(venv / "bin" / "python"), *wheels], environment)
    return made + installed + copy_interpreter(folder / "copy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    program = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    rows: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        unwanted = ("BRIDGE_", "UV_", "PIP_", "PYTHONDONTWRITEBYTECODE")
        base = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
        base["PYTHONPYCACHEPREFIX"] = f"{scratch}/bytecode"  # an installed bridge is compiled, a source tree may not be
        warm = base | {"BRIDGE_CACHE_DIR": f"{scratch}/warm-bridge", "UV_CACHE_DIR": f"{scratch}/warm-uv"}
        first = Path(scratch, "first")
        bridge(first, warm)
        wheels = wheels_of(first / "bridge", warm)
        uv(program, first, wheels, warm)
        for number in range(arguments.runs):
            folder = Path(scratch, str(number))
            cold = base | {"BRIDGE_CACHE_DIR": f"{folder}/b", "UV_CACHE_DIR": f"{folder}/u"}
            for kind, environment in (("cold", cold), ("warm", warm)):
                place = folder / kind
                place.mkdir(parents=True)
                times = rows.setdefault(kind, {"bridge": [], "uv + copy": []})
                for who in sorted(times, reverse=number % 2 == 1):
                    os.sync()
                    is_uv = who != "bridge"
                    times[who].append(uv(program, place, wheels, environment) if is_uv else bridge(place, environment))
    report = {
        kind: {**{who: statistics.median(seconds) for who, seconds in times.items()},
               "ratio": statistics.median(b / u for b, u in zip(times["bridge"], times["uv + copy"], strict=True))}
        for kind, times in rows.items()
    }  # fmt: skip
    if arguments.json:
        print(json.dumps({"wheels": wheels, "runs": arguments.runs, "medians": report}, indent=2))
        return
    print(f"{len(wheels)} wheels and an interpreter, {arguments.runs} runs, medians of wall seconds")
    for kind, row in report.items():
        print(f"{kind:5} bridge {row['bridge']:6.2f}   uv + copy {row['uv + copy']:6.2f}   ratio {row['ratio']:.2f}")


if __name__ == "__main__":
    main()

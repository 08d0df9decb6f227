"""How long an installation takes, side by side with uv (wheels) and with py-rattler's own install (conda packages).

    python benchmarks/install.py [--runs 5] [--folder DIR] [REQUIREMENT …]

*wheels*: exactly the same pinned wheels, everything in the caches, into an environment that has a python, taking turns.
uv is measured as it is (hard links from its unpacked cache, which every environment then shares for writing) and with
`--link-mode=copy`, which gives each environment files of its own, as bridge does. bridge also verifies every file
against RECORD, checks who owns what, and can be killed at any moment; uv does none of these. Nobody compiles.
*conda*: `--packages` packages of 20 files, made here, by `bridge install` without an index and by `rattler.install`,
each in a process of its own. *exact*: the same wheels and 20 of these packages by `bridge sync` of a lock and by
`bridge install`; what both do before the transaction is what `--dry-run` takes. *no-op*: the same `bridge install`
again. Times are wall seconds of whole processes, medians; in brackets their processor seconds, which a busy machine
disturbs less. Every run has an environment of its own, and nothing is removed before the end: ext4 searches for
inodes that were not just deleted, which makes each new file cost up to ten times as much after 10,000 files were.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

REQUESTS = ("fastapi", "flask", "httpx", "rich", "pandas", "ipython", "aiohttp", "black", "sqlalchemy", "cryptography")
RATTLER = """
import asyncio, sys
from pathlib import Path
from rattler import Gateway, install, solve, VirtualPackage
async def run(channel, prefix, cache):
    found = await solve([channel], ["bench-all"], platforms=["linux-64", "noarch"])
    await install(found, target_prefix=prefix, cache_dir=cache, show_progress=False)
asyncio.run(run(*sys.argv[1:]))
import os; os._exit(0)
"""

Sample = tuple[float, float]


def timed(command: list[str], environment: dict[str, str]) -> Sample:
    """Wall seconds and processor seconds of a process and its children."""
    os.sync()  # Else a contender that syncs would write what the one before it left.
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, spent


def compare(title: str, runs: int, contenders: dict[str, Callable[[], Sample]]) -> None:
    """Run the contenders in turns, the first round unmeasured, and print medians and ratios to the first."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for number in range(runs + 1):
        for name in sorted(contenders, reverse=bool(number % 2)):
            taken = contenders[name]()
            if number:
                samples[name].append(taken)
    print(title)
    for name, found in samples.items():
        wall = statistics.median(sample[0] for sample in found)
        spent = statistics.median(sample[1] for sample in found)
        print(f"  {name:24} {wall:7.2f} s  ({spent:.2f} s)")


def bridge_words(*words: object) -> list[str]:
    return [sys.executable, "-m", "bridge", *map(str, words)]


def wheels(folder: Path, requests: list[str], runs: int, environment: dict[str, str]) -> None:
    first = folder / "first"
    subprocess.run(
        bridge_words("create", "-q", "-p", first, "-c", "host", "python", *requests), env=environment, check=True
    )
    code = "import importlib.metadata as m\nfor d in m.distributions(): print(f'{d.name}=={d.version}')"
    interpreter = str(first / "bin/python")
    listed = subprocess.run([interpreter, "-c", code], check=True, capture_output=True, text=True).stdout
    pins = folder / "pins.txt"
    pins.write_text(listed)
    numbers = itertools.count()

    def bridge() -> Sample:
        target = folder / f"target-{next(numbers)}"
        # Not copied: its records name its path.
        subprocess.run(bridge_words("create", "-q", "-p", target, "-c", "host", "python"), env=environment, check=True)
        return timed(bridge_words("install", "-q", "-p", target, "-c", "host", "-r", pins), environment)

    def noop() -> Sample:
        return timed(bridge_words("install", "-q", "-p", first, "-c", "host", *requests), environment)

    def uv(mode: str) -> Callable[[], Sample]:
        def run() -> Sample:
            target = folder / f"target-{next(numbers)}"
            subprocess.run(["uv", "venv", "-q", "--python", sys.executable, str(target)], env=environment, check=True)
            words = ["uv", "pip", "install", "-q", "--python", str(target / "bin/python"), "--link-mode", mode]
            return timed([*words, "-r", str(pins)], environment)

        return run

    count = len(listed.splitlines())
    compare(f"{count} wheels", runs, {"bridge": bridge, "uv (copy)": uv("copy"), "uv (hardlink)": uv("hardlink")})
    compare("nothing to do", runs, {"bridge": noop})


def conda(folder: Path, count: int, runs: int, environment: dict[str, str]) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.support.builders import make_conda, make_repodata  # noqa: PLC0415 - found beside this folder

    channel = folder / "channel"
    names = [f"bench-{number}" for number in range(count)]
    for name in names:
        files = {f"share/{name}/{number}.txt": f"{name} {number}\n".encode() * 300 for number in range(20)}
        make_conda(channel, name, "1.0", files=files)
    make_conda(channel, "bench-all", "1.0", files={}, depends=names)
    make_repodata(channel)
    environment = environment | {"PIP_NO_INDEX": "1"}
    numbers = itertools.count()

    def bridge() -> Sample:
        target = folder / f"conda-{next(numbers)}"
        (target / "conda-meta").mkdir(parents=True)
        return timed(bridge_words("install", "-q", "-p", target, "-c", channel, "conda:bench-all"), environment)

    def rattler() -> Sample:
        target = folder / f"conda-{next(numbers)}"
        words = [sys.executable, "-c", RATTLER, channel.as_uri(), str(target), str(folder / "rattler-cache")]
        return timed(words, environment)

    compare(f"{count} conda packages of 20 files", runs, {"bridge": bridge, "py-rattler": rattler})


def exact(folder: Path, requests: list[str], runs: int, environment: dict[str, str]) -> None:
    channels = ("-c", "host", "-c", folder / "channel")
    names = [f"conda:bench-{number}" for number in range(20)]
    both, lock = folder / "both", folder / "both.lock"
    words = bridge_words("create", "-q", "-p", both, *channels, "python", *names, *requests)
    subprocess.run(words, env=environment, check=True)
    subprocess.run(bridge_words("export", "-q", "-p", both, "-o", lock), env=environment, check=True)
    numbers = itertools.count()

    def run(*words: object, is_dry: bool = False) -> Callable[[], Sample]:
        def one() -> Sample:
            target = folder / f"exact-{next(numbers)}"
            made = bridge_words("create", "-q", "-p", target, "-c", "host", "python")
            subprocess.run(made, env=environment, check=True)
            first, *others = words
            dry = ["--dry-run"] if is_dry else []
            return timed(bridge_words(first, "-q", "-p", target, *others, *dry), environment)

        return one

    install = ("install", *channels, *names, *requests)
    contenders = {"sync": run("sync", lock), "install": run(*install)}
    contenders |= {"sync --dry-run": run("sync", lock, is_dry=True), "install --dry-run": run(*install, is_dry=True)}
    compare("sync, and install of the same", runs, contenders)
    compare(
        "sync, nothing to do", runs, {"sync": lambda: timed(bridge_words("sync", "-q", "-p", both, lock), environment)}
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requirements", nargs="*", default=list(REQUESTS))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--packages", type=int, default=60)
    parser.add_argument("--exact", action="store_true", help="leave the wheels out")
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as text:
        folder = Path(text)
        environment = dict(os.environ) | {"BRIDGE_CACHE_DIR": str(folder / "cache"), "UV_CACHE_DIR": str(folder / "uv")}
        # An installed bridge is compiled; a source tree may not be.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
        environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
        conda(folder, arguments.packages, arguments.runs, environment)
        exact(folder, arguments.requirements, arguments.runs, environment)
        if not arguments.exact:
            wheels(folder, arguments.requirements, arguments.runs, environment)


if __name__ == "__main__":
    main()

"""How the cost of commands grows with what they work on: five sizes each, and the exponent.

    python benchmarks/growth.py [--only NAME…] [--most N] [--runs 3] [--folder DIR] [--svg FILE] [--json]

Everything is made here, and stands on this machine: channels, an index, wheels. *resolve*, *lock*: one request that
needs N packages of three versions, each with up to three dependencies (records, or wheels of an index). *install*: N
files in packages of 1,000, from unpacked packages of the cache. *audit*, *list*, *no-op*: of these environments; cold
hashes every file, warm is an audit after it. *convert*: N small wheels. *index*: N packages, none of them known.
Processor seconds (user and system, all processes of a command), the least of the runs; megabytes of the largest
process. The exponent is the slope of what the sizes add to the command at its smallest size, by least squares over the
logarithms of both; 1 is linear. `--most` leaves larger sizes out.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from curves import Curve, plot

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.builders import make_conda, make_repodata, make_wheel

PACKAGES = (10, 40, 150, 300, 600)
FILES = (1_000, 3_000, 10_000, 30_000, 100_000)
WHEELS = (10, 30, 100, 300, 1_000)
IN_PACKAGE = 1_000  # files

Measured = tuple[float, float]


class Bench:
    """Runs commands, each with the cache, the channels and the environments of one folder."""

    def __init__(self, folder: Path, runs: int, most: int) -> None:
        self.folder, self.runs, self.most = folder, runs, most
        own = {"BRIDGE_CACHE_DIR": str(folder / "cache"), "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1"}
        unwanted = ("BRIDGE_", "PIP_", "CONDA_", "PYTHONDONTWRITEBYTECODE")
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)} | own
        self._made: dict[int, Path] = {}

    def run(self, *words: object) -> Measured:
        """Processor seconds of a command and its processes, and the megabytes of the largest."""
        command = [sys.executable, "-m", "bridge", *map(str, words), "-q"]
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, env=self._environment, stdout=output, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode not in {0, 11}:
                output.seek(0)
                sys.exit(f"{command}\n{output.read().decode()[-2000:]}")
        return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024

    def curve(
        self,
        name: str,
        unit: str,
        sizes: Sequence[int],
        words: Callable[[int], Sequence[object]],
        *,
        warms: bool = True,
    ) -> Curve:
        """The curve of a command; its base is that of the smallest thing there is.

        The sizes take turns: a machine that is busy for a while slows all of them. With `warms` a round does not count.
        """
        wanted = [1, *(size for size in sizes if size <= self.most)]
        found: dict[int, list[Measured]] = {size: [] for size in wanted}
        for number in range(self.runs + warms):
            for size in wanted:
                measured = self.run(*words(size))
                found[size] += [measured] if number >= warms else []
        base, *points = ((size, min(t for t, _ in each), max(m for _, m in each)) for size, each in found.items())
        return Curve(name=name, unit=unit, base=base[1], points=points)

    def environment(self, files: int) -> Path:
        """An environment with so many files."""
        if files not in self._made:
            self._made[files] = self.folder / f"env-{files}"
            self.run("create", "-p", self._made[files], "-c", self.packages(files), f"conda:all-{files}")
        return self._made[files]

    def packages(self, files: int) -> Path:
        """A channel of packages with so many files, and one that needs them all."""
        channel = self.folder / f"files-{files}"
        if not channel.exists():
            names = [f"p{number}-of-{files}" for number in range(-(-files // IN_PACKAGE))]
            for name in names:
                few = range(min(files, IN_PACKAGE))
                make_conda(channel, name, "1.0", files={f"share/{name}/{n}.txt": f"{name} {n}\n".encode() for n in few})
            make_conda(channel, f"all-{files}", "1.0", files={}, depends=names)
            make_repodata(channel)
        return channel

    def wheels(self, count: int) -> list[Path]:
        """So many small wheels."""
        folder = self.folder / f"wheels-{count}"
        if not folder.exists():
            for number in range(count):
                make_wheel(folder, f"w{number}", "1.0", requires=[f"w{each}>=1" for each in below(number)])
        return sorted(folder.iterdir())


def below(number: int) -> list[int]:
    """Up to three smaller numbers: what the package of a number needs."""
    return sorted({number // 2, number // 3, number - 1} - {number, -1})


def records(folder: Path, count: int) -> Path:
    """A channel of so many packages in three versions, and `all`, which needs each."""
    channel = folder / f"records-{count}"
    if channel.exists():
        return channel
    found: dict[str, object] = {}

    def add(name: str, version: str, depends: Sequence[str]) -> None:
        file = f"{name}-{version}-0.conda"
        found[file] = {
            "name": name, "version": version, "build": "0", "build_number": 0, "subdir": "noarch", "noarch": "generic",
            "depends": list(depends), "sha256": sha256(file.encode()).hexdigest(), "md5": "0" * 32, "size": 1000,
            "timestamp": 1700000000000,
        }  # fmt: skip

    for number in range(count):
        for version in ("1.0", "2.0", "3.0"):
            add(f"p{number}", version, [f"p{each} >=1,<4" for each in below(number)])
    add("all", "1.0", [f"p{number}" for number in range(count)])
    (channel / "noarch").mkdir(parents=True)
    document = {"info": {"subdir": "noarch"}, "packages": {}, "packages.conda": found, "repodata_version": 1}
    (channel / "noarch/repodata.json").write_text(json.dumps(document))
    return channel


def simple_index(folder: Path, count: int) -> Path:
    """A package index of so many projects in one version, and `all`, which needs each."""
    root = folder / f"index-{count}"
    if not root.exists():
        for number in range(count):
            make_wheel(root / f"p{number}", f"p{number}", "1.0", requires=[f"p{each}>=1" for each in below(number)])
        make_wheel(root / "all", "all", "1.0", requires=[f"p{number}" for number in range(count)])
    return root


def resolving(bench: Bench) -> Iterator[Curve]:
    def locking(count: int) -> Sequence[object]:
        lock = bench.folder / f"{count}.lock"
        return "lock", "conda:all", "-c", records(bench.folder, count), "--no-index", "--upgrade", "-o", lock

    def conda(count: int) -> Sequence[object]:
        return "resolve", "conda:all", "-c", records(bench.folder, count), "--no-index"

    def wheels(count: int) -> Sequence[object]:
        return "resolve", "pypi:all", "-c", "host", "--index-url", simple_index(bench.folder, count)

    yield bench.curve("resolve records", "packages", PACKAGES, conda)
    yield bench.curve("resolve wheels", "packages", PACKAGES, wheels)
    yield bench.curve("lock", "packages", PACKAGES, locking)


def environments(bench: Bench) -> Iterator[Curve]:
    numbers = itertools.count()

    def install(files: int) -> Sequence[object]:
        bench.environment(files)  # fills the cache
        new = bench.folder / f"new-{next(numbers)}"
        return "create", "-p", new, "-c", bench.packages(files), f"conda:all-{files}", "--no-index"

    def again(files: int) -> Sequence[object]:
        channel = bench.packages(files)
        return "install", "-p", bench.environment(files), "-c", channel, f"conda:all-{files}", "--no-index"

    def read(*words: str) -> Callable[[int], Sequence[object]]:
        return lambda files: (*words, "-p", bench.environment(files))

    yield bench.curve("install", "files", FILES, install, warms=False)
    time.sleep(3)  # what is known of files that just changed is not kept
    yield bench.curve("audit, cold", "files", FILES, read("audit", "--rehash"))
    yield bench.curve("audit, warm", "files", FILES, read("audit"))
    yield bench.curve("list", "files", FILES, read("list"))
    yield bench.curve("install, no-op", "files", FILES, again)


def converting(bench: Bench) -> Iterator[Curve]:
    numbers = itertools.count()

    def convert(count: int) -> Sequence[object]:
        return "convert", *bench.wheels(count), "-o", bench.folder / f"converted-{count}-{next(numbers)}"

    def index(count: int) -> Sequence[object]:
        channel = next(bench.folder.glob(f"converted-{count}-*"))
        shutil.rmtree(channel / ".index", ignore_errors=True)  # so that no package is known
        return "index", channel

    yield bench.curve("convert", "wheels", WHEELS, convert, warms=False)
    yield bench.curve("index", "packages", WHEELS, index, warms=False)


GROUPS = {"resolve": resolving, "install": environments, "convert": converting}


def report(curves: Sequence[Curve]) -> None:
    for curve in curves:
        exponent = "    -" if curve.exponent is None else f"{curve.exponent:5.2f}"
        print(f"{curve.name:16} exponent {exponent}, {curve.each * 1e6:8.0f} µs for each of {curve.unit};"
              f" without any {curve.base:.2f} s")  # fmt: skip
        for size, seconds, megabytes in curve.points:
            print(f"    {size:8,} {seconds:9.2f} s {megabytes:6.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--most", type=int, default=max(FILES))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    parser.add_argument("--svg", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        bench = Bench(Path(folder), arguments.runs, arguments.most)
        curves = [curve for name in arguments.only for curve in GROUPS[name](bench)]
    if arguments.svg is not None:
        arguments.svg.write_text(plot(curves))
    if arguments.json:
        print(json.dumps([{**vars(curve), "exponent": curve.exponent} for curve in curves], indent=2))
    else:
        report(curves)


if __name__ == "__main__":
    main()

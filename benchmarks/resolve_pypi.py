"""PyPI alone: the same requirements on the same index, side by side with `uv pip compile`.

    python benchmarks/resolve_pypi.py FOLDER [--sets 30] [--runs 3] [--json]

FOLDER holds the frozen data (`data`) and the server for it (`tools/serve_snapshot.py`); $BRIDGE_SHARED stands for it.
The requirements are the PyPI parts of real mixed requests, taken in turn from the projects that wrote them; of each set
what the frozen index can solve by itself is kept (uv tells, one requirement at a time, then all together). Both solve
for the same python, glibc and index, without building; bridge's python comes from a channel that holds nothing else, so
all else are wheels. Caches are warm. Times are wall seconds of whole processes, taking turns; `solve` is what bridge
says of its solve alone, `again` the same of a second solve in one process (`--batch`). Every version that differs is
printed. Needs uv on PATH or beside this python.
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
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frozen import served_snapshot
from packaging.utils import canonicalize_name
from zstandard import ZstdDecompressor

PYTHON, GLIBC = "3.12.7", "2.36"


@dataclass(kw_only=True)
class Bench:
    """The two resolvers, the index they ask and the folder they may fill."""

    uv: str
    index: str
    folder: Path
    environment: Mapping[str, str]
    known: dict[str, bool] = field(default_factory=dict)

    def uv_solve(self, requirements: Sequence[str]) -> tuple[dict[str, str] | None, float]:
        """Versions by project, `None` where uv finds none, and seconds."""
        words = [self.uv, "pip", "compile", self._file(requirements), "--quiet", "--no-header", "--no-annotate",
                 "--no-build", "--python", sys.executable, "--python-version", PYTHON, "--python-platform",
                 f"x86_64-manylinux_{GLIBC.replace('.', '_')}", "--index-url", f"{self.index}/simple/"]  # fmt: skip
        done, seconds = self._run(words)
        if done.returncode:
            return None, seconds
        pins = [line.split(";")[0].split("==") for line in done.stdout.splitlines() if "==" in line]
        return {canonicalize_name(name.split("[")[0]): version.strip() for name, version in pins}, seconds

    def bridge_solve(self, requirements: Sequence[str]) -> tuple[dict[str, str] | None, float, float]:
        """The same of bridge; the last figure is the solve's seconds within the process."""
        words = [sys.executable, "-m", "bridge", "resolve", "-r", self._file(requirements), f"conda:python =={PYTHON}",
                 *self._target(), "--json"]  # fmt: skip
        done, seconds = self._run(words)
        document = json.loads(done.stdout)
        if done.returncode:
            print(json.dumps(document, indent=1)[:3000], file=sys.stderr)
            return None, seconds, seconds
        wheels = {p["pypi_names"][0]: p["version"] for p in document["packages"] if p["source"] == "wheel"}
        return wheels, seconds, document["statistics"]["seconds"]

    def bridge_batch(self, sets: Sequence[Sequence[str]]) -> list[float]:
        """Seconds of each set's second solve in one process (`bridge resolve --batch`)."""
        path = self.folder / "sets.jsonl"
        lines = [
            {"id": place, "conda": [f"python =={PYTHON}"], "pypi": list(texts)} for place, texts in enumerate(sets)
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in (*lines, *lines)), "utf-8")
        done, _ = self._run([sys.executable, "-m", "bridge", "resolve", "--batch", str(path), *self._target()])
        return [json.loads(line)["statistics"]["seconds"] for line in done.stdout.splitlines()[len(lines) :]]

    def _target(self) -> list[str]:
        return ["-c", str(self.folder / "channel"), "--index-url", f"{self.index}/simple/", "--no-build",
                "--platform", "linux-64", "--virtual-package", f"__glibc={GLIBC}"]  # fmt: skip

    def solvable(self, requirement: str) -> bool:
        """Whether the index alone can meet one requirement; asked of uv once."""
        if requirement not in self.known:
            self.known[requirement] = self.uv_solve([requirement])[0] is not None
        return self.known[requirement]

    def _run(self, words: Sequence[str]) -> tuple[subprocess.CompletedProcess[str], float]:
        started = time.perf_counter()
        done = subprocess.run(words, env=dict(self.environment), capture_output=True, text=True, check=False)
        return done, time.perf_counter() - started

    def _file(self, requirements: Sequence[str]) -> str:
        path = self.folder / "requirements.txt"
        path.write_text("\n".join(requirements) + "\n", "utf-8")
        return str(path)


def read_lines(path: Path) -> list[dict[str, object]]:
    with path.open("rb") as stream:
        text = ZstdDecompressor().stream_reader(stream).read().decode("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def requirement_sets(bench: Bench, data: Path, wanted: int) -> Iterator[tuple[str, list[str]]]:
    """Distinct sets, one project after the other; of each what the index can solve, two requirements at least."""
    by_source: dict[str, list[list[str]]] = defaultdict(list)
    for request in read_lines(data / "mixed" / "requests.jsonl.zst"):
        pypi = request["pypi"]
        assert isinstance(pypi, list)
        if sorted(pypi) not in by_source[str(request["source"])]:
            by_source[str(request["source"])].append(sorted(pypi))
    seen: set[tuple[str, ...]] = set()
    for place in range(max(map(len, by_source.values()))):
        for source, sets in sorted(by_source.items()):
            if place < len(sets) and len(seen) < wanted:
                kept = [text for text in sets[place] if bench.solvable(text)]
                if kept and tuple(kept) not in seen and bench.uv_solve(kept)[0] is not None:
                    seen.add(tuple(kept))
                    yield source, kept


def write_channel(folder: Path) -> None:
    """A channel of one python without dependencies."""
    python = {"name": "python", "version": PYTHON, "build": "0_cpython", "build_number": 0, "depends": [],
              "subdir": "linux-64", "sha256": "0" * 64, "size": 1}  # fmt: skip
    for subdir, packages in (("linux-64", {f"python-{PYTHON}-0_cpython.conda": python}), ("noarch", {})):
        (folder / subdir).mkdir(parents=True)
        repodata = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages, "repodata_version": 1}
        (folder / subdir / "repodata.json").write_text(json.dumps(repodata), "utf-8")


def measure(bench: Bench, source: str, requirements: list[str], runs: int) -> dict[str, object]:
    """One set: both once to fill the caches, then in turns."""
    theirs, _ = bench.uv_solve(requirements)
    ours, _, _ = bench.bridge_solve(requirements)
    uv_times, bridge_times, solve_times = [], [], []
    for _ in range(runs):
        uv_times.append(bench.uv_solve(requirements)[1])
        _, seconds, solve = bench.bridge_solve(requirements)
        bridge_times.append(seconds)
        solve_times.append(solve)
    names = sorted({*(theirs or {}), *(ours or {})})
    different = {
        name: [(theirs or {}).get(name), (ours or {}).get(name)]
        for name in names
        if (theirs or {}).get(name) != (ours or {}).get(name)
    }
    return {
        "source": source, "requirements": requirements, "packages": len(theirs or {}), "solved": ours is not None,
        "different": different, "uv": statistics.median(uv_times), "bridge": statistics.median(bridge_times),
        "solve": statistics.median(solve_times),
    }  # fmt: skip


def report(rows: Sequence[Mapping[str, object]]) -> None:
    for row in rows:
        ratio = float(str(row["bridge"])) / float(str(row["uv"]))
        print(f"{row['source']!s:40.40} {row['packages']:4} packages  uv {row['uv']:6.3f}  bridge {row['bridge']:6.3f}"
              f"  ({ratio:4.1f})  solve {row['solve']:6.3f}"
              f"  again {row['again']:6.3f}{'' if row['solved'] else '  NOT SOLVED'}")  # fmt: skip
        different = row["different"]
        assert isinstance(different, dict)
        for name, (theirs, ours) in different.items():
            print(f"    {name}: uv {theirs}, bridge {ours}")
    same = sum(not row["different"] for row in rows)
    medians = {
        key: statistics.median(float(str(row[key])) for row in rows) for key in ("uv", "bridge", "solve", "again")
    }
    ratio = statistics.median(float(str(row["bridge"])) / float(str(row["uv"])) for row in rows)
    print(f"{same} of {len(rows)} sets with the same versions; medians: uv {medians['uv']:.3f} s, bridge "
          f"{medians['bridge']:.3f} s (of it the solve {medians['solve']:.3f} s); ratio {ratio:.2f}")  # fmt: skip
    ratio = sum(float(str(row["again"])) for row in rows) / sum(float(str(row["uv"])) for row in rows)
    print(f"a second solve in one process: median {medians['again']:.3f} s; its sum to uv's: {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=os.environ.get("BRIDGE_SHARED"), type=Path)
    parser.add_argument("--sets", type=int, default=30)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.folder is None:
        parser.error("name the folder of the frozen data, or set BRIDGE_SHARED")
    unwanted = ("BRIDGE_", "UV_", "PIP_", "PYTHONDONTWRITEBYTECODE")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    with tempfile.TemporaryDirectory() as scratch, served_snapshot(arguments.folder) as index:
        caches = {"BRIDGE_CACHE_DIR": "bridge", "UV_CACHE_DIR": "uv", "PYTHONPYCACHEPREFIX": "bytecode"}
        environment = clean | {name: f"{scratch}/{folder}" for name, folder in caches.items()}
        program = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        bench = Bench(uv=program, index=index, folder=Path(scratch), environment=environment)
        write_channel(Path(scratch) / "channel")
        sets = list(requirement_sets(bench, arguments.folder / "data", arguments.sets))
        rows = [measure(bench, source, requirements, arguments.runs) for source, requirements in sets]
        for row, again in zip(rows, bench.bridge_batch([requirements for _, requirements in sets]), strict=True):
            row["again"] = again
    if arguments.json:
        print(json.dumps({"python": PYTHON, "glibc": GLIBC, "runs": arguments.runs, "sets": rows}, indent=2))
    else:
        report(rows)


if __name__ == "__main__":
    main()

"""Conda-only requests against rattler's own `solve`, one after the other in one process: verdict, picks, seconds.

    python benchmarks/resolve_conda.py SHARED [--requests 500] [--seed 20261122] [--json]

SHARED holds `data/conda-forge`. A request is one to six names drawn at random, half of the requests with a python
minor, a third of the names with a bound that some version of the name meets. Both sides have read every record they
need before (warm): rattler its Gateway, bridge its catalog, as `bridge resolve --batch` has. Wall seconds; the order
in which the two are asked alternates. Every difference in what was asked for is printed with both answers.

The process that asked rattler ends without its finalisers, which may abort.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from frozen import served_folder
from rattler import BuildString, Channel, Gateway, GenericVirtualPackage, PackageName, Version, solve
from rattler.exceptions import SolverError
from zstandard import ZstdDecompressor

from bridge.channels.repodata import Repodata
from bridge.config import Settings
from bridge.errors import NoSolutionError
from bridge.fetch.client import Client
from bridge.model import Resolution
from bridge.requirements.algebra import conda_requirement
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from converters.names import NameMap
from converters.target import Target

SUBDIRS: tuple[Literal["linux-64"], Literal["noarch"]] = ("linux-64", "noarch")
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
VIRTUAL = {"__unix": "0", "__linux": "6.1", "__glibc": "2.36", "__archspec": "0"}
Picks = dict[str, tuple[str, str]]  # name → (version, build)


def versions(folder: Path) -> dict[str, list[str]]:
    """The versions of every name, as they come."""
    found: dict[str, list[str]] = {}
    for subdir in SUBDIRS:
        with (folder / subdir / "repodata.json.zst").open("rb") as stream:
            document = json.loads(ZstdDecompressor().stream_reader(stream).read())
        for record in (*document.get("packages", {}).values(), *document["packages.conda"].values()):
            found.setdefault(record["name"], []).append(record["version"])
    return found


def draw(count: int, seed: int, known: dict[str, list[str]]) -> list[list[str]]:
    """Random requests, the same for a seed."""
    chance = random.Random(seed)
    names = sorted(known.keys() - {"python"})
    requests = []
    for _ in range(count):
        request = [f"python {chance.choice(PYTHONS)}.*"] if chance.random() < 0.5 else []
        for name in chance.sample(names, chance.randint(1, 6)):
            sign = chance.choice((">=", "<=", "==")) if chance.random() < 1 / 3 else ""
            request.append(f"{name} {sign}{chance.choice(known[name])}" if sign else name)
        requests.append(request)
    return requests


class Theirs:
    """rattler's solver, with a Gateway that keeps what it has read."""

    def __init__(self, url: str, cache: Path) -> None:
        self._gateway = Gateway(cache_dir=cache, show_progress=False)
        self._loop = asyncio.new_event_loop()
        self._virtual = [
            GenericVirtualPackage(PackageName(n), Version(v), BuildString("0")) for n, v in VIRTUAL.items()
        ]
        self._channel = Channel(url)

    def __call__(self, request: list[str]) -> Picks | None:
        work = solve(
            [self._channel],
            request,
            gateway=self._gateway,
            platforms=SUBDIRS,
            virtual_packages=self._virtual,
        )
        try:
            found = self._loop.run_until_complete(work)
        except SolverError:
            return None
        return {r.name.normalized: (str(r.version), str(r.build)) for r in found}


class Ours:
    """The joint resolver without an index."""

    def __init__(self, url: str, cache: Path) -> None:
        target = Target(subdir="linux-64", virtual_packages=tuple((n, v, "0") for n, v in VIRTUAL.items()))
        client = Client(Settings(cache_dir=cache))
        port = Repodata(lambda: client, [url], "linux-64", cache)
        self._catalog = Catalog(port, None, target, NameMap.empty(), Options())

    def __call__(self, request: list[str]) -> Picks | None:
        try:
            found: Resolution = resolve(
                SolveRequest(requirements=tuple(map(conda_requirement, request))), self._catalog
            )
        except NoSolutionError:
            return None
        return {p.record.name: (p.record.version, p.record.build) for p in found.packages}


def timed(solver: Any, request: list[str]) -> tuple[Picks | None, float]:  # noqa: ANN401 - either of the two
    begun = time.perf_counter()
    return solver(request), time.perf_counter() - begun


def measure(folder: Path, requests: list[list[str]]) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as scratch, served_folder(folder) as url:
        theirs, ours = Theirs(url, Path(scratch, "theirs")), Ours(url, Path(scratch, "ours"))
        for request in requests:  # to warm both
            theirs(request)
            ours(request)
        gc.collect()
        for number, request in enumerate(requests):
            if number % 2:
                (mine, my_seconds), (other, their_seconds) = timed(ours, request), timed(theirs, request)
            else:
                (other, their_seconds), (mine, my_seconds) = timed(theirs, request), timed(ours, request)
            rows.append(compare(request, mine, other) | {"ours": my_seconds, "theirs": their_seconds})
    return summary(rows)


def compare(request: list[str], mine: Picks | None, other: Picks | None) -> dict[str, Any]:
    asked = [text.split(" ")[0] for text in request]
    row: dict[str, Any] = {"request": request, "satisfiable": other is not None, "same_verdict": True}
    if mine is None or other is None:
        return row | {"same_verdict": (mine is None) == (other is None)}
    differing = {name: [mine[name][0], other[name][0]] for name in asked if mine[name][0] != other[name][0]}
    return row | {
        "versions": differing,
        "builds": all(mine[name] == other[name] for name in asked),
        "whole": mine == other,
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    solved = [row for row in rows if row["satisfiable"] and row["same_verdict"]]
    failed = [row for row in rows if not row["satisfiable"]]

    def times(some: list[dict[str, Any]]) -> dict[str, float]:
        ours, theirs = ([row[side] for row in some] for side in ("ours", "theirs"))
        return {
            "ratio": round(sum(ours) / sum(theirs), 3),
            "ours_ms": round(statistics.median(ours) * 1000, 1),
            "theirs_ms": round(statistics.median(theirs) * 1000, 1),
            "ours_max_s": round(max(ours), 3),
        }

    return {
        "requests": len(rows),
        "other_verdict": [row["request"] for row in rows if not row["same_verdict"]],
        "satisfiable": len(solved),
        "same_versions": sum(not row["versions"] for row in solved),
        "same_builds": sum(row["builds"] for row in solved),
        "same_environment": sum(row["whole"] for row in solved),
        "time_satisfiable": times(solved),
        "time_unsatisfiable": times(failed),
        "differences": [
            {"request": row["request"], "ours, theirs": row["versions"]} for row in solved if row["versions"]
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    folder = (arguments.shared / "data" / "conda-forge").resolve()
    report = measure(folder, draw(arguments.requests, arguments.seed, versions(folder)))
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        for key, value in report.items():
            if isinstance(value, list):
                print(f"{key}: {len(value)}")
                print("".join(f"    {json.dumps(row)}\n" for row in value), end="")
            else:
                print(f"{key}: {value}")
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

"""Real mixed requests, each held against an independent oracle: solved, consistent, newest, seconds.

    python benchmarks/resolve_mixed.py SHARED [--requests 252] [--json]

SHARED holds `data/` (frozen records, files, names and requests) and `tools/` (the oracle). Solving only: records and
METADATA come from memory, and what was read for one request is known to the next, as in `bridge resolve --batch`. Wall
seconds in one process; machines are noisy: read the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from bridge.errors import NoSolutionError
from bridge.model import IndexFile, Resolution
from bridge.requirements import algebra
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from converters.metadata import CoreMetadata, parse_metadata
from converters.names import NameMap
from converters.record import Record, conda_record
from converters.target import Target


class Frozen:
    """The frozen universe behind the resolver's two ports."""

    def __init__(self, universe: Any, metadata: Any) -> None:  # noqa: ANN401 - of the tools, which have no types
        self._universe, self._text = universe, metadata
        self._raw: dict[str, list[tuple[str, dict[str, object]]]] = defaultdict(list)
        for key, record in universe.conda.items():
            self._raw[record["name"]].append((key, record))
        self._pages: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for entry in universe.files.values():
            self._pages[entry["name"]].append(entry)
        self._records: dict[str, tuple[Record, ...]] = {}
        self._metadata: dict[str, CoreMetadata] = {}

    def prefetch(self, names: Iterable[str]) -> None:
        """Nothing to fetch."""

    def remarks(self, project: str) -> tuple[str, ...]:  # noqa: ARG002 - all files of this index are candidates
        return ()

    prefetch_files = prefetch

    def prefetch_metadata(self, files: Iterable[IndexFile]) -> None:
        """Nothing to fetch."""

    def records(self, name: str) -> tuple[Record, ...]:
        if name not in self._records:
            self._records[name] = tuple(
                conda_record({**record, "fn": key.split("/")[1], "channel": "frozen", "url": key})
                for key, record in self._raw.get(name, ())
            )
        return self._records[name]

    def files(self, project: str) -> tuple[IndexFile, ...]:
        return tuple(
            IndexFile(
                project=project,
                filename=entry["filename"],
                version=entry["version"],
                url=f"frozen:{entry['filename']}",
                origin="frozen",
                sha256=entry["sha256"],
                requires_python=entry["requires_python"],
            )
            for entry in self._pages.get(project, ())
        )

    def metadata(self, file: IndexFile) -> CoreMetadata:
        if file.filename not in self._metadata:
            text = self._text(self._universe.files[file.filename])
            self._metadata[file.filename] = parse_metadata(text, file.filename)
        return self._metadata[file.filename]

    def file_of_url(self, url: str, project: str) -> IndexFile:
        raise NotImplementedError(f"{project} @ {url}: the frozen requests have no URLs")


def problems(oracle: ModuleType, universe: object, request: dict[str, Any], found: Resolution) -> list[str]:
    """What the oracle has against a solution."""
    solution = {
        "platform": request["platform"],
        "conda_requirements": request["conda"],
        "pypi_requirements": request["pypi"],
        "conda": [p.record.url for p in found.packages if p.record.ecosystem == "conda"],
        "wheels": [p.record.filename for p in found.packages if p.record.ecosystem == "wheel"],
    }
    return list(oracle.check(universe, solution))


def older(universe: Any, request: dict[str, Any], found: Resolution) -> list[str]:  # noqa: ANN401
    """What was asked for and is older than in the recorded solution: where it comes from the same world in both."""
    names: dict[str, list[str]] = universe.names
    recorded = {
        f"conda:{universe.conda[key]['name']}": universe.conda[key]["version"] for key in request["locked_conda"]
    }
    recorded |= {
        f"wheel:{universe.files[name]['name']}": universe.files[name]["version"] for name in request["locked_pypi"]
    }
    said = []
    for package in found.packages:
        record = package.record
        name = record.name if record.ecosystem == "conda" else record.pypi_names[0]
        before = recorded.get(f"{record.ecosystem}:{name}")
        if before is None and record.ecosystem == "wheel":
            carriers = [conda for conda, projects in names.items() if projects == [name]]
            before = next((recorded[f"conda:{c}"] for c in carriers if f"conda:{c}" in recorded), None)
        ours, theirs = algebra.conda_version(record.version), algebra.conda_version(before or "")
        if package.requested and ours is not None and theirs is not None and ours < theirs:
            said.append(f"{name} {record.version} < {before}")
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--requests", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.shared / "tools"))
    import check_solution as oracle  # type: ignore[import-not-found]  # noqa: PLC0415
    from serve_snapshot import metadata  # type: ignore[import-not-found]  # noqa: PLC0415

    data = arguments.shared / "data"
    universe = oracle.Universe(data, "linux-64")
    target = Target(
        subdir="linux-64", virtual_packages=tuple((name, version, "0") for name, version in oracle.VIRTUAL.items())
    )
    port = Frozen(universe, metadata)
    catalog = Catalog(port, port, target, NameMap(universe.names, "frozen"), Options())
    lines = oracle.read_zst(data / "mixed" / "requests.jsonl.zst").splitlines()[: arguments.requests]
    times: list[float] = []
    unsolved: list[str] = []
    wrong: dict[str, list[str]] = {}
    behind: dict[str, list[str]] = {}
    for line in lines:
        request = json.loads(line)
        asked = [algebra.conda_requirement(text) for text in request["conda"]]
        asked += [algebra.parse_pypi(text) for text in request["pypi"]]
        started = time.perf_counter()
        try:
            found = resolve(SolveRequest(requirements=tuple(asked)), catalog)
        except NoSolutionError:
            unsolved.append(request["id"])
            continue
        times.append(time.perf_counter() - started)
        if against := problems(oracle, universe, request, found):
            wrong[request["id"]] = against
        if names := older(universe, request, found):
            behind[request["id"]] = names
    times.sort()
    report = {
        "requests": len(lines),
        "solved": len(times),
        "consistent": len(times) - len(wrong),
        "unsolved": unsolved,
        "inconsistent": wrong,
        "older": behind,
        "median": round(statistics.median(times), 3),
        "p95": round(times[int(len(times) * 0.95)], 3),
        "max": round(times[-1], 3),
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['solved']} of {report['requests']} solved, {report['consistent']} consistent by the oracle")
        print(f"median {report['median']} s   p95 {report['p95']} s   max {report['max']} s")
        print(f"asked for and older than recorded: {sum(map(len, behind.values()))} in {len(behind)} requests")
        for name, against in (*wrong.items(), *behind.items()):
            print(name, against[:3])
    sys.stdout.flush()
    os._exit(0)  # an interpreter that used rattler may abort while it finalises


if __name__ == "__main__":
    main()

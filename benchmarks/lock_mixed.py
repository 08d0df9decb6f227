"""Real mixed requests, locked for linux-64, osx-arm64 and win-64: read by rattler, certified, of equal versions.

    python benchmarks/lock_mixed.py SHARED [--from 0] [--requests 252] [--json]

SHARED is as for `resolve_mixed.py`. Each request is solved for linux-64 and for those of the other platforms that have
a solution, the lock is written, read by py-rattler's `LockFile`, and each platform's part is held against the oracle.
Where a name has several versions, each older version that all platforms have is tried for all of them, with what the
platforms agree on left as it is: one that works is counted as missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rattler import LockFile
from resolve_mixed import Frozen

from bridge.errors import NoSolutionError
from bridge.lock.content import Content
from bridge.lock.platforms import Place, agreed_versions, disagreements, solve_all
from bridge.lock.rattler_v6 import write_rattler
from bridge.lock.solution import locked_packages
from bridge.lock.targets import lock_target
from bridge.model import Resolution
from bridge.requirements import algebra
from bridge.requirements.locked import LockedEnvironment
from bridge.resolve import Catalog, Options, SolveRequest, Standing, resolve
from converters.names import NameMap
from converters.record import Record

PLATFORMS = ("linux-64", "osx-arm64", "win-64")
_CHANNEL, _FILES = "https://channel.example/frozen", "https://files.example"


class Stated(Frozen):
    """The frozen universe with what the oracle knows of single files: which projects each of them provides."""

    def records(self, name: str) -> tuple[Record, ...]:
        if name not in self._records:
            purls = self._universe.purls
            self._records[name] = tuple(
                replace(record, purls=tuple(f"pkg:pypi/{project}" for project in sorted(purls.get(record.url, ()))))
                for record in super().records(name)
            )
        return self._records[name]


class Worlds:
    """The frozen universe of each platform."""

    def __init__(self, shared: Path, oracle: Any, metadata: Any) -> None:  # noqa: ANN401 - the tools have no types
        self.oracle = oracle
        self.universes = {platform: oracle.Universe(shared / "data", platform) for platform in PLATFORMS}
        virtual = tuple((name, version) for name, version in oracle.VIRTUAL.items() if name in ("__glibc", "__cuda"))
        self.catalogs = {}
        for platform, universe in self.universes.items():
            port = Stated(universe, metadata)
            target = lock_target(platform, virtual if platform == "linux-64" else (), ())
            self.catalogs[platform] = Catalog(port, port, target, NameMap(universe.names, "frozen"), Options())

    def solve(
        self,
        request: Mapping[str, Any],
        platform: str,
        agreed: Mapping[str, str],
        pins: Sequence[algebra.Requirement] = (),
    ) -> Resolution:
        asked = [algebra.conda_requirement(text) for text in request["conda"]]
        asked += [algebra.parse_pypi(text) for text in request["pypi"]]
        standing = Standing(agreed=agreed, pins=tuple(pins))
        return resolve(SolveRequest(requirements=tuple(asked), standing=standing), self.catalogs[platform])

    def problems(self, request: Mapping[str, Any], platform: str, found: Resolution) -> list[str]:
        """What the oracle has against a solution."""
        packages = [package.record for package in found.packages]
        solution = {
            "platform": platform,
            "conda_requirements": request["conda"],
            "pypi_requirements": request["pypi"],
            "virtual_packages": {name: version for name, version, _ in found.target.virtual_packages},
            "conda": [record.url for record in packages if record.ecosystem == "conda"],
            "wheels": [record.filename for record in packages if record.ecosystem == "wheel"],
        }
        return list(self.oracle.check(self.universes[platform], solution))

    def places(self, request: Mapping[str, Any]) -> list[Place]:
        """linux-64, and the other platforms that have a solution on their own."""
        found = []
        for platform in PLATFORMS:
            try:
                self.solve(request, platform, {})
            except NoSolutionError:
                continue
            found.append(Place(environment="default", platform=platform))
        return found


def missed(worlds: Worlds, request: Mapping[str, Any], found: Mapping[Place, Resolution]) -> dict[str, str]:
    """Names with several versions → a version that all platforms can have, without more names apart."""
    apart = disagreements(found)
    names = {}
    for name, seen in apart.items():
        common = set.intersection(
            *(_versions(worlds, place.platform, name) for place in found if _has(found[place], name))
        )
        for version in sorted(common, key=lambda text: algebra.conda_version(text) or 0, reverse=True)[:12]:
            made = {}
            try:
                for place, solution in found.items():
                    agreed = agreed_versions([solution])
                    pins = [algebra.conda_requirement(f"{name} =={version}")]
                    made[place] = worlds.solve(request, place.platform, agreed, pins)
            except NoSolutionError:
                continue
            if len(disagreements(made)) < len(apart):
                names[name] = f"{version} instead of {', '.join(seen)}"
                break
    return names


def _has(solution: Resolution, name: str) -> bool:
    return any(each.record.name == name for each in solution.packages)


def _versions(worlds: Worlds, platform: str, name: str) -> set[str]:
    catalog = worlds.catalogs[platform]
    conda = catalog.conda(name)
    found = {record.version for record in conda.records}
    if conda.wheel_project is not None:
        found |= {file.version for file in catalog.project(conda.wheel_project).files}
    return found


def _real(record: Record) -> Record:
    """The record with URLs that a lock can have."""
    if record.ecosystem == "conda":
        return replace(record, url=f"{_CHANNEL}/{record.url}", origin=_CHANNEL)
    return replace(record, url=f"{_FILES}/{record.filename}", origin=f"{_FILES}/simple")


def read_back(found: Mapping[Place, Resolution], folder: Path) -> list[str]:
    """What rattler reads otherwise than it was locked."""
    packages = {
        place.platform: locked_packages(
            replace(each, packages=tuple(replace(p, record=_real(p.record)) for p in each.packages))
        )
        for place, each in found.items()
    }
    environment = LockedEnvironment(channels=(_CHANNEL,), indexes=(f"{_FILES}/simple",), packages=packages)
    path = folder / "bridge.lock"
    path.write_text(write_rattler(Content(environments=(environment,)), path).text, "utf-8")
    try:
        read = LockFile.from_path(path).default_environment()
    except Exception as error:  # noqa: BLE001 - rattler's own
        return [str(error)[:200]]
    assert read is not None
    wrong = []
    for platform in read.platforms():
        names = Counter((each.name, each.location.rpartition("/")[2]) for each in read.packages(platform) or [])
        mine = Counter((each.name, each.url.rpartition("/")[2]) for each in packages[str(platform)])
        wrong += [f"{platform}: {sorted((names - mine) + (mine - names))[:4]}"] if names != mine else []
    return wrong


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--from", type=int, default=0, dest="start", help="the first request (to run in parts)")
    parser.add_argument("--requests", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(words)
    sys.path.insert(0, str(arguments.shared / "tools"))
    import check_solution as oracle  # type: ignore[import-not-found]  # noqa: PLC0415
    from serve_snapshot import metadata  # type: ignore[import-not-found]  # noqa: PLC0415

    worlds = Worlds(arguments.shared, oracle, metadata)
    lines = oracle.read_zst(arguments.shared / "data" / "mixed" / "requests.jsonl.zst").splitlines()
    report: dict[str, Any] = {"requests": 0, "platforms": Counter(), "unread": {}, "inconsistent": {}, "apart": {}}
    report |= {"names": 0, "missed": {}}
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for line in lines[arguments.start :][: arguments.requests]:
            request = json.loads(line)
            places = worlds.places(request)
            started = time.perf_counter()
            found = solve_all(places, lambda place, *how, r=request: worlds.solve(r, place.platform, *how))
            times.append(time.perf_counter() - started)
            report["requests"] += 1
            report["platforms"].update(place.platform for place in found)
            report["names"] += len({package.record.name for each in found.values() for package in each.packages})
            if wrong := read_back(found, Path(folder)):
                report["unread"][request["id"]] = wrong
            for place, each in found.items():
                if against := worlds.problems(request, place.platform, each):
                    report["inconsistent"][f"{request['id']} {place}"] = against[:5]
            if apart := disagreements(found):
                report["apart"][request["id"]] = apart
                if names := missed(worlds, request, found):
                    report["missed"][request["id"]] = names
    report |= {"median": round(statistics.median(times), 3), "max": round(max(times), 3)}
    _show(report, is_json=arguments.json)
    sys.stdout.flush()
    os._exit(0)  # an interpreter that used rattler may abort while it finalises


def _show(report: Mapping[str, Any], *, is_json: bool) -> None:
    if is_json:
        print(json.dumps(report, indent=2))
        return
    platforms = ", ".join(f"{name} {count}" for name, count in report["platforms"].items())
    print(f"{report['requests']} locks ({platforms}); {report['requests'] - len(report['unread'])} read by rattler")
    print(f"{len(report['inconsistent'])} parts inconsistent by the oracle")
    apart = sum(map(len, report["apart"].values()))
    print(f"{report['names']} names, {apart} of several versions in {len(report['apart'])} locks")
    print(f"a common version was missed: {sum(map(len, report['missed'].values()))}")
    print(f"median {report['median']} s   max {report['max']} s for all platforms of a lock")
    for title in ("unread", "inconsistent", "missed"):
        for name, found in report[title].items():
            print(title, name, found)


if __name__ == "__main__":
    main()

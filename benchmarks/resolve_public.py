"""Requests of public repositories against the frozen universe: each solved and certified, or explained truly.

    python benchmarks/resolve_public.py SHARED [--requests 120] [--only WORDS] [--json]

`public_requests.toml` holds what real environment files, pixi workspaces, pyproject files (with and without a uv.lock)
and requirement files ask for. SHARED is that of `resolve_mixed.py`. The frozen universe was made for other requests, so
many of these have no solution in it: a requirement that cannot be met by itself is explained and left out, and the rest
is solved again. A solution is checked by the independent oracle; an explanation by `tests.support.explanations`: each
of its sentences must be a fact of what the solve read.
Solving only, from memory; what was read for one request is known to the next.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from resolve_mixed import Frozen, problems

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bridge.errors import NoSolutionError
from bridge.model import IndexFile, Resolution
from bridge.requirements import algebra
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from converters.names import NameMap
from converters.record import Record
from converters.target import Target
from tests.support.explanations import false_sentences
from tests.support.resolver_worlds import Wheel, World

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class Watched(Frozen):
    """The frozen universe; notes what was read."""

    def __init__(self, universe: Any, metadata: Any) -> None:  # noqa: ANN401 - of the tools, which have no types
        super().__init__(universe, metadata)
        self.names: set[str] = set()
        self.projects: set[str] = set()

    def records(self, name: str) -> tuple[Record, ...]:
        self.names.add(name)
        return super().records(name)

    def files(self, project: str) -> tuple[IndexFile, ...]:
        self.projects.add(project)
        return super().files(project)

    def world(self, names: dict[str, object], target: Target) -> World:
        """Return what was read as a universe of its own."""
        files = [file for project in sorted(self.projects) for file in super(Watched, self).files(project)]
        return World(
            records=tuple(record for name in sorted(self.names) for record in super(Watched, self).records(name)),
            wheels=tuple(Wheel(file=file, metadata=self.metadata(file)) for file in files),
            names=names,
            target=target,
        )


@dataclass(slots=True)
class Found:
    """What came of the requests; each is called by its repository and path.

    :ivar seconds: of the longest solve of each request. `explanations`: how many were checked; `alone`: how many of
        them were of one requirement, which was then left out. `conflicts`: what could not be met together.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    solved: list[str] = field(default_factory=list)
    conflicts: dict[str, str] = field(default_factory=dict)
    explanations: int = 0
    alone: int = 0
    stopped: list[str] = field(default_factory=list)
    inconsistent: dict[str, list[str]] = field(default_factory=dict)
    untrue: dict[str, list[str]] = field(default_factory=dict)


class Benchmark:
    """The frozen universe, its oracle, and one catalog for all requests."""

    def __init__(self, shared: Path) -> None:
        sys.path.insert(0, str(shared / "tools"))
        import check_solution as oracle  # type: ignore[import-not-found]  # noqa: PLC0415
        from serve_snapshot import metadata  # type: ignore[import-not-found]  # noqa: PLC0415

        self._oracle, self._metadata = oracle, metadata
        self._universe = oracle.Universe(shared / "data", "linux-64")
        virtual = tuple((name, version, "0") for name, version in oracle.VIRTUAL.items())
        self._target = Target(subdir="linux-64", virtual_packages=virtual)
        self._catalog = self._opened(Frozen(self._universe, metadata))

    def _opened(self, port: Frozen) -> Catalog:
        return Catalog(port, port, self._target, NameMap(self._universe.names, "frozen"), Options())

    def run(self, requests: Iterable[dict[str, Any]]) -> Found:
        found = Found()
        for request in requests:
            name = " ".join((request["repository"], request["path"], *request.get("extras", ())))
            self._solve(name, request, found)
        return found

    def _solve(self, name: str, request: dict[str, Any], found: Found) -> None:
        while True:
            conda = [algebra.conda_requirement(text) for text in request["conda"]]
            pypi = [algebra.parse_pypi(text) for text in request["pypi"]]
            asked = SolveRequest(requirements=(*conda, *pypi), requires_python=request.get("requires_python"))
            started = time.perf_counter()
            try:
                resolution: Resolution | NoSolutionError = resolve(asked, self._catalog)
            except NoSolutionError as error:
                resolution = error
            found.seconds[name] = max(found.seconds.get(name, 0.0), time.perf_counter() - started)
            if not isinstance(resolution, NoSolutionError):
                found.solved.append(name)
                against = problems(self._oracle, self._universe, {**request, "platform": "linux-64"}, resolution)
                found.inconsistent |= {name: against} if against else {}
                return
            if resolution.id != "no-solution":
                found.stopped.append(name)
                return
            found.explanations += 1
            if untrue := self._untrue(request, asked):
                found.untrue.setdefault(name, []).extend(untrue)
            named = resolution.objects["requests"]
            assert isinstance(named, list)
            if len(named) > 1 or not {*request["conda"], *request["pypi"]} & set(named):
                found.conflicts[name] = resolution.message
                return
            found.alone += 1
            left = {key: [text for text in request[key] if text not in named] for key in ("conda", "pypi")}
            request = {**request, **left}

    def _untrue(self, request: dict[str, Any], asked: SolveRequest) -> list[str]:
        """The sentences of the explanation that are no facts of what the solve reads."""
        port = Watched(self._universe, self._metadata)
        try:
            resolve(asked, self._opened(port))
        except NoSolutionError as error:
            world = port.world(self._universe.names, self._target)
            python = [f"python {asked.requires_python}"] if asked.requires_python else []
            return false_sentences(world, ([*request["conda"], *python], request["pypi"]), error)
        return ["a solve with another catalog finds a solution"]


def shown(found: Found, requests: Sequence[object]) -> Iterable[str]:
    times = sorted(found.seconds.values())
    yield (
        f"{len(requests)} requests: {len(found.solved)} solved, {len(found.solved) - len(found.inconsistent)} of them"
        f" consistent by the oracle; {len(found.conflicts)} in conflict; {len(found.stopped)} stopped by --patience"
    )
    yield (
        f"{found.explanations} explanations, {found.alone} of one requirement that the universe cannot meet;"
        f" requests with an untrue sentence: {len(found.untrue)}"
    )
    yield f"median {statistics.median(times):.3f} s   p95 {times[int(len(times) * 0.95)]:.3f} s   max {times[-1]:.3f} s"
    for name in sorted(found.seconds, key=lambda name: -found.seconds[name])[:5]:
        yield f"slow: {name} {found.seconds[name]:.2f} s"
    for name, against in (*found.inconsistent.items(), *found.untrue.items()):
        yield from (f"{name}: {text}" for text in against[:4])
    yield from (f"conflict: {name}: {message}" for name, message in found.conflicts.items())
    yield from (f"stopped: {name}" for name in found.stopped)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--requests", type=int, default=None)
    parser.add_argument("--only", default="", help="only requests whose repository contains this")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with (Path(__file__).parent / "public_requests.toml").open("rb") as stream:
        requests = tomllib.load(stream)["request"]
    requests = [each for each in requests if arguments.only in each["repository"]][: arguments.requests]
    found = Benchmark(arguments.shared).run(requests)
    if arguments.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print("\n".join(shown(found, requests)))
    sys.stdout.flush()
    os._exit(0)  # an interpreter that used rattler may abort while it finalises


if __name__ == "__main__":
    main()

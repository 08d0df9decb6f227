"""Dependencies of converted records against METADATA: every distinct set of requirements of published files.

    python benchmarks/convert_meaning.py FILES.jsonl.zst [--sample N] [--seed 0] [--json]
        [--libsolv FILE] [--conda PYTHON]

FILES has one file a line: name, version, requires_dist, requires_python. Each is converted for five subdirs and python
3.9 to 3.15, and each record judged wherever it may be installed, for the base and each extra: the same names, and on
published and neighbouring versions the same answers in the orders of rattler and libsolv, but for what
docs/conversion.md lists. Differences beyond: 0.

libsolv's order is a model in python (tests/support/libsolv_order.py). `--libsolv` holds it against a compiled libsolv
(with ENABLE_CONDA) on every pair of a written spec and a version that was judged. `--conda` judges these pairs in the
order of the conda that a python has, which is rattler's but for prefixes of pre-releases with other zeros.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import zstandard
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from rattler import Version, VersionSpec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support import libsolv_order
from tests.support.conversion_meaning import Judge, Release, is_documented

_ASK_CONDA = """
import json, sys
from conda.models.version import VersionSpec
for line in sys.stdin:
    spec, versions = json.loads(line)
    spec = VersionSpec(spec)
    print(json.dumps([version for version in versions if spec.match(version)]))
"""


def releases(path: Path) -> list[Release]:
    """The releases of a file of files, one for each distinct metadata."""
    text = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes()).decode()
    found: dict[Release, None] = {}
    for line in text.splitlines():
        entry = json.loads(line)
        release = Release(
            name=canonicalize_name(entry["name"]),
            version=entry["version"],
            requires_dist=tuple(entry["requires_dist"] or ()),
            requires_python=entry["requires_python"],
        )
        found[release] = None
    return list(found)


def is_readable(release: Release) -> bool:
    """Whether all requirements are PEP 508's: those that are not are repaired or refused, which other tests judge."""
    try:
        return all(Requirement(text) for text in release.requires_dist)
    except InvalidRequirement:
        return False


def against_libsolv(asked: Mapping[str, set[str]], library: Path) -> Iterator[str]:
    """Yield the pairs on which the model of libsolv and the library differ."""
    solver = libsolv_order.Library(library, sorted(set().union(*asked.values())))
    for spec, versions in asked.items():
        accepted = solver.accepted(spec)
        for version in versions:
            if libsolv_order.accepts(spec, version) != (version in accepted):
                yield f"{spec} on {version}: libsolv and its model differ"


def against_conda(judge: Judge, python: Path) -> Iterator[str]:
    """Yield the pairs on which conda, where it differs from rattler, also differs undocumented from PEP 440."""
    lines = "".join(json.dumps([spec, sorted(versions)]) + "\n" for spec, versions in judge.asked.items())
    said = subprocess.run([python, "-c", _ASK_CONDA], input=lines, capture_output=True, text=True, check=True).stdout
    for (spec, versions), line in zip(judge.asked.items(), said.splitlines(), strict=True):
        ours, accepted = VersionSpec(spec), set(json.loads(line))
        for version in {version for version in versions if ours.matches(Version(version))} ^ accepted:
            judge.counted["pairs on which conda and rattler differ"] += 1
            meant, looser = SpecifierSet(judge.meant[spec]), version in accepted
            if meant.contains(version, prereleases=True) != looser and not any(
                is_documented(clause, version, looser=looser) for clause in meant
            ):
                yield f"{meant} became {spec!r}, which differs on {version} in conda"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path)
    parser.add_argument("--sample", type=int, help="so many releases, chosen at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--libsolv", type=Path, help="a compiled libsolv to hold its model against")
    parser.add_argument("--conda", type=Path, help="the python of a conda, a third order")
    options = parser.parse_args()
    known = [release for release in releases(options.files) if is_readable(release)]
    universe: dict[str, list[Release]] = {}
    for release in known:
        universe.setdefault(release.name, []).append(release)
    distinct = list({(each.requires_dist, each.requires_python): each for each in known}.values())
    if options.sample:
        distinct = random.Random(options.seed).sample(distinct, options.sample)
    judge = Judge(universe)
    started = time.perf_counter()
    for number, release in enumerate(distinct):
        judge.judge(release)
        if not options.json and number % 500 == 499:
            print(f"{number + 1} of {len(distinct)}, {len(judge.wrong)} differences", flush=True)
    judge.counted["pairs of spec and version"] = sum(map(len, judge.asked.values()))
    if options.libsolv:
        judge.wrong += against_libsolv(judge.asked, options.libsolv)
    if options.conda:
        judge.wrong += against_conda(judge, options.conda)
    summary = {**judge.counted, "differences": len(judge.wrong), "seconds": round(time.perf_counter() - started, 1)}
    print(json.dumps({"summary": summary, "differences": judge.wrong} if options.json else summary, indent=2))
    for line in judge.wrong[:40] if not options.json else ():
        print(line)
    raise SystemExit(bool(judge.wrong))


if __name__ == "__main__":
    main()

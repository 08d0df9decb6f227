"""What `pip check` reports in the environments of real mixed requests, and who is to blame for each finding.

    python benchmarks/pip_check.py SHARED [--requests 252] [--json]

SHARED holds `data/` (frozen records, files, names and requests) and `tools/`. Each request is solved; each distribution
of the solution gets the frozen METADATA of its version, and pip's rule is applied (`tests.support.pip_check`).
A finding is
* of a wheel: a requirement of a wheel is not met. pip would not have left it so: there must be none;
* of a slim half: the environment has a part of a split package that no MatchSpec of the request names, and the whole
  would have met the requirement. There must be none;
* named: the same, but the request names the slim half;
* corrected: an earlier build is taken although a later one of that version states the requirement. There must be none
  (`bridge/resolve/candidates/rebuilds.py`);
* of conda: conda's records do not say what METADATA says, on purpose or not, and no build of that version would bring
  it. `bridge why` tells each (`bridge/audit/left_out.py`):
  - `vendored`: the record does not depend on the name; conda's packages bring it otherwise (CUDA libraries);
  - `renamed`: the record depends on a conda name whose records are not known to carry the project (`uv`);
  - `widened`: the newest build of that version allows the version that METADATA excludes (a patch, for it works);
  - `unstated`: no build of that version states it.
The solution as an environment of stubs is then asked by `why` for the package of each finding: `told` counts the
findings of conda whose requirement `why` quotes; it must count all.
Solving only. Records whose version the frozen index lacks have no METADATA and can have no finding; they are counted.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version
from resolve_mixed import Frozen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bridge.audit.queries import why
from bridge.model import Distribution, Entry, Fingerprint, Installed, PrefixState, Resolution
from bridge.requirements import algebra
from bridge.requirements.names import name_of
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from bridge.resolve.candidates.halves import wholes
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.target import Target
from tests.support.pip_check import Finding, Stub, findings, stubs

MUST_BE_NONE = ("wheel", "half", "corrected")


def reason(finding: Finding, port: Frozen) -> str:
    """Why conda's record leaves a requirement of METADATA open."""
    record, project = finding.stub.record, finding.project
    needs = [text for text in record.requirements if canonicalize_name(name_of(text)) == project]
    builds = [one for one in port.records(record.name) if one.version == record.version]
    newest = max(one.build_number for one in builds)
    last = [text for one in builds if one.build_number == newest for text in one.requirements]
    stated = [algebra.conda_requirement(text) for text in last if canonicalize_name(name_of(text)) == project]
    if finding.found is None:
        return "renamed" if needs else "corrected" if stated else "vendored"
    if not all(each.accepts(str(finding.found)) for each in stated):
        return "corrected"
    clauses = [each for each in stated if each.conda is not None and "<" in each.conda.text]
    return "widened" if clauses else "unstated"


def blame(finding: Finding, catalog: Catalog, named: set[str]) -> str:
    """The kind of a finding: `wheel`, `half`, `named` or `conda`."""
    record = finding.stub.record
    if record.ecosystem == "wheel":
        return "wheel"
    whole = wholes(catalog, finding.stub.project, record.name).get(record.version)
    carriers = {*catalog.providers(finding.project), finding.project}
    if whole is None or carriers.isdisjoint(map(name_of, whole.requirements)):
        return "conda"
    return "named" if record.name in named else "half"


def metadata_of(port: Frozen) -> Callable[[str, Version], CoreMetadata | None]:
    """METADATA of a version, as far as the frozen index has it."""

    def of(project: str, version: Version) -> CoreMetadata | None:
        files = (file for file in port.files(project) if algebra.pep440_version(file.version) == version)
        return next((port.metadata(file) for file in files if file.is_wheel), None)

    return of


def environment(found: Resolution, present: Mapping[str, Stub]) -> PrefixState:
    """Return a solution as what `create` leaves of packages that contain only dist-infos."""
    distributions: dict[str, Distribution] = {}
    entries: dict[str, list[Entry]] = defaultdict(list)
    for project, stub in present.items():
        version = str(stub.version or stub.record.version)
        made = Distribution(
            path=f"site/{project}.dist-info", name=project, version=version, requires_dist=stub.requires
        )
        distributions[project] = made
        entries[stub.record.name].append(Entry(path=f"{made.path}/METADATA", fingerprint=Fingerprint(kind="file")))
    installed = [
        Installed(
            record=each.record,
            meta_path=f"conda-meta/{each.record.name}.json",
            entries=entries[each.record.name],
            requested=each.requested,
        )
        for each in found.packages
    ]
    return PrefixState(
        prefix=Path("stubs"),
        installed=tuple(installed),
        distributions=tuple(distributions.values()),
        python=found.target.python,
        site_packages="site",
    )


def is_told(finding: Finding, state: PrefixState, target: Target, names: NameMap) -> bool:
    """Return whether `why` says of the finding's package that it lacks this requirement."""
    reasons = why(state, target, names, finding.stub.record.name).packages
    return any(f"`{finding.requirement}`" in sentence for reason in reasons for sentence in reason.left_out)


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
    virtual = tuple((name, version, "0") for name, version in oracle.VIRTUAL.items())
    port = Frozen(universe, metadata)
    catalog = Catalog(
        port,
        port,
        Target(subdir="linux-64", virtual_packages=virtual),
        NameMap(universe.names, "frozen"),
        Options(patience=math.inf),
    )
    counts: Counter[str] = Counter()
    examples: dict[str, Counter[str]] = defaultdict(Counter)
    for line in oracle.read_zst(data / "mixed" / "requests.jsonl.zst").splitlines()[: arguments.requests]:
        request = json.loads(line)
        conda = [algebra.conda_requirement(text) for text in request["conda"]]
        asked = (*conda, *map(algebra.parse_pypi, request["pypi"]))
        found = resolve(SolveRequest(requirements=asked), catalog)
        present = stubs(found, metadata_of(port))
        counts["environments"] += 1
        counts["distributions"] += len(present)
        counts["without METADATA"] += sum(not stub.has_metadata for stub in present.values())
        for finding in findings(present, found.target.marker_environment()):
            kind = blame(finding, catalog, {canonicalize_name(each.name) for each in conda})
            kind = reason(finding, port) if kind == "conda" else kind
            kind = kind if kind in MUST_BE_NONE or kind == "named" else f"conda, {kind}"
            counts[kind] += 1
            if kind not in MUST_BE_NONE:
                counts["told"] += is_told(finding, environment(found, present), found.target, catalog.names)
            state = "is missing" if finding.found is None else f"is {finding.found}"
            record = finding.stub.record
            examples[kind][f"{record.name} {record.version} requires {finding.requirement}: {state}"] += 1
    counts["unexplained"] = sum(counts[kind] for kind in MUST_BE_NONE)
    if arguments.json:
        print(json.dumps({"counts": counts, "findings": examples}, indent=2))
    else:
        print(", ".join(f"{count} {kind}" for kind, count in counts.items()))
        for kind, texts in examples.items():
            for text, count in texts.most_common(12):
                print(f"{kind:17} {count:4} x {text}")
    sys.stdout.flush()
    os._exit(0)  # an interpreter that used rattler may abort while it finalises


if __name__ == "__main__":
    main()

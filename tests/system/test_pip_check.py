"""Environments in which `pip check` finds nothing that pip alone would not find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from bridge.requirements import algebra
from bridge.resolve import Catalog, Options, SolveRequest, resolve
from bridge.resolve.candidates.halves import wholes
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.target import Target
from tests.support.builders import make_conda, make_repodata, make_wheel, metadata_text
from tests.support.command_line import Bridge
from tests.support.pip_check import findings, stubs

EACH = 24  # of the frozen requests; benchmarks/pip_check.py takes all
NEEDS = ("leaf>=1", "writer>=1", "reader")
ODD = {  # what METADATA of `odd` requires and what `why` says: each a kind of `benchmarks/pip_check.py`
    "leaf<1": "but leaf 1.0 of conda:leaf-1.0-0 is installed: the conda record of odd allows that: `leaf >=1,<2`",
    "loose>=2": "but loose 1.0 of conda:loose-1.0-0 is installed: the conda record of odd allows that: `loose`",
    "tool": (
        "but that is not installed: the conda record of odd requires the conda package `tool >=1`, not known as that"
        " project"
    ),
    "vendored==12.8": "but that is not installed: the conda record of odd leaves it out",
}
SITE = "site-packages"


def stub(channel: Path, name: str, version: str, project: str, *requires: str, depends: tuple[str, ...] = ()) -> None:
    """A conda package with nothing but the dist-info of a project."""
    info = f"{SITE}/{project}-{version}.dist-info"
    text = metadata_text(project, version, requires=requires)
    files = {f"{info}/METADATA": text, f"{info}/INSTALLER": b"conda\n"}
    make_conda(channel, name, version, noarch="python", depends=["python", *depends], files=files)


@pytest.mark.slow
@pytest.mark.parametrize("words", [("-r", "requirements.txt"), ("pypi:user",), ("pypi:user", "geo-base", "odd")])
def test_a_created_environment_passes_pip_check(tmp_path: Path, words: tuple[str, ...]) -> None:
    channel = tmp_path / "channel"
    for leaf in ("leaf", "writer", "reader", "loose"):
        stub(channel, leaf, "1.0", leaf)
    stub(channel, "geo-base", "1.1", "geo", *NEEDS, depends=("leaf",))
    stub(channel, "odd", "1.0", "odd", *ODD, depends=("leaf >=1,<2", "tool >=1", "loose"))
    make_conda(channel, "tool", "1.0", files={})
    make_conda(channel, "geo", "1.1", noarch="generic", depends=["geo-base 1.1 0", "writer", "reader"], files={})
    make_repodata(channel)
    make_wheel(tmp_path / "wheels", "geo", "1.1", requires=NEEDS)
    make_wheel(tmp_path / "wheels", "user", "1.0", requires=["geo>=1"])
    (tmp_path / "requirements.txt").write_text("geo\n")
    (tmp_path / "names.json").write_text(json.dumps({"geo": ["geo"], "geo-base": ["geo"]}))
    bridge, prefix = Bridge.of_folder(tmp_path), tmp_path / "env"
    channels = ("-c", channel, "-c", "host", "--name-map", "names.json")
    done = bridge("create", "-p", prefix, *words, *channels)
    assert done.status == 0, done.err
    checked = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(prefix / "bin/python"), "check"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "geo-base" in words:  # The user asks for the slim package by name, so its packagers' choice holds.
        assert "geo 1.1 requires writer, which is not installed" in checked.stdout
        said = bridge("why", "geo-base", "-p", prefix)
        assert (
            "METADATA requires `writer>=1`, but that is not installed: the conda record of geo-base leaves it out"
            in said.out
        )
        assert all(need in checked.stdout for need in ("odd 1.0 has requirement leaf<1", "requires vendored"))
        told = [f"METADATA requires `{need}`, {what}" for need, what in ODD.items()]
        (odd,) = bridge("why", "odd", "-p", prefix, "--json").document["packages"]
        assert odd["left_out"] == told
        said = bridge("why", "odd", "-p", prefix)
        assert all(sentence in said.out for sentence in told)
    else:
        assert checked.stdout == "No broken requirements found.\n", checked.stdout + checked.stderr


@pytest.mark.slow
@pytest.mark.shared
def test_solutions_of_real_requests_pass_pip_check(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(shared / "tools"))
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import check_solution as oracle  # type: ignore[import-not-found]
    from resolve_mixed import Frozen
    from serve_snapshot import metadata  # type: ignore[import-not-found]

    universe = oracle.Universe(shared / "data", "linux-64")
    port = Frozen(universe, metadata)
    target = Target(subdir="linux-64", virtual_packages=tuple((n, v, "0") for n, v in oracle.VIRTUAL.items()))
    catalog = Catalog(port, port, target, NameMap(universe.names, "frozen"), Options())

    def metadata_of(project: str, version: Version) -> CoreMetadata | None:
        files = (file for file in port.files(project) if algebra.pep440_version(file.version) == version)
        return next((port.metadata(file) for file in files if file.is_wheel), None)

    lines = oracle.read_zst(shared / "data/mixed/requests.jsonl.zst").splitlines()
    requests = [json.loads(line) for line in lines[::EACH]]
    requests += [{"conda": ["python"], "pypi": [name]} for name in ("geopandas", "panel", "pyarrow", "seaborn", "dask")]
    blamed = []
    for request in requests:
        asked = [*map(algebra.conda_requirement, request["conda"]), *map(algebra.parse_pypi, request["pypi"])]
        found = resolve(SolveRequest(requirements=tuple(asked)), catalog)
        for finding in findings(stubs(found, metadata_of), found.target.marker_environment()):
            record = finding.stub.record
            if record.ecosystem == "wheel" or wholes(catalog, finding.stub.project, record.name).get(record.version):
                blamed.append(f"{record.label} requires {finding.requirement}: {finding.found}")
    assert not blamed

"""Whole environments that conda, mamba and py-rattler made are changed like bridge's own, with pip's work in them.

They come from `../shared`; their python is a stand-in of shell scripts, everything else is genuine.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest
import zstandard

from tests.support.builders import install_distribution, make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.distributions import conda_records, seen_by_python

OLD, NEW = "lib/python3.12/site-packages", "lib/python3.13/site-packages"
OWN = {"pip", "setuptools", "wheel"}

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def channel(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The genuine packages, python 3.13 in place of 3.12, and a pip that runs on it."""
    folder = tmp_path_factory.mktemp("world") / "channel"
    shutil.copytree(shared / "data/conda-world/genuine", folder)
    make_python(folder, "3.13")
    text = b"Metadata-Version: 2.1\nName: pip\nVersion: 26.0\n"
    files = {"site-packages/pip/__init__.py": b"", "site-packages/pip-26.0.dist-info/METADATA": text}
    make_conda(folder, "pip", "26.0", noarch="python", files=files)
    make_repodata(folder)
    return folder


@pytest.fixture(params=["conda-24.11", "conda-26.7", "mamba-2.8", "rattler-0.28"])
def root(request: pytest.FixtureRequest, shared: Path, tmp_path: Path) -> Path:
    packed = shared / "data/conda-world/prefixes" / f"{request.param}.tar.zst"
    with packed.open("rb") as stream:
        data = zstandard.ZstdDecompressor().stream_reader(stream).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(tmp_path / "envs", filter="tar")
    return next(path.parent for path in (tmp_path / "envs").rglob("conda-meta"))


@pytest.mark.slow
def test_wheels_and_a_new_python_come_into_it(root: Path, channel: Path, tmp_path: Path) -> None:
    bridge = Bridge.of_folder(tmp_path)

    def done(command: str, *words: object) -> Ran:
        ran = bridge(command, "-p", root, *words, environ={"BRIDGE_CHANNEL": ""})
        assert ran.status == 0, ran.err
        return ran

    records = conda_records(root)
    install_distribution(root, OLD, "needed", "2.5", requires=["unmet"])
    # Its own channel is gone, which blocks neither a wheel nor what only reads.
    done("install", make_wheel(tmp_path, "extra", "1.0", requires=["needed>=2"]))
    assert seen_by_python(root / OLD).keys() == {*OWN, "needed", "extra"}
    assert conda_records(root).keys() - records.keys() == {"extra"}
    done("why", "needed")
    assert "pip:needed-2.5" in done("owner", f"{OLD}/needed/__init__.py").out
    refused = bridge("install", "-p", root, "-c", channel, "python=3.13")
    assert refused.status == 6
    assert "pip:needed-2.5" in refused.err
    done("adopt", "needed")
    done("remove", "extra", "needed")
    assert conda_records(root) == records
    done("install", "-c", channel, "python=3.13")
    assert seen_by_python(root / NEW) == {"pip": ["26.0"], "setuptools": ["80.9.0"], "wheel": ["0.45.1"]}
    assert not (root / OLD).exists()
    assert conda_records(root).keys() == records.keys()

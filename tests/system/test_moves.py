"""Moves between ecosystems: whatever the way, the environment ends as one that was made so at once.

MUST: after wheel → conda, conda → wheel, one package → several distributions and back, and after another python, the
tree is exactly that of a fresh install of the same packages: no file more, none less, none other.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_python, make_repodata, make_wheel, metadata_text, tree_digest
from tests.support.command_line import Bridge

SITE = "lib/python3.11/site-packages"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel with two pythons (scripts that start this one), `demo`, and `suite` that carries `left` and `right`."""
    folder = tmp_path_factory.mktemp("packages")
    channel, wheels = folder / "channel", folder / "wheels"
    for minor in ("3.11", "3.12"):
        make_python(channel, minor)
    common = {"demo/__init__.py": b"def main(): pass\n", "demo/sub/same.py": b"X = 1\n"}
    conda = common | {"demo/only_conda.py": b"", "demo/kind.py": b""}
    noarch(channel, "demo", conda, ["demo"], entry_points=["demo = demo:main"])
    wheel = common | {"demo/only_wheel.py": b"", "demo/kind/__init__.py": b""}
    make_wheel(wheels, "demo", "1.0", files=wheel, console_scripts={"demo": "demo:main", "demo-too": "demo:main"})
    sides = {name: {f"{name}/__init__.py": b"SIDE = 1\n", "share_of_both.txt": b"both"} for name in ("left", "right")}
    noarch(channel, "suite", sides["left"] | sides["right"], ["left", "right"])
    for name, files in sides.items():
        make_wheel(wheels, name, "1.0", files=files)
    make_repodata(channel)
    (folder / "names.json").write_text(json.dumps({"demo": ["demo"], "suite": ["left", "right"], "python": None}))
    return folder


def noarch(
    channel: Path, name: str, files: dict[str, bytes], projects: list[str], entry_points: list[str] | None = None
) -> None:
    """A noarch package that carries projects: each has its dist-info."""
    found = {f"site-packages/{path}": data for path, data in files.items()}
    for project in projects:
        info = f"site-packages/{project}-1.0.dist-info"
        found |= {f"{info}/METADATA": metadata_text(project, "1.0"), f"{info}/INSTALLER": b"conda\n"}
    make_conda(channel, name, "1.0", noarch="python", files=found, entry_points=entry_points or [], depends=["python"])


@pytest.fixture
def bridge(packages: Path, tmp_path: Path) -> Bridge:
    same = {"BRIDGE_NOW": "1500000000", "SOURCE_DATE_EPOCH": "1500000000"}
    names = str(packages / "names.json")
    return Bridge.of_folder(tmp_path, packages, BRIDGE_NAME_MAP=names, BRIDGE_COMPILE="1", **same)


def done(bridge: Bridge, *words: object) -> None:
    ran = bridge(*words)
    assert ran.status == 0, f"{words}: {ran.err}"


def tree(prefix: Path) -> dict[str, tuple[str, str]]:
    """The whole tree but what tells of the way: conda's history, and bridge's own folder."""
    told = ("conda-meta/history", "conda-meta/.bridge")
    return {path: state for path, state in tree_digest(prefix).items() if not path.startswith(told)}


WAYS = {
    "wheel to conda": (["pypi:demo"], [["conda:demo"]], ["conda:demo"]),
    "conda to wheel": (["conda:demo"], [["pypi:demo"]], ["pypi:demo"]),
    "there and back": (["pypi:demo"], [["conda:demo"], ["pypi:demo"]], ["pypi:demo"]),
    "one to several": (["conda:suite"], [["pypi:left", "pypi:right"]], ["pypi:left", "pypi:right"]),
    "several to one": (["pypi:left", "pypi:right"], [["conda:suite"]], ["conda:suite"]),
    "several to one and back": (
        ["pypi:left", "pypi:right"],
        [["conda:suite"], ["pypi:left", "pypi:right"]],
        ["pypi:left", "pypi:right"],
    ),
    "another python": (["pypi:demo", "conda:suite"], [["python=3.12"]], ["pypi:demo", "conda:suite"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_end_is_that_of_a_fresh_install(bridge: Bridge, tmp_path: Path, way: str) -> None:
    first, moves, last = WAYS[way]
    prefix = tmp_path / "env"
    python = "python=3.12" if way == "another python" else "python=3.11"
    done(bridge, "create", "-p", prefix, "python=3.11", *first)
    for move in moves:
        done(bridge, "install", "-p", prefix, *move)
    report = bridge("audit", "-p", prefix, "--json", "--fail-on", "never").document
    moved = tree(prefix)
    shutil.rmtree(prefix)
    done(bridge, "create", "-p", prefix, python, *last)
    assert moved == tree(prefix)
    fresh = bridge("audit", "-p", prefix, "--json", "--fail-on", "never").document
    assert report["findings"] == fresh["findings"]


def test_a_package_that_was_split_comes_back_whole(tmp_path: Path) -> None:
    """What only the newer version needed has the older one's files."""
    channel, bridge = tmp_path / "channel", Bridge.of_folder(tmp_path, tmp_path)
    make_conda(channel, "gdal", "3.8", noarch="generic", files={"lib/libgdal.so": b"3.8"})
    make_conda(channel, "gdal", "3.9", noarch="generic", depends=["gdal-core 3.9"])
    make_conda(channel, "gdal-core", "3.9", noarch="generic", files={"lib/libgdal.so": b"3.9"})
    make_repodata(channel)
    done(bridge, "create", "-p", "env", "-c", channel, "gdal")
    moved = bridge("install", "-p", "env", "-c", channel, "gdal=3.8")
    assert (moved.status, "gdal-core 3.9 goes" in moved.err) == (0, True), moved.err
    assert (tmp_path / "env/lib/libgdal.so").read_bytes() == b"3.8"
    done(bridge, "install", "-p", "env", "-c", channel, "gdal=3.9", "gdal-core")
    refused = bridge("install", "-p", "env", "-c", channel, "gdal=3.8")
    assert (refused.status, "gdal-core" in refused.err) == (4, True), refused.err


def test_one_more_part_of_a_namespace(tmp_path: Path, bridge: Bridge) -> None:
    """What is there declares the namespace for the part that comes alone."""
    declaration = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)"
    parts = []
    for name in ("one", "two"):
        files = {"ns/__init__.py": f"{declaration}  # {name}\n".encode(), f"ns/{name}.py": b"X = 1\n"}
        parts.append(make_wheel(tmp_path / "parts", name, "1.0", files=files))
    done(bridge, "create", "-p", "env", "python=3.11", parts[0])
    done(bridge, "install", "-p", "env", parts[1])
    assert (tmp_path / "env" / SITE / "ns/__init__.py").read_text() == f"{declaration}  # one\n"
    assert (tmp_path / "env" / SITE / "ns/two.py").exists()

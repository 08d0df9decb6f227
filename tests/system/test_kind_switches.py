"""A path of a package that is a directory in one version, and a link or a file in another: both ways, in one change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.builders import make_conda, make_repodata, tree_digest
from tests.support.command_line import Bridge

PYTHON = {"share/demo/data/mod.py": b"X = 1\n", "share/demo/data/sub/b.txt": b"b", "share/demo/x": b"x"}
# Version → files and links of the package `demo`. `data` is a directory, a link beside it or elsewhere, or a file.
VERSIONS: dict[str, tuple[dict[str, bytes], dict[str, str]]] = {
    "1.0": (PYTHON, {}),
    "2.0": ({path.replace("/data/", "/real/"): data for path, data in PYTHON.items()}, {"share/demo/data": "real"}),
    "3.0": ({"share/demo/data": b"a file", "share/demo/x": b"x"}, {}),
    "4.0": ({"share/demo/x": b"x"}, {"share/demo/data": "../other"}),
    "5.0": ({"share/demo/data/sub/deep/b.txt": b"b"}, {"share/demo/data/mod.py": "sub/deep"}),
    "6.0": ({"share/elsewhere/b.txt": b"b"}, {"share/demo": "elsewhere"}),
    "7.0": ({"share/demo/data/mod.py/inner.txt": b"deep"}, {}),
}
OTHER = {"share/other/mod.py": b"of other\n", "share/other/sub/b.txt": b"of other"}
WAYS = [
    way.split()
    for way in ("1.0 2.0", "2.0 1.0", "4.0 1.0", "1.0 6.0", "6.0 1.0", "2.0 7.0", "3.0 1.0", "5.0 7.0", "7.0 4.0")
]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    for version, (files, links) in VERSIONS.items():
        make_conda(folder / "channel", "demo", version, subdir="linux-64", noarch=None, files=files, links=links)
    make_conda(folder / "channel", "other", "1.0", files=OTHER)
    make_conda(folder / "channel", "guest", "1.0", files={"share/demo/data/guest.txt": b"guest"})
    make_repodata(folder / "channel")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, packages: Path) -> dict[str, Path]:
    """An environment of each version."""
    folder = tmp_path_factory.mktemp("made")
    bridge = Bridge.of_folder(folder, packages)
    for version in VERSIONS:
        assert bridge("create", "-p", folder / version, f"demo={version}", "other").status == 0
    return {version: folder / version for version in VERSIONS}


def tree(prefix: Path) -> dict[str, tuple[str, str]]:
    return {path: state for path, state in tree_digest(prefix).items() if not path.startswith("conda-meta/")}


@pytest.mark.parametrize(("old", "new"), WAYS)
def test_one_version_takes_the_place_of_the_other(
    packages: Path, made: dict[str, Path], tmp_path: Path, old: str, new: str
) -> None:
    bridge = Bridge.of_folder(tmp_path, packages)
    prefix = tmp_path / "env"
    shutil.copytree(made[old], prefix, symlinks=True)
    done = bridge("install", "-p", prefix, f"demo={new}", "--offline")
    assert done.status == 0, done.err
    assert tree(prefix) == tree(made[new])
    assert "kept" not in done.err
    assert bridge("audit", "-p", prefix, "--fail-on", "warning").status == 0


@pytest.mark.parametrize("new", ["2.0", "3.0", "4.0"])
@pytest.mark.parametrize("inside", ["of a user", "of another package"])
def test_what_others_have_in_the_directory_is_never_lost(
    packages: Path, made: dict[str, Path], tmp_path: Path, new: str, inside: str
) -> None:
    bridge = Bridge.of_folder(tmp_path, packages)
    prefix = tmp_path / "env"
    shutil.copytree(made["1.0"], prefix, symlinks=True)
    if inside == "of a user":
        (prefix / "share/demo/data/mine.txt").write_bytes(b"mine")
    else:
        assert bridge("install", "-p", prefix, "guest").status == 0
    before = tree(prefix)
    done = bridge("install", "-p", prefix, f"demo={new}")
    assert done.status == 4, done.err
    assert ("mine.txt" if inside == "of a user" else "guest") in done.err
    assert tree(prefix) == before


def test_bytecode_in_the_directory_goes_with_its_modules(packages: Path, made: dict[str, Path], tmp_path: Path) -> None:
    bridge = Bridge.of_folder(tmp_path, packages)
    prefix = tmp_path / "env"
    shutil.copytree(made["1.0"], prefix, symlinks=True)
    cache = prefix / "share/demo/data/__pycache__"
    cache.mkdir()
    (cache / "mod.cpython-312.pyc").write_bytes(b"compiled")
    done = bridge("install", "-p", prefix, "demo=2.0")
    assert done.status == 0, done.err
    assert tree(prefix) == tree(made["2.0"])


def test_a_link_that_a_user_made_into_a_directory_is_not_taken_for_the_link(
    packages: Path, made: dict[str, Path], tmp_path: Path
) -> None:
    bridge = Bridge.of_folder(tmp_path, packages)
    prefix = tmp_path / "env"
    shutil.copytree(made["2.0"], prefix, symlinks=True)
    (prefix / "share/demo/data").unlink()
    (prefix / "share/demo/data").mkdir()
    (prefix / "share/demo/data/mod.py").write_bytes(b"mine")
    before = tree(prefix)
    done = bridge("install", "-p", prefix, "demo=1.0")
    assert done.status == 4, done.err
    assert tree(prefix) == before

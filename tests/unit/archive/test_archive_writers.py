"""Packages of each builder and time are installed as rattler installs them: generated and public ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge.archive.conda import check_conda
from tests.support.archive_trees import Trees, archives
from tests.support.archive_writers import KINDS, WRITERS

REMARKS = {
    "conda-package-handling 1.7, empty metadata.json": {"empty-metadata"},
    "conda-package-handling 2.0, 2022": {"info-in-package-tar"},
    "conda-package-handling 2.3, 2024": {"info-in-package-tar"},
    "rattler-build 0.21 to 0.28, 2024": {"idle-zip64-field"},
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    return Trees(tmp_path_factory.mktemp("trees"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_a_package_is_installed_whoever_wrote_it(writer: str, kind: str, trees: Trees, tmp_path: Path) -> None:
    suffix, write = WRITERS[writer]
    package = KINDS[kind](hard="conda-build" in writer)
    path = tmp_path / "channel" / str(package.index["subdir"]) / f"{package.stem}{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(write(package))
    manifest = check_conda(path)
    assert sorted(entry.path for entry in manifest.paths) == package.paths()
    assert {entry.path: entry.file_mode for entry in manifest.paths if entry.file_mode} == package.placeholders
    assert {caution.id for caution in manifest.cautions} - {"unhashed"} == REMARKS.get(writer, set())
    assert trees.differences(path) == ([], True)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(("folder", "least"), [("genuine", 24), ("archives", 60)])
def test_public_packages_are_installed_as_rattler_installs_them(
    folder: str, least: int, shared: Path, trees: Trees
) -> None:
    place = shared / "data" / "conda-world" / folder
    if not place.is_dir():
        pytest.skip(f"the frozen data has no {place.name}/")
    odd, installed = [], 0
    for archive in archives(place):
        found, is_installed = trees.differences(archive)
        odd += [f"{os.path.relpath(archive, place)}: {line}" for line in found]
        installed += is_installed
    assert odd == []
    assert installed >= least

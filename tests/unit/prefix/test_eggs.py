"""Eggs, which python finds by a `.pth`: known, counted as what meets a need, and never installed over."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from bridge import prefix
from bridge.audit.run import audit
from bridge.model import Distribution
from bridge.prefix import distinfo
from converters.names import NameMap
from converters.target import Target
from tests.support.builders import install_distribution, install_record
from tests.support.environments import SITE, Environment

TARGET = Target(subdir="linux-64", virtual_packages=(("__glibc", "2.36", "0"), ("__unix", "0", "0")))
METADATA = "Metadata-Version: 1.2\nName: eggy\nVersion: 1.5\n"
REQUIRES = "first>=1\n\n[extra]\nsecond\n\n[:python_version<'3']\nthird\n\n[other:os_name=='nt']\nfourth\n"
FOLDER, LINK = f"{SITE}/eggy-1.5-py3.11.egg", f"{SITE}/eggy.egg-link"


def named(root: Path, line: str) -> None:
    (root / SITE / "easy-install.pth").write_text(f"import sys; sys.__plen = len(sys.path)\n# a comment\n{line}\n")


def make_folder(root: Path) -> str:
    for path, text in {
        "EGG-INFO/PKG-INFO": METADATA,
        "EGG-INFO/requires.txt": REQUIRES,
        "eggy/__init__.py": "",
        "eggy/__pycache__/__init__.cpython-311.pyc": "",
    }.items():
        (root / FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (root / FOLDER / path).write_text(text)
    named(root, "./eggy-1.5-py3.11.egg")
    return FOLDER


def make_zip(root: Path) -> str:
    with zipfile.ZipFile(root / FOLDER, "w") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", METADATA)
        archive.writestr("EGG-INFO/requires.txt", REQUIRES)
    named(root, str(root / FOLDER))
    return FOLDER


def make_link(root: Path) -> str:
    source = root.parent / "source"
    (source / "eggy.egg-info").mkdir(parents=True)
    (source / "eggy.egg-info/PKG-INFO").write_text(METADATA)
    (source / "eggy.egg-info/requires.txt").write_text(REQUIRES)
    (root / LINK).write_text(f"{source}\n.")
    named(root, str(source))
    return LINK


MAKERS = {"a folder": make_folder, "a zip": make_zip, "a working copy": make_link}


def distributions(root: Path) -> dict[str, Distribution]:
    return {each.path: each for each in prefix.read(root).distributions}


@pytest.mark.parametrize("kind", MAKERS)
def test_an_egg_is_a_distribution(tmp_path: Path, kind: str) -> None:
    environment = Environment(tmp_path / "env")
    path = MAKERS[kind](environment.root)
    (found,) = distributions(environment.root).values()
    assert (found.path, found.name, found.version) == (path, "eggy", "1.5")
    assert found.requires_dist == (
        "first>=1",
        'second ; extra == "extra"',
        "third ; python_version<'3'",
        "fourth ; (os_name=='nt') and extra == \"other\"",
    )
    assert found.entries is not None
    expected = [path]
    if kind == "a folder":
        expected = [f"{FOLDER}/{name}" for name in ("EGG-INFO/PKG-INFO", "EGG-INFO/requires.txt", "eggy/__init__.py")]
    assert [entry.path for entry in found.entries] == expected
    assert (found.direct_url is not None) == (kind == "a working copy")


@pytest.mark.parametrize("kind", MAKERS)
def test_a_need_is_met_by_an_egg_and_nothing_is_nobody_s(tmp_path: Path, kind: str) -> None:
    environment = Environment(tmp_path / "env")
    install_distribution(environment.root, SITE, "needy", "1.0", requires=["eggy>=1"])
    path = MAKERS[kind](environment.root)
    report = audit(environment.root, TARGET, NameMap.empty(), jobs=1)
    told = {(each.id, each.package, each.path) for each in report.findings if (each.path or "").startswith(SITE)}
    assert ("unmanaged-distribution", "eggy", path) in told
    assert not any(name == "unowned-file" for name, _, _ in told)
    needs = [each for each in report.findings if each.id == "unmet-requirement"]
    assert {each.package for each in needs} == {"eggy"}, (
        "first is missing, as requires.txt says; needy has what it needs"
    )


@pytest.mark.parametrize("kind", ["a folder", "a zip"])
def test_what_no_pth_names_is_no_distribution(tmp_path: Path, kind: str) -> None:
    """Python does not find it."""
    environment = Environment(tmp_path / "env")
    MAKERS[kind](environment.root)
    for path in (environment.root / SITE).glob("*.pth"):
        path.write_text("# ./eggy-1.5-py3.11.egg\n")
    assert distributions(environment.root) == {}


def test_an_egg_that_a_conda_package_brought_is_its_own(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    files = {f"{FOLDER}/EGG-INFO/PKG-INFO": METADATA.encode(), f"{SITE}/eggy.pth": b"./eggy-1.5-py3.11.egg\n"}
    install_record(environment.root, "python-eggy", "1.5", files=files)
    package = next(each for each in environment.state.installed if each.record.name == "python-eggy")
    assert package.record.pypi_names == ("eggy",)
    report = audit(environment.root, TARGET, NameMap.empty(), jobs=1)
    assert "unmanaged-distribution" not in {each.id for each in report.findings}


@pytest.mark.parametrize("data", [b"", b"PK\5\6 no zip", b"\0" * 200])
def test_a_damaged_egg_is_a_defect(tmp_path: Path, data: bytes) -> None:
    environment = Environment(tmp_path / "env")
    (environment.root / FOLDER).write_bytes(data)
    named(environment.root, "./eggy-1.5-py3.11.egg")
    state = environment.state
    assert state.distributions == ()
    assert [(each.id, each.path) for each in state.defects] == [("broken-record", FOLDER)]


def test_a_link_to_a_working_copy_that_is_gone_is_a_defect(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    make_link(environment.root)
    (tmp_path / "source/eggy.egg-info/PKG-INFO").unlink()
    assert [each.path for each in environment.state.defects] == [LINK]


def test_nothing_that_is_no_file_is_read(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    make_folder(environment.root)
    (environment.root / FOLDER / "EGG-INFO/PKG-INFO").unlink()
    os.mkfifo(environment.root / FOLDER / "EGG-INFO/PKG-INFO")
    os.mkfifo(environment.root / SITE / "pipe.pth")
    os.mkfifo(environment.root / SITE / "pipe.egg-link")
    assert [each.path for each in environment.state.defects] == [FOLDER]


def test_the_requirements_of_an_old_egg_info_are_in_requires_txt(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    info = environment.root / SITE / "old-1.0-py3.11.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1.0\n")
    (info / "requires.txt").write_text("eggy>=2\n# a comment\n")
    (found,) = environment.state.distributions
    assert found.requires_dist == ("eggy>=2",)


def test_a_requires_txt_without_sections_is_a_list() -> None:
    assert distinfo.parse_requires(b"a\r\nb>1\r\n\r\n") == ("a", "b>1")
    assert distinfo.parse_requires(b"") == ()

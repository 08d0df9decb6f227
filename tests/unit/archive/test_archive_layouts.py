"""Layouts that real packages have and that CEP 34 and CEP 35 do not foresee: accepted, remarked, and installed.

The hostile siblings of each are in `test_archive_tar.py` and `test_archive_zip.py`.
"""

from __future__ import annotations

from pathlib import Path

import conda_package_streaming.extract as streaming
import pytest
from rattler.package_streaming import extract as rattler_extract

from bridge.archive.conda import CondaManifest, check_conda
from bridge.convert.channel_index import write_index
from converters.errors import BridgeError
from tests.support.command_line import Bridge
from tests.support.hostile import (
    Conda,
    Entry,
    assert_refused,
    gnu_long,
    pax,
    symlink,
    tar_file,
    tar_header,
    zip64_extra,
)

DEMO = "lib/demo.txt"
FILE = tar_file(DEMO)
LICENCES = [
    tar_header("info/licenses/", kind=b"5"),
    tar_file("info/licenses/LICENSE", b"text"),
    tar_file("info/.DS_Store", b""),
]


def judged(folder: Path, data: bytes, name: str = "demo-1.0-0.conda") -> CondaManifest:
    """What `check_conda` finds; both other readers must unpack the archive too."""
    path = folder / name
    path.write_bytes(data)
    manifest = check_conda(path)
    rattler_extract(path, folder / "rattler")
    streaming.extract(str(path), dest_dir=str(folder / "streaming"))
    assert (folder / "rattler" / DEMO).read_bytes() == (folder / "streaming" / DEMO).read_bytes() == b"content\n"
    return manifest


def remarks(manifest: CondaManifest) -> list[tuple[str, str]]:
    return [(caution.id, caution.path) for caution in manifest.cautions]


def test_licences_in_the_package_tar_belong_to_its_info(tmp_path: Path) -> None:
    """conda-build until mid 2026 (conda-build #5956, conda-package-handling #316)."""
    manifest = judged(tmp_path, Conda(payload=[*LICENCES, FILE]).build())
    assert [path.path for path in manifest.paths] == [DEMO]
    assert remarks(manifest) == [("info-in-package-tar", "info/licenses/LICENSE")]


def test_licences_in_both_tars_are_accepted_where_the_names_differ(tmp_path: Path) -> None:
    info = {"LICENSE.txt": b"x", "licenses/OTHER": b"x"}
    manifest = judged(tmp_path, Conda(payload=[*LICENCES, FILE], info=info).build())
    assert [path.path for path in manifest.paths] == [DEMO]


def zip64(*values: int, local: bool = False) -> Conda:
    """A package whose zip headers have a zip64 field that no value refers to."""
    extra = zip64_extra(*values)

    def members(parts: dict[str, bytes]) -> list[Entry]:
        return [
            Entry(name=name, data=data, method=0, central_extra=extra, local_extra=extra if local else b"")
            for name, data in parts.items()
        ]

    return Conda(members=members)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("local", [False, True])
def test_a_zip64_field_of_zeros_that_nothing_refers_to_is_passed_over(count: int, local: bool, tmp_path: Path) -> None:
    """rattler-build 0.21 to 0.28.1; APPNOTE 4.5.3: the field is read where a value of the header is all ones."""
    manifest = judged(tmp_path, zip64(*[0] * count, local=local).build())
    assert remarks(manifest) == [("idle-zip64-field", "metadata.json")]


@pytest.mark.parametrize("values", [(0, 1), (1, 0), (0, 0, 0, 0)])
def test_any_other_zip64_field_that_contradicts_is_refused(values: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0-0.conda"
    path.write_bytes(zip64(*values).build())
    with pytest.raises(BridgeError) as caught:
        check_conda(path)
    assert_refused(caught.value, "zip-zip64")


@pytest.mark.parametrize("name", ["demo-1.0-0.conda", "demo-1.0-0.tar.bz2"])
@pytest.mark.parametrize("lists", ["paths.json", "files"])
def test_what_the_package_does_not_list_is_not_installed(name: str, lists: str, tmp_path: Path) -> None:
    """As conda, mamba and rattler have it: they link what paths.json lists, else `info/files`."""
    package = Conda(payload=[FILE, tar_file("lib/extra"), symlink("lib/other", "extra"), tar_file(".DS_Store")])
    if lists == "files":
        package.info = {"paths.json": None, "files": DEMO.encode()}
    manifest = judged(tmp_path, package.build() if name.endswith(".conda") else package.build_bz2(), name)
    assert [path.path for path in manifest.paths] == [DEMO]
    assert remarks(manifest) == [("unlisted-member", path) for path in ("lib/extra", "lib/other", ".DS_Store")]


def test_an_unlisted_link_script_is_none(tmp_path: Path) -> None:
    package = Conda(payload=[FILE, tar_file("bin/.demo-post-link.sh")])
    assert judged(tmp_path, package.build()).link_scripts == ()


def test_names_below_info_may_be_longer(tmp_path: Path) -> None:
    """rattler-build packs the folder of a recipe, with the builds that lie in it."""
    long = "info/recipe/" + "/".join(["output"] * 150) + "/" + "p" * 250
    package = Conda(info_members=[gnu_long(long), tar_file("info/recipe/x"), pax(("path", f"{long}2")), tar_file("y")])
    assert judged(tmp_path, package.build()).cautions == ()


@pytest.mark.parametrize(
    "name",
    ["info/" + "a/" * 256 + "x", "info/" + "/".join(["a" * 250] * 13), "info/" + "a" * 256, "lib/" + "a/" * 64 + "x"],
)
def test_names_that_are_longer_still_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0-0.tar.bz2"
    path.write_bytes(Conda(info_members=[gnu_long(name), tar_file("x")]).build_bz2())
    with pytest.raises(BridgeError) as caught:
        check_conda(path)
    assert_refused(caught.value, "limit-name")


def test_few_names_may_be_as_long(tmp_path: Path) -> None:
    """Every folder of a name is held in memory: what a few may do, 200,000 may not."""
    deep = "info/" + "a/" * 200
    members = [part for number in range(257) for part in (gnu_long(f"{deep}{number}"), tar_file("x"))]
    path = tmp_path / "demo-1.0-0.tar.bz2"
    path.write_bytes(Conda(info_members=members).build_bz2())
    with pytest.raises(BridgeError) as caught:
        check_conda(path)
    assert_refused(caught.value, "limit-name")


@pytest.mark.parametrize("name", ["demo-1.0-0_copy.tar.bz2", "other-2.0-py_1.tar.bz2"])
def test_a_renamed_tar_bz2_is_what_its_index_says(name: str, tmp_path: Path) -> None:
    manifest = judged(tmp_path, Conda().build_bz2(), name)
    assert manifest.index["name"] == "demo"
    assert remarks(manifest) == [("misnamed-archive", "info/index.json")]


@pytest.mark.parametrize("identity", [{"name": "../../x"}, {"build": "0/1"}, {"version": ""}, {"name": "a\x1bb"}])
def test_a_renamed_tar_bz2_has_a_name_that_a_file_can_have(identity: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0-0_copy.tar.bz2"
    path.write_bytes(Conda(index=identity).build_bz2())
    with pytest.raises(BridgeError) as caught:
        check_conda(path)
    assert_refused(caught.value, "conda-layout")


def test_what_was_tolerated_is_told_with_v(tmp_path: Path) -> None:
    package = Conda(payload=[*LICENCES, FILE, tar_file("lib/a"), tar_file("lib/b")])
    archive = tmp_path / "channel" / "noarch" / "demo-1.0-0.conda"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(package.build())
    write_index(tmp_path / "channel")
    bridge = Bridge.of_folder(tmp_path)
    for name, words in (("quiet", ()), ("verbose", ("-v",))):
        done = bridge("create", "-p", tmp_path / name, "demo", *words)
        assert done.status == 0, done.err
        said = " ".join(done.err.split())
        unlisted = "unlisted-member: the package does not list it: not installed (lib/a, and 1 more)"
        assert (unlisted in said) == ("info-in-package-tar: metadata in the package tar" in said) == bool(words)
        assert not (tmp_path / name / "lib" / "a").exists()
        assert not (tmp_path / name / "info").exists()
        audited = bridge("audit", "-p", tmp_path / name, "--json", "--fail-on", "warning")
        assert audited.status == 0
        assert [(found["id"], found["level"]) for found in audited.document["findings"]] == [
            ("tolerated-archive", "info")
        ]
        assert "lib/a, and 1 more" in audited.document["findings"][0]["evidence"]


def test_an_old_layout_is_no_finding(tmp_path: Path) -> None:
    archive = tmp_path / "channel" / "noarch" / "demo-1.0-0.conda"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(Conda(payload=[*LICENCES, FILE]).build())
    write_index(tmp_path / "channel")
    bridge = Bridge.of_folder(tmp_path)
    assert bridge("create", "-p", tmp_path / "env", "demo").status == 0
    assert bridge("audit", "-p", tmp_path / "env", "--json").document["findings"] == []

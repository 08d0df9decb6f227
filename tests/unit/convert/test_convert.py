"""Wheels become conda packages: their records, their files, and that a stock installer can use them."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from bridge.archive.conda import check_conda
from bridge.channels.host import HostChannel
from bridge.convert.channel_index import write_index
from bridge.convert.wheel import ConvertedPackage, Format, convert_wheel
from bridge.errors import IntegrityError, UnsafeInputError
from converters.metadata import CoreMetadata
from converters.names import NameMap
from converters.target import Python, Target
from converters.wheel import WheelInfo
from tests.support.builders import make_conda, make_wheel
from tests.support.conversion_cases import CASES, build_case
from tests.support.converted import convert_for

LINUX = Target(subdir="linux-64", python=Python(version="3.12.4"))
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = Target(subdir="linux-64", python=Python(version=f"{MINOR}.{sys.version_info.micro}"))


def lookup(project: str, specifier: SpecifierSet) -> CoreMetadata | None:
    if project != "requests":
        return None
    requires = ("PySocks>=1.5.6,!=1.5.7; extra == 'socks'",)
    return CoreMetadata(name="requests", version="2.32.3", requires_dist=requires, provides_extra=("socks",))


def convert_case(folder: Path, case: str, target: Target | None = LINUX, **options: Any) -> ConvertedPackage:  # noqa: ANN401
    changes = options.pop("changes", {})
    wheel = build_case(folder / "wheels", case, **changes)
    defaults: dict[str, Any] = {"names": NameMap.empty(), "lookup": lookup, "level": 1}
    return convert_for(wheel, folder / "out", target, **(defaults | options))


def index_of(package: ConvertedPackage) -> Mapping[str, Any]:
    """index.json as it is in the archive; reading it also judges the whole package."""
    return check_conda(package.path).index


def paths_of(package: ConvertedPackage) -> list[str]:
    return [path.path for path in check_conda(package.path).paths]


@pytest.mark.parametrize(
    ("case", "target", "kind", "depends"),
    [
        (
            "markers",
            LINUX,
            ("noarch", "python", "unix_py311h"),
            [
                "python >=3.11,<3.13dev0",
                "__unix",
                "requests >=2",
                "pysocks >=1.5.6,!=1.5.7",
                "bar ==1.0",
                "baz 1.2.*",
                "qux >=1.4.5.post1,<1.5dev0|>=1.4.5.0.0.1dev0,<1.4.5.post0.dev0,<1.5dev0",
                "lc ==1.0+local",
            ],
        ),
        (
            "compiled",
            LINUX,
            ("linux-64", None, "py312h"),
            ["python >=3.12,<3.13dev0", "python_abi 3.12.* *_cp312", "__glibc >=2.28", "numpy"],
        ),
        # A cp312 wheel is for python 3.12, whatever python the target has.
        (
            "compiled",
            Target(subdir="linux-64", python=Python(version="3.10.1")),
            ("linux-64", None, "py312h"),
            ["python >=3.12,<3.13dev0", "python_abi 3.12.* *_cp312", "__glibc >=2.28", "numpy"],
        ),
        (
            "abi3",
            LINUX,
            ("linux-64", "python", "pyh"),
            ["python >=3.9", "__glibc >=2.17", "python_abi * *_cp*"],
        ),
        (
            "univ2",
            Target(subdir="osx-64"),
            ("osx-64", None, "py312h"),
            ["python >=3.12,<3.13dev0", "python_abi 3.12.* *_cp312", "__osx >=10.13"],
        ),
        (
            "univ2",
            Target(subdir="osx-arm64"),
            ("osx-arm64", None, "py312h"),
            ["python >=3.12,<3.13dev0", "python_abi 3.12.* *_cp312", "__osx >=11.0"],
        ),
        (
            "t313",
            LINUX,
            ("linux-64", None, "py313th"),
            ["python >=3.13,<3.14dev0", "python_abi 3.13.* *_cp313t", "__glibc >=2.28"],
        ),
        ("tool", LINUX, ("linux-64", "python", "pyh"), ["python >=3.8", "__glibc >=2.17"]),
        ("ep", None, ("noarch", "python", "pyh"), ["python >=3.0"]),
        ("data", None, ("noarch", "python", "pyh"), ["python >=3.8"]),
        (
            "headers",
            LINUX,
            ("noarch", "generic", "unix_py312h"),
            ["python >=3.12,<3.13dev0", "__unix", "python_abi 3.12.* *_cp312"],
        ),
        ("headers", Target(subdir="win-64"), ("noarch", "python", "win_pyh"), ["python >=3.8", "__win"]),
        ("carrying", LINUX, ("linux-64", "python", "pyh"), ["python >=3.8"]),
        ("bundle", None, ("noarch", "python", "pyh"), ["python >=3.8"]),
        ("py2", None, ("noarch", "python", "pyh"), ["python >=3.0"]),
        ("junk", None, ("noarch", "python", "pyh"), ["python >=3.8"]),
    ],
)
def test_the_record(
    tmp_path: Path,
    case: str,
    target: Target | None,
    kind: tuple[str, str | None, str],
    depends: list[str],
) -> None:
    subdir, noarch, build = kind
    package = convert_case(tmp_path, case, target)
    index = index_of(package)
    assert package.path.parent.name == index["subdir"] == subdir
    assert index.get("noarch") == noarch
    assert index["build"].startswith(build)
    assert index["depends"] == depends
    assert package.path.name == f"{index['name']}-{index['version']}-{index['build']}.conda"


@pytest.mark.parametrize(
    ("case", "error_id", "says"),
    [
        ("direct", "requirement-untranslatable", "requires one file by URL"),
        ("abi3-musl", "wheel-tag", "musl"),
        ("univ2", "wheel-tag", "runs on osx-64, osx-arm64, not on linux-64"),
        ("interpreter", "reserved-path", "bin/python3.12"),
        ("records", "reserved-path", "conda-meta"),
        ("info", "reserved-path", "info/index.json"),
        ("library", "reserved-path", "lib/libssl.so.3"),
        ("activation", "reserved-path", "etc/conda"),
        ("link-script", "reserved-path", "post-link"),
        ("command", "reserved-path", "bin/python3"),
        ("folder", "path-collision", "bin/fo both a file and a directory"),
        ("long", "package-name", "nnnn"),
    ],
)
def test_what_cannot_be_converted_is_refused_and_nothing_is_written(
    tmp_path: Path, case: str, error_id: str, says: str
) -> None:
    with pytest.raises(UnsafeInputError, match=says) as caught:
        convert_case(tmp_path, case)
    assert (caught.value.id, caught.value.exit_code) == (error_id, 3)
    assert not list(tmp_path.glob("out/**/*.*"))


@pytest.mark.parametrize(
    ("case", "target", "says"),
    [
        ("markers", LINUX, "the requirements of requests[socks] were taken from requests 2.32.3"),
        ("abi3", LINUX, "every python >=3.9 with a GIL"),
        ("ep", None, "graphical commands become console commands"),
        ("carrying", LINUX, "native code for Linux although it is tagged for any platform: carry/lib/x.so"),
        ("bundle", None, "native code for Linux, Windows"),
        ("junk", None, "README.md is at the top of site-packages"),
        ("pth", None, "pt.pth is read by python at every start"),
        ("cache", None, "1 compiled modules (.pyc) were left out"),
    ],
)  # fmt: skip
def test_what_a_person_should_know_is_noted(tmp_path: Path, case: str, target: Target | None, says: str) -> None:
    assert any(says in note.text for note in convert_case(tmp_path, case, target).notes)


def test_an_ordinary_wheel_has_no_notes(tmp_path: Path) -> None:
    assert convert_case(tmp_path, "data", None).notes == ()


def test_extras_are_groups_of_index_json(tmp_path: Path) -> None:
    package = convert_case(tmp_path, "markers")
    assert index_of(package)["extra_depends"] == {"fast": ["numpy"], "dev-test": ["foo"], "old-stuff": []}
    assert package.record.extras == ("fast", "dev-test", "old-stuff")


def test_unknown_requirements_of_another_projects_extra_are_left_out(tmp_path: Path) -> None:
    package = convert_case(tmp_path, "markers", lookup=None)
    assert "requests >=2" in index_of(package)["depends"]
    assert ["requests[socks]>=2" in note.text for note in package.notes if note.kind == "other-extra"] == [True]


@pytest.mark.parametrize(
    ("case", "version", "number"),
    [
        ("btag", "1.0", 3),
        ("local", "1.0+cu121", 0),
        ("ver", "1.0rc1.post2.dev3", 0),
        ("epoch", "1!2.0", 0),
    ],
)
def test_versions_and_build_numbers(tmp_path: Path, case: str, version: str, number: int) -> None:
    index = index_of(convert_case(tmp_path, case))
    assert (index["version"], index["build_number"]) == (version, number)
    assert index["build"].endswith(f"_{number}")


def test_wheels_of_one_version_never_share_a_file_name(tmp_path: Path) -> None:
    """C29: platforms, pythons, build tags and targets give packages of different names."""
    made = [
        convert_for(
            make_wheel(tmp_path / "wheels", "zz", "1.0", tag=tag, build=build, requires=["a; python_version<'3.11'"]),
            tmp_path / "out",
            Target(subdir=subdir, python=Python(version=python)),
        ).path.name
        for tag, build, subdir, python in [
            ("cp312-cp312-manylinux_2_28_x86_64", "", "linux-64", "3.12.0"),
            ("cp312-cp312-manylinux_2_17_x86_64", "", "linux-64", "3.12.0"),
            ("cp311-cp311-win_amd64", "", "win-64", "3.11.0"),
            ("py3-none-any", "", "linux-64", "3.12.0"),
            ("py3-none-any", "", "linux-64", "3.10.0"),
            ("py3-none-any", "1a", "linux-64", "3.12.0"),
            ("py3-none-any", "1b", "linux-64", "3.12.0"),
        ]
    ]
    assert len(set(made)) == len(made)


def test_one_package_serves_all_targets_for_which_it_is_right(tmp_path: Path) -> None:
    """What differs is the target that was named, not the package."""
    made = {
        convert_case(tmp_path, "data", Target(subdir=subdir, python=Python(version=python))).record.sha256
        for subdir, python in (("linux-64", "3.9.0"), ("osx-arm64", "3.13.1"), ("win-64", "3.12.0"))
    }
    assert len(made) == 1


def test_the_native_name_is_used(tmp_path: Path) -> None:
    names = NameMap({"native-dt": ["dt"], "pixi": []}, "test")
    package = convert_case(tmp_path, "data", names=names)
    assert package.record.name == "native-dt"
    assert package.record.pypi_names == ("dt",)
    assert index_of(package)["purls"] == ["pkg:pypi/dt@1.0"]


def test_files_of_a_portable_package(tmp_path: Path) -> None:
    package = convert_case(tmp_path, "data", None)
    manifest = check_conda(package.path)
    assert paths_of(package) == [
        "etc/jupyter/x.json",
        "python-scripts/dtrun",
        "python-scripts/dtsh",
        "share/dt/tool.sh",
        "share/dt/x.txt",
        "site-packages/dt-1.0.dist-info/INSTALLER",
        "site-packages/dt-1.0.dist-info/METADATA",
        "site-packages/dt-1.0.dist-info/RECORD",
        "site-packages/dt-1.0.dist-info/WHEEL",
        "site-packages/dt/__init__.py",
        "site-packages/dtextra.py",
        "site-packages/dtplat.py",
    ]
    patched = [path.path for path in manifest.paths if path.prefix_placeholder]
    assert patched == ["python-scripts/dtrun"], "the one with `#!python`; the other's first line is its own"
    assert [path.path for path in manifest.paths if path.is_executable] == [
        "python-scripts/dtrun",
        "python-scripts/dtsh",
        "share/dt/tool.sh",
    ]


def test_files_of_a_pinned_package(tmp_path: Path) -> None:
    package = convert_case(tmp_path, "compiled")
    assert paths_of(package) == [
        "bin/comp",
        "lib/python3.12/site-packages/comp-1.0.dist-info/INSTALLER",
        "lib/python3.12/site-packages/comp-1.0.dist-info/METADATA",
        "lib/python3.12/site-packages/comp-1.0.dist-info/RECORD",
        "lib/python3.12/site-packages/comp-1.0.dist-info/WHEEL",
        "lib/python3.12/site-packages/comp-1.0.dist-info/entry_points.txt",
        "lib/python3.12/site-packages/comp.libs/libgomp-abc.so.1",
        "lib/python3.12/site-packages/comp/__init__.py",
        "lib/python3.12/site-packages/comp/_x.cpython-312-x86_64-linux-gnu.so",
    ]
    assert check_conda(package.path).entry_points == ()


def test_entry_points_keep_their_case_and_lose_their_extras(tmp_path: Path) -> None:
    """C43 to C46."""
    assert check_conda(convert_case(tmp_path, "ep").path).entry_points == (
        "EpTool = ep:main",
        "ep-x = ep.cli:app",
        "ep-obj = ep:Cls.run",
        "ep-gui = ep:gui",
    )


def read_info(package: ConvertedPackage) -> Mapping[str, bytes]:
    import conda_package_streaming.package_streaming as streaming

    found = {}
    for tar, member in streaming.stream_conda_info(package.path):
        content = tar.extractfile(member)
        assert content is not None
        found[member.name] = content.read()
    return found


def test_provenance_licences_and_bills_of_materials(tmp_path: Path) -> None:
    wheel = build_case(tmp_path, "licensed")
    origin = WheelInfo(
        filename=wheel.name,
        metadata=CoreMetadata(name="li", version="1.0"),
        url="https://user:secret@example.invalid/files/li.whl?token=secret#sha256=0",
        origin="https://user:secret@example.invalid/simple/",
        upload_time=1600000000123,
        yanked="broken",
    )
    package = convert_for(wheel, tmp_path / "out", None, origin=origin)
    info = read_info(package)
    about = json.loads(info["info/about.json"])
    assert about["extra"]["wheel"] == {
        "filename": wheel.name,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "size": wheel.stat().st_size,
        "url": "https://example.invalid/files/li.whl",
        "index": "https://example.invalid/simple/",
        "upload_time": 1600000000123,
        "yanked": "broken",
        "tags": ["py3-none-any"],
        "sboms": ["li-1.0.dist-info/sboms/li.cdx.json"],
    }
    assert (about["license"], about["summary"], about["home"]) == ("MIT", "A thing", "https://example.invalid/")
    assert info["info/licenses/LICENSE"] == b"free\n"
    assert info["info/licenses/vendor/COPYING"] == b"also free\n"
    assert index_of(package)["timestamp"] == 1600000000123
    assert index_of(package)["license"] == "MIT"


def test_nothing_is_made_up_where_the_origin_is_not_known(tmp_path: Path) -> None:
    package = convert_case(tmp_path, "data")
    assert "timestamp" not in index_of(package)
    assert "url" not in json.loads(read_info(package)["info/about.json"])["extra"]["wheel"]


def test_another_file_than_the_promised_one_is_refused(tmp_path: Path) -> None:
    wheel = build_case(tmp_path, "data")
    origin = WheelInfo(filename=wheel.name, metadata=CoreMetadata(name="dt", version="1.0"), sha256="0" * 64)
    with pytest.raises(IntegrityError, match="differs from the expected value"):
        convert_wheel(wheel, tmp_path / "out", names=NameMap.empty(), origin=origin)
    assert not (tmp_path / "out").exists()


def test_an_unsafe_wheel_is_refused_before_it_is_converted(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "bad", "1.0", record=b"bad/__init__.py,sha256=AAAA,3\n")
    with pytest.raises(UnsafeInputError):
        convert_wheel(wheel, tmp_path / "out", names=NameMap.empty())
    assert not (tmp_path / "out").exists()


def test_a_variant_wheel_is_refused_with_the_reason(tmp_path: Path) -> None:
    """C31: a label after the platform (PEP 825) is no part of any tag."""
    wheel = make_wheel(tmp_path, "x", "1.0")
    variant = wheel.rename(wheel.with_name("x-1.0-py3-none-any-cu126.whl"))
    with pytest.raises(UnsafeInputError) as caught:
        convert_wheel(variant, tmp_path / "out", names=NameMap.empty())
    assert caught.value.id == "wheel-name"
    assert "variant" in str(caught.value.hint)


# Converts argv[1] into argv[2], under whatever the process was started with.
_CONVERT = """
import os, sys
from pathlib import Path
from bridge.convert.channel_index import write_index
from bridge.convert.wheel import convert_wheel
from converters.names import NameMap

os.umask(int(os.environ["MASK"], 8))
for wheel in sys.argv[2:]:
    convert_wheel(Path(wheel), Path(sys.argv[1]), names=NameMap.empty(), format=os.environ["FORMAT"])
write_index(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("kind", ["conda", "tar.bz2"])
def test_the_same_wheel_gives_the_same_bytes(tmp_path: Path, kind: Format) -> None:
    """C52: neither clock, umask, time zone, locale nor the hash seed shows in them."""
    wheels = [str(build_case(tmp_path / "wheels", case)) for case in ("data", "compiled", "ep", "licensed")]
    surroundings = [
        {"MASK": "022", "TZ": "UTC", "PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": "0", "LC_ALL": "C"},
        {
            "MASK": "077",
            "TZ": "Asia/Tokyo",
            "PYTHONHASHSEED": "2",
            "SOURCE_DATE_EPOCH": "1900000000",
            "LC_ALL": "C.UTF-8",
        },
    ]
    trees = []
    for number, extra in enumerate(surroundings):
        folder = tmp_path / f"out{number}"
        command = [sys.executable, "-c", _CONVERT, str(folder), *wheels]
        root = Path(__file__).parents[3]
        subprocess.run(command, check=True, cwd=root, env=os.environ | extra | {"FORMAT": kind})
        shutil.rmtree(folder / ".index")  # the times of files, to know them again
        trees.append({p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()})
    assert trees[0] == trees[1]
    names = {path.name for path in trees[0]}
    assert {"repodata.json", "repodata.json.zst", "repodata_shards.msgpack.zst"} < names
    assert len([name for name in names if name.endswith(f".{kind}")]) == len(wheels)


def test_a_package_beside_another_has_the_bytes_that_it_has_alone(tmp_path: Path) -> None:
    """The payload that several packages share is compressed once; files that differ are not taken from another."""
    files = {"be/__init__.py": b"", "be-1.0.data/data/share/be": b"x"}
    wheel = make_wheel(tmp_path, "be", "1.0", requires=["a; os_name == 'nt'"], files=files)
    both = convert_wheel(wheel, tmp_path / "both", names=NameMap.empty()).all
    assert [package.record.requirements[1:] for package in both] == [("__unix",), ("__win", "a")]
    for package, platform in zip(both, ("osx-64", "win-64"), strict=True):
        (alone,) = convert_wheel(wheel, tmp_path / platform, platforms=[platform], names=NameMap.empty()).all
        assert alone.path.name == package.path.name
        assert alone.path.read_bytes() == package.path.read_bytes()
    records = [read_payload(package, "site-packages/be-1.0.dist-info/RECORD") for package in both]
    assert [text.split(b"share/be")[0].rsplit(b"\n")[-1] for text in records] == [b"../../../", b"../../"]


def test_headers_are_in_the_directory_of_each_python(tmp_path: Path) -> None:
    wheel = build_case(tmp_path, "headers")
    made = convert_wheel(wheel, tmp_path / "out", names=NameMap.empty()).all
    headers = sorted(path for package in made for path in paths_of(package) if path.endswith("hd.h"))
    assert headers == ["include/hd/hd.h", *sorted(f"include/python3.{minor}/hd/hd.h" for minor in range(9, 16))]


def test_arguments_and_results_cross_processes(tmp_path: Path) -> None:
    package = convert_case(tmp_path, "data")
    assert pickle.loads(pickle.dumps(package)) == package
    assert pickle.loads(pickle.dumps(NameMap({"a": ["b"]}, "x"))).native_name("b") == "a"


names = st.text("abcdefghijklmnop_", min_size=1, max_size=8)
trees = st.dictionaries(
    st.one_of(
        st.builds("m{}/{}.py".format, names, names),
        st.builds("t-1.0.data/{}/s{}/{}".format, st.sampled_from(["purelib", "platlib", "data"]), names, names),
        st.builds("t-1.0.data/scripts/b{}".format, names),
    ),
    st.sampled_from([b"", b"x = 1\n", b"#!python\nprint()\n", b"#!/bin/sh\n"]),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees, st.sampled_from(["py3-none-any", "cp312-cp312-linux_x86_64", "cp312-cp312-win_amd64"]))
def test_every_file_has_its_place_and_its_record_entry(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], tag: str
) -> None:
    """PEP 376: RECORD lists "each installed file"; PEP 427: "the .data directory's contents are moved"."""
    folder = tmp_path_factory.mktemp("tree")
    wheel = make_wheel(folder, "t", "1.0", tag=tag, files=files)
    target = Target(subdir="win-64" if "win" in tag else "linux-64", python=LINUX.python)
    try:
        package = convert_for(wheel, folder / "out", target, level=1)
    except UnsafeInputError as error:
        # purelib and platlib may hold the same path; Windows cannot hold every name
        assert error.id == "path-collision" or (error.id == "reserved-path" and "win" in tag)  # noqa: PT017
        return
    placed = paths_of(package)
    assert len(placed) == len(files) + 4, "METADATA, WHEEL, RECORD, INSTALLER"
    site = "lib/python3.12/site-packages/" if "linux" in tag else "site-packages/"
    up = "../../" if "win" in tag else "../../../"
    scripts = "Scripts/" if "win" in tag else "bin/"
    listed = {
        path.removeprefix(site)
        if path.startswith(site)
        else up + (scripts + path.split("/", 1)[1] if path.startswith("python-scripts/") else path)
        for path in placed
    }
    record = next(path for path in placed if path.endswith("/RECORD"))
    rows = [line.split(",") for line in read_payload(package, record).decode().splitlines()]
    assert {row[0] for row in rows} == listed


def read_payload(package: ConvertedPackage, path: str) -> bytes:
    import conda_package_streaming.package_streaming as streaming

    with package.path.open("rb") as stream:
        for tar, member in streaming.stream_conda_component(package.path.name, stream, component="pkg"):
            if member.name == path:
                content = tar.extractfile(member)
                assert content is not None
                return bytes(content.read())
    raise AssertionError(path)


@pytest.mark.parametrize("kind", ["conda", "tar.bz2"])
def test_the_index_is_a_channel(tmp_path: Path, kind: Format) -> None:
    made = [convert_case(tmp_path, case, format=kind) for case in ("data", "compiled")]
    make_conda(tmp_path / "out", "other", "2.0", build="0")
    write_index(tmp_path / "out")
    section = "packages.conda" if kind == "conda" else "packages"
    for package in made:
        folder = package.path.parent
        text = (folder / "repodata.json").read_bytes()
        assert (
            zstandard.ZstdDecompressor().decompressobj().decompress((folder / "repodata.json.zst").read_bytes()) == text
        )
        document = json.loads(text)
        assert document["info"].pop("pypi_names", None) == ("names.json" if package.record.subdir == "noarch" else None)
        assert document["info"] == {"subdir": package.record.subdir}
        entry = document[section][package.path.name]
        assert entry["depends"] == list(package.record.requirements)
        assert (entry["sha256"], entry["size"]) == (package.record.sha256, package.path.stat().st_size)
    assert "other-2.0-0.conda" in json.loads((tmp_path / "out/noarch/repodata.json").read_bytes())["packages.conda"]


def test_an_empty_folder_becomes_an_empty_channel(tmp_path: Path) -> None:
    write_index(tmp_path)
    document = json.loads((tmp_path / "noarch/repodata.json").read_bytes())
    assert document["packages"] == document["packages.conda"] == {}


# Solves argv[3:] over the channels argv[2] (JSON) and installs into argv[1]; prints what was chosen. It ends without
# the interpreter's finalisation, which rattler does not always survive.
_INSTALL = """
import asyncio, json, os, sys
from rattler import Channel, Gateway, VirtualPackage, install, solve

async def main():
    records = await solve([Channel(url) for url in json.loads(sys.argv[2])], sys.argv[3:],
                          gateway=Gateway(cache_dir=sys.argv[1] + "-cache"), platforms=["linux-64", "noarch"],
                          virtual_packages=VirtualPackage.detect())
    await install(records, os.path.abspath(sys.argv[1]), cache_dir=sys.argv[1] + "-packages", show_progress=False)
    print(json.dumps(sorted(record.name.normalized for record in records)))

asyncio.run(main())
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A channel with a real python, packed from the interpreter that runs the tests."""
    folder = tmp_path_factory.mktemp("host")
    channel = HostChannel(folder)
    for name in ("python", "python_abi"):
        for record in channel.records(name):
            channel.archive(record)
    write_index(folder / "host")
    return (folder / "host").as_uri()


def install(prefix: Path, channels: list[str], *specs: str) -> list[str]:
    """Install by stock py-rattler; returns the names of what was installed."""
    command = [sys.executable, "-c", _INSTALL, str(prefix), json.dumps(channels), *specs]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def run(prefix: Path, *command: str) -> str:
    done = subprocess.run([prefix / "bin" / command[0], *command[1:]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the cases are wheels for Linux")
@pytest.mark.parametrize("kind", ["conda", "tar.bz2"])
def test_a_stock_installer_installs_what_was_converted(tmp_path: Path, host: str, kind: Format) -> None:
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    pinned = {"tag": f"{here}-{here}-linux_x86_64", "requires": ["dt>=1,<2"]}
    for case, changes in (("ep", {}), ("data", {}), ("compiled", pinned), ("headers", {}), ("abi3", {}), ("tool", {})):
        convert_case(tmp_path, case, HERE, changes=changes, format=kind)
    write_index(tmp_path / "out")
    prefix = tmp_path / "env with a space" if kind == "conda" else tmp_path / "env"
    asked = ["ep", "comp", "hd", "ab", "tool"]
    found = install(prefix, [(tmp_path / "out").as_uri(), host], *asked)
    assert found == sorted([*asked, "dt", "python", "python_abi"])

    assert run(prefix, "EpTool") == "EpTool runs"
    assert run(prefix, "ep-x") == "app runs"
    assert run(prefix, "ep-obj") == "Cls.run runs"
    assert run(prefix, "ep-gui") == "gui runs"
    assert run(prefix, "comp") == "comp runs"
    assert run(prefix, "dtrun") == "dtrun extra plat"
    assert run(prefix, "dtsh") == "plain"
    assert (prefix / f"include/python{MINOR}/hd/hd.h").is_file()
    check_distributions(prefix, {"ab", "comp", "dt", "ep", "hd", "tool"})


def check_distributions(prefix: Path, expected: set[str]) -> None:
    """RECORD of each distribution against what lies there: nothing missing, no wrong hash, nothing unlisted."""
    code = """
import base64, hashlib, importlib.metadata, json, sys
found = {}
for dist in importlib.metadata.distributions():
    rows = []
    for file in dist.files:
        data = file.locate().read_bytes()
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append([str(file.locate().resolve()), file.hash is None or file.hash.value == digest])
    found[dist.name] = [dist.read_text("INSTALLER").strip(), dist.requires or [], rows]
print(json.dumps(found))
"""
    found = json.loads(run(prefix, "python", "-I", "-c", code))
    assert set(found) == expected
    for name, (installer, _, rows) in found.items():
        assert installer == "conda"
        assert all(is_right for _, is_right in rows), name
        meta = json.loads(
            next((prefix / "conda-meta").glob(f"{'comp' if name == 'comp' else name}-1.0-*.json")).read_text()
        )
        installed = {str((prefix / path).resolve()) for path in meta["files"] if not path.endswith(".pyc")}
        assert {path for path, _ in rows} == installed, "RECORD and conda-meta speak of the same files"


@pytest.mark.skipif(sys.platform != "linux", reason="installed here")
@pytest.mark.parametrize("case", ["ep", "data"])
def test_the_files_are_those_of_another_installer(tmp_path: Path, host: str, case: str) -> None:
    """Install-tree equivalence with pypa/installer, which knows nothing of conda."""
    from installer import install as install_wheel
    from installer.destinations import SchemeDictionaryDestination
    from installer.sources import WheelFile

    package = convert_case(tmp_path, case, HERE)
    write_index(tmp_path / "out")
    prefix = tmp_path / "env"
    install(prefix, [(tmp_path / "out").as_uri(), host], package.record.name)
    other = tmp_path / "other"
    site = f"lib/python{MINOR}/site-packages"
    folders = {"purelib": site, "platlib": site, "scripts": "bin", "data": "", "headers": f"include/python{MINOR}/x"}
    scheme = {key: str(other / folder) for key, folder in folders.items()}
    destination = SchemeDictionaryDestination(scheme, interpreter=str(prefix / "bin/python"), script_kind="posix")
    with WheelFile.open(tmp_path / "wheels" / f"{CASES[case][0]}-1.0-py3-none-any.whl") as source:
        install_wheel(source, destination, {"INSTALLER": b"conda\n"})
    record = f"{site}/{CASES[case][0]}-1.0.dist-info/RECORD"
    theirs = {path.relative_to(other).as_posix(): path for path in other.rglob("*") if path.is_file()}
    meta = json.loads(next((prefix / "conda-meta").glob(f"{package.record.name}-*.json")).read_text())
    assert {path for path in meta["files"] if not path.endswith(".pyc")} == set(theirs)
    for path, file in theirs.items():
        if path.startswith("bin/") or path == record:
            continue  # made by the installer; compared by what they list and do
        assert (prefix / path).read_bytes() == file.read_bytes(), path
        assert (prefix / path).stat().st_mode & 0o111 == file.stat().st_mode & 0o111, path
    listed = [
        {row.split(",")[0].removeprefix("./") for row in (at / record).read_text().split()} for at in (prefix, other)
    ]
    assert listed[0] == listed[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="installed here")
def test_the_extra_of_a_converted_package_can_be_asked_for(tmp_path: Path, host: str) -> None:
    """CEP 44, by a client that knows it; who does not ask gets the base alone."""
    wheels = [
        make_wheel(tmp_path, "base", "1.0", extras=["more"], requires=['extra-one>=1; extra=="more"']),
        make_wheel(tmp_path, "extra-one", "1.5"),
    ]
    for wheel in wheels:
        convert_wheel(wheel, tmp_path / "out", names=NameMap.empty())
    write_index(tmp_path / "out")
    channels = [(tmp_path / "out").as_uri(), host]
    assert install(tmp_path / "plain", channels, "base") == ["base", "python", "python_abi"]
    assert install(tmp_path / "more", channels, "base[extras=[more]]") == ["base", "extra-one", "python", "python_abi"]

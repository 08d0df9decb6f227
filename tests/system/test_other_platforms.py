"""Environments for Windows and macOS, made on this machine: the layout is that of the installers of those systems.

Nothing in them runs here. The oracles are rattler's own installation for the platform, and `installer` with the
schemes that CPython's `sysconfig` has for it.
"""

from __future__ import annotations

import asyncio
import json
import sysconfig
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import rattler
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.sources import WheelFile

from bridge.prefix import read
from bridge.prefix.platform import platform_of
from tests.support.builders import make_conda, make_repodata, make_wheel, tree_digest
from tests.support.command_line import Bridge

PLATFORMS = ("win-64", "osx-arm64")
KINDS = {"win-64": ("nt", "win-amd64"), "osx-arm64": ("posix_prefix", "posix")}
PLACEHOLDER = "C:/placeholder_placeholder_placeholder_placeholder"
OWN = ("conda-meta/", "CACHEDIR.TAG")
PE = bytes.fromhex("4d5a") + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes.fromhex("6486")


def make_channel(folder: Path) -> None:
    windows = {"python.exe": b"", "pythonw.exe": b"", "Lib/os.py": b"", "Lib/site-packages/README.txt": b""}
    make_conda(folder, "python", "3.12.1", subdir="win-64", noarch=None, files=windows)
    mac = {"bin/python3.12": b"", "lib/python3.12/os.py": b"", "lib/python3.12/site-packages/README.txt": b""}
    make_conda(
        folder, "python", "3.12.1", subdir="osx-arm64", noarch=None, files=mac,
        links={"bin/python": "python3.12"}, executable=["bin/python3.12"],
    )  # fmt: skip
    make_conda(
        folder, "tool", "1.0", noarch="python", depends=["python"], entry_points=["tool = tool:main"],
        files={
            "site-packages/tool/__init__.py": b"main = print\n",
            "python-scripts/tool-old": b"#!/usr/bin/env python\n",
            "site-packages/tool-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n",
            # As conda-build writes it on Linux, for all systems.
            "site-packages/tool-1.0.dist-info/RECORD": b"../../../bin/tool,,\ntool-1.0.dist-info/RECORD,,\n",
        },
    )  # fmt: skip
    for platform in PLATFORMS:
        library = "Library/etc" if platform == "win-64" else "etc"
        script = "Scripts/.native-post-link.bat" if platform == "win-64" else "bin/.native-post-link.sh"
        make_conda(
            folder, "native", "1.0", subdir=platform, noarch=None,
            files={f"{library}/native.conf": f"{PLACEHOLDER}/x\n".encode(), script: b"exit 1\n"},
            placeholders={f"{library}/native.conf": (PLACEHOLDER, "text")},
        )  # fmt: skip
    make_repodata(folder, ("noarch", "linux-64", *PLATFORMS))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages, and one environment for each platform."""
    folder = tmp_path_factory.mktemp("world")
    make_channel(folder / "channel")
    files = {
        "greeting/cli.py": b"def main(): ...\n",
        "greeting-1.0.data/scripts/greet-old": b"#!python\nprint()\n",
        "greeting-1.0.data/headers/greeting.h": b"",
        "greeting-1.0.data/data/share/greeting.txt": b"",
    }
    make_wheel(
        folder / "wheels", "greeting", "1.0", files=files, executable=["greeting-1.0.data/scripts/greet-old"],
        console_scripts={"greet": "greeting.cli:main"}, gui_scripts={"greetw": "greeting.cli:main"},
    )  # fmt: skip
    bridge = Bridge.of_folder(folder)
    for platform in PLATFORMS:
        ran = bridge("create", "-p", folder / platform, "--platform", platform, "python", "tool", "native", "greeting")
        assert ran.status == 0, ran.err
        assert ".native-post-link" in ran.err
    return folder


def files_in(root: Path) -> dict[str, tuple[str, str]]:
    found = tree_digest(root)
    return {path: what for path, what in found.items() if what[0] != "directory" and not path.startswith(OWN)}


def by_rattler(world: Path, platform: str, root: Path) -> None:
    records = []
    for subdir in (platform, "noarch"):
        repodata = rattler.SparseRepoData(
            rattler.Channel((world / "channel").as_uri()), subdir, world / "channel" / subdir / "repodata.json"
        )
        for name in repodata.package_names():
            records += repodata.load_records(rattler.PackageName(name))
    asyncio.run(
        rattler.install(
            records,
            root,
            platform=rattler.Subdir(platform),
            cache_dir=root.parent / "cache",
            client=rattler.Client(),
            show_progress=False,
            execute_link_scripts=False,
            alternative_target_prefix=world / platform,
        )
    )


def schemes(platform: str, root: Path) -> Mapping[str, str]:
    base = {name: str(root) for name in ("base", "platbase", "installed_base", "installed_platbase")}
    known = sysconfig.get_paths(KINDS[platform][0], vars={**base, "py_version_short": "3.12", "abiflags": ""})
    headers = f"{known['include']}/greeting"
    return {**{name: known[name] for name in ("purelib", "platlib", "scripts", "data")}, "headers": headers}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_layout_is_that_of_rattler_and_installer(world: Path, platform: str, tmp_path: Path) -> None:
    root, kind = tmp_path / "env", KINDS[platform][1]
    by_rattler(world, platform, root)
    interpreter = world / platform / ("python.exe" if platform == "win-64" else "bin/python3.12")
    destination = SchemeDictionaryDestination(dict(schemes(platform, root)), str(interpreter), kind)  # type: ignore[arg-type]
    with WheelFile.open(world / "wheels/greeting-1.0-py3-none-any.whl") as source:
        install(source, destination, {"INSTALLER": b"bridge\n", "REQUESTED": b""})
    theirs, ours = files_in(root), files_in(world / platform)
    assert theirs.keys() == ours.keys()
    # A launcher contains a zip with the time; RECORD of `installer` has the rows of the launchers in another order.
    varying = {path for path in ours if path.endswith(("greet.exe", "greetw.exe", "/RECORD"))}
    assert {path: what for path, what in ours.items() if path not in varying} == {
        path: what for path, what in theirs.items() if path not in varying
    }
    for path in varying - {path for path in varying if path.endswith("RECORD")}:
        same = [(place / path).read_bytes().rpartition(b"PK\3\4")[0] for place in (root, world / platform)]
        assert same[0] == same[1]
        with zipfile.ZipFile(world / platform / path) as launcher:
            assert b"from greeting.cli import main" in launcher.read("__main__.py")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_records_are_those_of_the_platform(world: Path, platform: str, tmp_path: Path) -> None:
    by_rattler(world, platform, tmp_path / "env")
    for name in ("tool", "native", "python"):
        paths = [
            {item["_path"]: item["path_type"] for item in json.loads(record.read_text())["paths_data"]["paths"]}
            for root in (world / platform, tmp_path / "env")
            for record in (root / "conda-meta").glob(f"{name}-*.json")
        ]
        assert paths[0] == paths[1]
    state = read(world / platform)
    assert state.platform == platform_of(world / platform) == platform
    assert state.python is not None
    assert {each.name for each in state.distributions} == {"greeting", "tool"}


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nothing_runs_and_the_platform_stays(world: Path, platform: str, tmp_path: Path) -> None:
    bridge, root = Bridge.of_folder(world), world / platform
    assert not list(root.rglob("*.pyc"))
    same = bridge("install", "-p", root, "greeting", "tool")
    assert "nothing to do" in same.err, same.err
    other = bridge("install", "-p", root, "--platform", "linux-64", "tool")
    assert other.status == 2
    assert f"is for {platform}" in other.err
    if platform == "win-64":
        ran = bridge("run", "-p", root, "python", "-V")
        assert ran.status == 2
        assert "is for win-64" in ran.err
    allowed = bridge("create", "-p", tmp_path / "env", "--platform", platform, "native", "--allow-link-scripts")
    assert allowed.status == 0, allowed.err
    assert f"link scripts for {platform} cannot run on this machine" in allowed.err


@pytest.mark.parametrize("platform", PLATFORMS)
def test_an_audit_finds_nothing_wrong(world: Path, platform: str) -> None:
    bridge = Bridge.of_folder(world)
    ran = bridge("audit", "-p", world / platform, "--json", "--fail-on", "warning")
    found = [(each["id"], each["path"]) for each in ran.document["findings"]]
    # Nothing marked it as executable: neither the package nor rattler.
    assert found == ([] if platform == "win-64" else [("not-executable", "bin/tool-old")])


@pytest.mark.parametrize("platform", PLATFORMS)
def test_changes_keep_the_layout(world: Path, platform: str) -> None:
    bridge, root = Bridge.of_folder(world), world / platform
    scripts = "Scripts" if platform == "win-64" else "bin"
    before = files_in(root)
    removed = bridge("remove", "-p", root, "greeting")
    assert removed.status == 0, removed.err
    assert not [path for path in files_in(root) if "greet" in path]
    again = bridge("install", "-p", root, "greeting")
    assert again.status == 0, again.err
    assert files_in(root).keys() == before.keys()
    copied = bridge("create", "-p", world / "copies" / platform, "--clone", root)
    assert copied.status == 0, copied.err
    assert files_in(world / "copies" / platform).keys() == before.keys()
    owner = bridge("owner", "-p", root, f"{scripts}/greet{'.exe' if platform == 'win-64' else ''}")
    assert "wheel:greeting-1.0" in owner.out


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_moved_environment_names_its_new_place(world: Path, platform: str) -> None:
    """The launchers of Windows too: a program, a path, and a zip behind it."""
    bridge, moved = Bridge.of_folder(world), world / "moved to" / f"a longer path of {platform}"
    made = bridge("create", "-p", world / f"m-{platform}", "--platform", platform, "python", "native", "greeting")
    assert made.status == 0, made.err
    moved.parent.mkdir(exist_ok=True)
    (world / f"m-{platform}").rename(moved)
    command = moved / ("Scripts/greetw.exe" if platform == "win-64" else "bin/greetw")
    found = {each["path"] for each in bridge("audit", "-p", moved, "--json").document["findings"]}
    assert command.relative_to(moved).as_posix() in found
    fixed = bridge("audit", "-p", moved, "--fix")
    assert fixed.status == 0, fixed.err
    assert bridge("audit", "-p", moved, "--json").document["findings"] == []
    data = command.read_bytes()
    assert str(moved).encode() in data
    assert str(world / f"m-{platform}").encode() not in data
    if platform == "win-64":
        assert f"#!{moved}/pythonw.exe\n".encode() in data
        with zipfile.ZipFile(command) as launcher:
            assert b"greeting.cli" in launcher.read("__main__.py")


def test_a_wheel_of_another_platform_is_refused(world: Path) -> None:
    native = make_wheel(world / "others", "winonly", "1.0", tag="cp312-cp312-win_amd64", files={"winonly.pyd": PE})
    bridge = Bridge.of_folder(world)
    refused = bridge("create", "-p", world / "no", "--platform", "osx-arm64", "python", native)
    assert refused.status == 6, refused.err
    assert not (world / "no").exists()
    made = bridge("create", "-p", world / "yes", "--platform", "win-64", "python", native)
    assert made.status == 0, made.err
    assert (world / "yes/Lib/site-packages/winonly.pyd").is_file()


def test_an_audit_judges_nothing_by_the_virtual_packages_of_this_machine(world: Path) -> None:
    """What the other machine has is unknown: a wheel and a package for a newer macOS are no finding."""
    bridge, root = Bridge.of_folder(world), world / "newer"
    make_conda(world / "others", "frame", "1.0", subdir="osx-arm64", noarch=None, depends=["__osx >=14"])
    make_repodata(world / "others", ("noarch", "osx-arm64"))
    wheel = make_wheel(world / "others", "gui", "1.0", tag="cp312-cp312-macosx_14_0_arm64", files={"gui.py": b""})
    sources = ("-c", world / "others", "-c", world / "channel")
    newer = ("--platform", "osx-arm64", "--virtual-package", "__osx=15.0")
    made = bridge("create", "-p", root, *sources, *newer, "python", "frame", wheel)
    assert made.status == 0, made.err
    assert bridge("audit", "-p", root, "--json").document["findings"] == []


def test_a_command_of_the_environment_is_refused_in_any_case(world: Path) -> None:
    wheel = make_wheel(world / "others", "rogue", "1.0", console_scripts={"PIP3": "rogue:main"})
    refused = Bridge.of_folder(world)("create", "-p", world / "no", "--platform", "win-64", "python", wheel)
    assert refused.status == 3
    assert "belongs to the environment itself" in refused.err

"""Where each path of a package will lie, before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.archive.conda import check_conda
from bridge.archive.wheels import check_wheel
from bridge.errors import UnsafeInputError, UsageError
from bridge.install import manifest
from bridge.model import Fingerprint, Install, Plan, PrefixState, Resolved
from converters.record import Record
from converters.target import Python, Target
from tests.support.builders import make_conda, make_wheel

PYTHON = Python(version="3.11.7")
SITE = PYTHON.site_packages
RECORD = Record(
    ecosystem="wheel", name="tool", version="1.0", build="py3_none_any_0", subdir="noarch", pypi_names=("tool",)
)


def wheel_paths(
    folder: Path, files: dict[str, bytes], *, is_requested: bool = False, is_by_url: bool = False
) -> dict[str, Fingerprint]:
    found = check_wheel(make_wheel(folder, "tool", "1.0", files=files, console_scripts={"tool": "tool:main"}))
    entries = manifest.wheel_paths(found, RECORD, PYTHON, is_requested=is_requested, is_by_url=is_by_url)
    return {entry.path: entry.fingerprint for entry in entries}


DATA = "tool-1.0.data"


@pytest.mark.parametrize(
    ("member", "path", "mode"),
    [
        ("tool.py", f"{SITE}/tool.py", 0o644),
        (f"{DATA}/purelib/a/b.py", f"{SITE}/a/b.py", 0o644),
        (f"{DATA}/platlib/a.so", f"{SITE}/a.so", 0o644),
        (f"{DATA}/scripts/run", "bin/run", 0o755),
        (f"{DATA}/data/share/x", "share/x", 0o644),
        (f"{DATA}/headers/x.h", "include/python3.11/tool/x.h", 0o644),
        ("tool-1.0.dist-info/licenses/LICENSE", f"{SITE}/tool-1.0.dist-info/licenses/LICENSE", 0o644),
    ],
)
def test_the_spread_of_a_wheel(tmp_path: Path, member: str, path: str, mode: int) -> None:
    found = wheel_paths(tmp_path, {member: b"data"})
    assert found[path].mode == mode
    assert (found[path].sha256 is None) is member.startswith(f"{DATA}/scripts/")


@pytest.mark.parametrize(
    ("options", "generated"),
    [
        ({}, {"RECORD", "INSTALLER"}),
        ({"is_requested": True}, {"RECORD", "INSTALLER", "REQUESTED"}),
        ({"is_requested": True, "is_by_url": True}, {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}),
    ],
)
def test_what_the_installer_writes_is_foreseen(tmp_path: Path, options: dict[str, bool], generated: set[str]) -> None:
    packed = {f"tool-1.0.dist-info/{name}": b"the wheel's" for name in ("INSTALLER", "REQUESTED", "direct_url.json")}
    info = f"{SITE}/tool-1.0.dist-info/"
    found = wheel_paths(tmp_path, packed, **options)
    names = {path.removeprefix(info) for path in found if path.startswith(info)}
    assert names == {"METADATA", "WHEEL", "entry_points.txt", *generated}
    assert all(found[info + name].sha256 is None for name in generated)
    assert {"bin/tool", "conda-meta/tool-1.0-py3_none_any_0.json"} < found.keys()


@pytest.mark.parametrize("name", ["scripts/tool", "scripts/tool.exe", "scripts/tool-script.py", "data/bin/tool"])
def test_a_file_gives_way_to_the_entry_point_of_its_name(tmp_path: Path, name: str) -> None:
    """As in pip, which writes the commands of entry points last."""
    found = wheel_paths(tmp_path, {f"{DATA}/{name}": b"#!python\n"})
    assert [path for path in found if path.startswith("bin/")] == ["bin/tool"]


def test_bytecode_of_a_wheel_is_left_out(tmp_path: Path) -> None:
    """W75: nobody can hold it against its source."""
    found = wheel_paths(tmp_path, {"tool.py": b"", "__pycache__/tool.cpython-311.pyc": b"?"})
    assert not any("__pycache__" in path for path in found)


@pytest.mark.parametrize(
    "member",
    [f"{DATA}/data/pyvenv.cfg", f"{DATA}/scripts/activate", f"{DATA}/scripts/conda", f"{DATA}/data/bin/pip"],
)
def test_what_belongs_to_the_environment_is_reserved(tmp_path: Path, member: str) -> None:
    """W38, W39."""
    with pytest.raises(UnsafeInputError) as caught:
        wheel_paths(tmp_path, {member: b""})
    assert (caught.value.id, caught.value.exit_code) == ("reserved-path", 3)


def test_pip_itself_may_bring_pip(tmp_path: Path) -> None:
    found = check_wheel(make_wheel(tmp_path, "pip", "26.0", console_scripts={"pip": "pip:main", "pip3": "pip:main"}))
    paths = {entry.path for entry in manifest.wheel_paths(found, RECORD, PYTHON)}
    assert {"bin/pip", "bin/pip3"} < paths


def test_the_places_of_a_noarch_python_package(tmp_path: Path) -> None:
    package = make_conda(
        tmp_path,
        "thing",
        "1.0",
        noarch="python",
        files={"site-packages/thing.py": b"", "python-scripts/run": b"", "share/x": b"", "site-packages.txt": b""},
        links={"share/link": "x"},
        placeholders={"share/x": ("/opt/placeholder", "text")},
        entry_points=["thing = thing:main"],
    )
    for python, site in (
        (PYTHON, None),
        (Python(version="3.13.1", free_threaded=True), "lib/python3.13t/site-packages"),
    ):
        found = {e.path: e.fingerprint for e in manifest.conda_paths(check_conda(package), python, site_packages=site)}
        assert found.keys() == {
            f"{python.site_packages}/thing.py",
            "bin/run",
            "bin/thing",
            "share/x",
            "share/link",
            "site-packages.txt",
            "conda-meta/thing-1.0-0.json",
        }
        assert found["share/link"] == Fingerprint(kind="symlink", link="x")
        assert found["share/x"].sha256 is None
        assert found["bin/run"].sha256 is not None
    with pytest.raises(UsageError):
        manifest.conda_paths(check_conda(package), None)


def test_an_arch_package_lies_where_it_is_packed(tmp_path: Path) -> None:
    package = make_conda(tmp_path, "x", "1.0", noarch=None, subdir="linux-64", files={"site-packages/x": b""})
    assert {entry.path for entry in manifest.conda_paths(check_conda(package), None)} == {
        "site-packages/x",
        "conda-meta/x-1.0-0.json",
    }


@pytest.mark.parametrize("path", ["conda-meta/other-1-0.json", "conda-meta/history", "conda-meta/.bridge/lock"])
def test_a_conda_package_does_not_write_records(tmp_path: Path, path: str) -> None:
    with pytest.raises(UnsafeInputError) as caught:
        manifest.conda_paths(check_conda(make_conda(tmp_path, "x", "1.0", files={path: b""})), None)
    assert caught.value.id == "reserved-path"


def test_site_packages_are_where_the_python_after_the_change_has_them() -> None:
    """CEP 17."""
    target, prefix = Target(subdir="linux-64"), Path("/nowhere")
    python = Record(
        ecosystem="conda",
        name="python",
        version="3.13.1",
        build="0",
        subdir="linux-64",
        python_site_packages_path="lib/python3.13t/site-packages",
    )
    free = Python(version="3.13.1", free_threaded=True)
    steps = (Install(new=Resolved(record=python)),)
    plan = Plan(prefix=prefix, target=target, operations=steps, python=free)
    state = PrefixState(prefix=prefix, site_packages="lib/python3.11/site-packages")
    assert manifest.site_packages_after(plan, state) == "lib/python3.13t/site-packages"
    unchanged = Plan(prefix=prefix, target=target, python=PYTHON)
    assert manifest.site_packages_after(unchanged, state) == "lib/python3.11/site-packages"
    assert manifest.site_packages_after(unchanged, PrefixState(prefix=prefix)) == SITE

"""What is told before a change: code that runs at every start of python, names that differ in case, newer wheels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.install.notices import startup_code
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel, wheel_members, zip_bytes
from tests.support.command_line import Bridge

SITE = "lib/python3.12/site-packages"


@pytest.mark.parametrize(
    "path",
    [
        f"{SITE}/evil.pth",
        f"{SITE}/EVIL.PTH",
        f"{SITE}/a.start",
        f"{SITE}/sitecustomize.py",
        f"{SITE}/usercustomize.py",
        f"{SITE}/sitecustomize/__init__.py",
        f"{SITE}/usercustomize.cpython-312-x86_64-linux-gnu.so",
        "lib/python3.12/sitecustomize.py",
        "lib/python3.12/lib-dynload/usercustomize.so",
    ],
)
def test_it_runs_at_every_start(path: str) -> None:
    assert startup_code([path, f"{SITE}/other.py"], SITE) == (path,)


@pytest.mark.parametrize(
    "path",
    [
        f"{SITE}/a/evil.pth",
        f"{SITE}/a/sitecustomize.py",
        f"{SITE}/sitecustomize_tools.py",
        f"{SITE}/model.pth.tar",
        "share/weights.pth",
        "share/sitecustomize.py",
        f"{SITE}/sitecustomize/other.py",
    ],
)
def test_it_does_not(path: str) -> None:
    assert startup_code([path], SITE) == ()


@pytest.fixture
def run(tmp_path: Path) -> Bridge:
    make_python(tmp_path / "channel", "3.12")
    make_repodata(tmp_path / "channel")
    return Bridge.of_folder(tmp_path)


@pytest.mark.parametrize(
    ("member", "lies"),
    [
        ("evil.pth", f"{SITE}/evil.pth"),
        ("sitecustomize.py", f"{SITE}/sitecustomize.py"),
        ("bad-1.0.data/platlib/evil.pth", f"{SITE}/evil.pth"),
        (f"bad-1.0.data/data/{SITE}/evil.pth", f"{SITE}/evil.pth"),
        ("bad-1.0.data/data/lib/python3.12/usercustomize.py", "lib/python3.12/usercustomize.py"),
    ],
)
def test_a_wheel_with_startup_code_is_named_or_refused(tmp_path: Path, run: Bridge, member: str, lies: str) -> None:
    make_wheel(tmp_path / "wheels", "bad", "1.0", files={"bad.py": b"", member: b"import bad\n"})
    refused = run("create", "-p", tmp_path / "refused", "python", "bad", "--refuse-startup-code")
    assert (refused.status, "error[startup-code]" in refused.err) == (3, True), refused.err
    assert f"member: {lies}" in refused.err
    assert not (tmp_path / "refused").exists()
    done = run("create", "-p", tmp_path / "env", "python", "bad", "--json")
    assert done.status == 0, done.err
    assert f"warning: bad-1.0-py3-none-any.whl contains {lies}" in " ".join(done.err.split())
    by_setting = run("create", "-p", tmp_path / "refused", "python", "bad", environ={"BRIDGE_REFUSE_STARTUP_CODE": "1"})
    assert by_setting.status == 3


def test_paths_of_two_packages_that_differ_in_case_are_named(tmp_path: Path, run: Bridge) -> None:
    make_conda(tmp_path / "channel", "low", "1.0", files={"share/readme": b"a"})
    make_conda(tmp_path / "channel", "up", "1.0", files={"share/README": b"b"})
    make_wheel(tmp_path / "wheels", "mixed", "1.0", files={"mixed/a.py": b"", "mixed/A.py": b""})
    make_wheel(tmp_path / "wheels", "data", "1.0", files={"data.py": b"", "data-1.0.data/data/share/ReadMe": b""})
    make_repodata(tmp_path / "channel")
    done = run("create", "-p", tmp_path / "env", "python", "low", "up")
    assert done.status == 0, done.err
    said = " ".join(done.err.split())
    assert "share/README of conda:up-1.0-0" in said
    assert "share/readme of conda:low-1.0-0" in said
    assert "differ in case only" in said
    said = " ".join(run("install", "-p", tmp_path / "env", "data", "mixed").err.split())
    assert "share/ReadMe of wheel:data-1.0 and share/readme of conda:low-1.0-0 differ in case only" in said
    assert "mixed-1.0-py3-none-any.whl: differs from mixed/A.py in case only (mixed/a.py)" in said


def newer_wheel(folder: Path, version: str) -> Path:
    members = wheel_members("newer", "1.0")
    members["newer-1.0.dist-info/WHEEL"] = members["newer-1.0.dist-info/WHEEL"].replace(b"1.0", version.encode(), 1)
    members["newer-1.0.dist-info/RECORD"] = wheel_record(members)
    path = folder / "newer-1.0-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(zip_bytes(members))
    return path


def wheel_record(members: dict[str, bytes]) -> bytes:
    from tests.support.builders import record_hash

    rows = [f"{path},{record_hash(data)},{len(data)}" for path, data in members.items() if "RECORD" not in path]
    return ("\n".join([*rows, "newer-1.0.dist-info/RECORD,,"]) + "\n").encode()


@pytest.mark.parametrize(("version", "status"), [("1.9", 0), ("2.0", 3)])
def test_a_newer_wheel_version(tmp_path: Path, run: Bridge, version: str, status: int) -> None:
    """PEP 427: warn where the minor version is newer, fail where the major version is."""
    newer_wheel(tmp_path / "wheels", version)
    done = run("create", "-p", tmp_path / "env", "python", "newer")
    assert done.status == status, done.err
    assert (f"Wheel-Version {version} is newer than 1.0" in " ".join(done.err.split())) is (status == 0)


def test_a_conversion_notes_it(tmp_path: Path, run: Bridge) -> None:
    wheel = make_wheel(tmp_path, "bad", "1.0", files={"bad.py": b"", "evil.pth": b"import bad\n"})
    done = run("convert", wheel, "-o", tmp_path / "out", "--json")
    assert done.status == 0, done.err
    notes = json.loads(done.out)["packages"][0]["notes"]
    assert any("evil.pth" in note and "at every start" in note for note in notes), notes


def test_menu_items_of_which_no_shortcuts_are_made(run: Bridge, tmp_path: Path) -> None:
    files = {"Menu/spyder.json": b"{}", "Menu/spyder.ico": b"", "share/Menu/other.json": b"{}"}
    make_conda(tmp_path / "channel", "spyder-menu", "1.0", noarch="generic", files=files)
    make_repodata(tmp_path / "channel")
    done = run("create", "-p", tmp_path / "env", "spyder-menu")
    assert done.status == 0
    assert "spyder-menu has menu items (Menu/spyder.json): bridge creates no shortcuts for them" in done.err
    assert (tmp_path / "env/Menu/spyder.json").is_file()

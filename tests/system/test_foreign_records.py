"""What lies in conda-meta and is no record stops nothing; a record that is damaged can be had again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge import prefix
from bridge.model import Defect
from bridge.prefix.strays import is_record_name, named_package, sorted_out
from tests.support.builders import install_distribution, make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge
from tests.support.environments import SITE, Environment

RECORD = "conda-meta/one-1.0-0.json"


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    channel = tmp_path / "channel"
    make_conda(
        channel,
        "one",
        "1.0",
        files={"share/one": b"one", "bin/one": b"home=/old/place"},
        links={"share/link": "one"},
        placeholders={"bin/one": ("/old/place", "text")},
        executable=["bin/one"],
    )
    make_conda(channel, "two", "1.0", files={"share/two": b"two"})
    make_conda(
        channel, "three", "1.0", noarch="python", depends=["python"], files={"site-packages/three.py": b"V = 3\n"}
    )
    make_repodata(channel)
    return Bridge.of_folder(tmp_path)


def findings(bridge: Bridge, environment: Environment, *ids: str) -> dict[str, list[str]]:
    """Path → the words of its repair, of the findings of these kinds; not of the files that venv made."""
    report = bridge("audit", "-p", environment.root, "--json", "--fail-on", "never")
    assert report.status == 0, report.err
    told = [found for found in report.document["findings"] if found["id"] in ids]
    return {each["path"]: each["repair"] for each in told if each["path"].startswith(("conda-meta/", "share/", SITE))}


STRAYS: dict[str, Callable[[Path], object]] = {
    "AppleDouble": lambda record: record.with_name(f"._{record.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X"),
    "a copy of a file synchroniser": lambda record: _copy(record, f"{record.stem} (1).json"),
    "a conflict of syncthing": lambda record: _copy(record, f"{record.stem}.sync-conflict-20260101-101112-ABC.json"),
    "a conflict of OneDrive": lambda record: _copy(record, f"{record.stem}-LAPTOP.json"),
    "a damaged conflict": lambda record: record.with_name(f"{record.stem}-OTHER.json").write_bytes(b'{"na'),
    "a backup": lambda record: _copy(record, f"{record.name}.bak"),
    "vim's": lambda record: record.with_name(f".{record.name}.swp").write_bytes(b"b0VIM"),
    "emacs's": lambda record: _copy(record, f"{record.name}~"),
    "emacs's lock": lambda record: record.with_name(f".#{record.name}").symlink_to("me@here.1"),
    "conda's own rest": lambda record: _copy(record, f"{record.name}.c~"),
    "JSON of a tool": lambda record: record.with_name("settings.json").write_text("{}"),
    "a file manager's": lambda record: record.with_name(".DS_Store").write_bytes(b"\0\0\0\1Bud1"),
}  # fmt: skip


def _copy(record: Path, name: str) -> None:
    record.with_name(name).write_bytes(record.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("case", ["AppleDouble", "a copy of a file synchroniser", "a damaged conflict"])
def test_a_file_that_is_no_record_stops_nothing_and_can_be_taken_away(
    bridge: Bridge, tmp_path: Path, case: str
) -> None:
    environment = Environment(tmp_path / "env")
    assert bridge("install", "-p", environment.root, "one").status == 0
    before = {path.name for path in (environment.root / "conda-meta").iterdir()}
    STRAYS[case](environment.root / RECORD)
    (stray,) = {path.name for path in (environment.root / "conda-meta").iterdir()} - before
    assert bridge("install", "-p", environment.root, "two").status == 0
    assert bridge("remove", "-p", environment.root, "two").status == 0
    repair = ["bridge", "audit", "-p", str(environment.root), "--fix"]
    found = findings(bridge, environment, "foreign-file", "broken-record", "unowned-file", "duplicate-record")
    assert found == {f"conda-meta/{stray}": repair}
    assert bridge(*repair[1:], "--fail-on", "never").status == 0
    left = {path.name for path in (environment.root / "conda-meta").iterdir()}
    assert left == before
    assert findings(bridge, environment, "foreign-file", "unowned-file") == {}


DAMAGE: dict[str, bytes] = {
    "empty": b"",
    "cut short": b'{"name": "one", "version": "1.0", "bui',
    "NULs": bytes(300),
    "another type": b'{"name": "one", "version": 1.0, "build": "0"}',
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["empty", "another type"])
def test_the_package_of_a_damaged_record_is_installed_again(bridge: Bridge, tmp_path: Path, case: str) -> None:
    environment = Environment(tmp_path / "env")
    assert bridge("install", "-p", environment.root, "one", "two").status == 0
    before = {path: (environment.root / path).lstat().st_ino for path in ("share/one", "share/link", "share/two")}
    (environment.root / RECORD).write_bytes(DAMAGE[case])
    refused = bridge("install", "-p", environment.root, "three", "--json")
    assert (refused.status, refused.document["error"]["id"]) == (4, "broken-record")
    (environment.root / "bin/one").write_bytes(b"edited by hand")
    done = bridge("audit", "-p", environment.root, "--fix", "--fail-on", "never")
    assert done.status == 0, done.err + done.out
    assert findings(bridge, environment, "broken-record", "missing-file", "modified-file") == {}
    assert {path: (environment.root / path).lstat().st_ino for path in before} == before
    assert {each.record.name for each in environment.state.installed} == {"python", "one", "two"}
    assert bridge("install", "-p", environment.root, "three").status == 0
    assert bridge("remove", "-p", environment.root, "two").status == 0
    assert (environment.root / "share/one").read_bytes() == b"one", "it was asked for, and stays"


def test_a_noarch_python_package_with_a_damaged_record_comes_again(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    assert bridge("install", "-p", environment.root, "three", "two").status == 0
    (environment.root / "conda-meta/three-1.0-0.json").write_bytes(b"")
    assert bridge("audit", "-p", environment.root, "--fix", "--fail-on", "never").status == 0
    assert bridge("remove", "-p", environment.root, "three").status == 0
    assert not (environment.root / SITE / "three.py").exists()


def test_without_a_channel_that_has_it_the_hint_says_how_to_go_on(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    assert bridge("install", "-p", environment.root, "two").status == 0
    (environment.root / "conda-meta/gone-1.0-0.json").write_bytes(b"")
    done = bridge("audit", "-p", environment.root, "--fix", "--json")
    assert (done.status, done.document["error"]["id"]) == (2, "no-origin")
    command = done.document["error"]["hint"].rpartition("its files: ")[2]
    os.system(command)
    assert bridge("install", "-p", environment.root, "one").status == 0


@pytest.mark.slow
def test_the_damaged_record_of_a_wheel_goes_and_its_dist_info_is_adopted(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    make_wheel(tmp_path / "wheels", "demo", "1.0")
    assert bridge("install", "-p", environment.root, "pypi:demo").status == 0
    record = next((environment.root / "conda-meta").glob("demo-*.json"))
    record.write_bytes(b"{")
    assert bridge("audit", "-p", environment.root, "--fix", "--fail-on", "never").status == 0
    (repair,) = findings(bridge, environment, "unmanaged-distribution").values()
    assert repair[:2] == ["bridge", "adopt"]
    assert bridge(*repair[1:]).status == 0
    assert findings(bridge, environment, "unmanaged-distribution", "broken-record", "unowned-file") == {}


@pytest.mark.slow
def test_a_misnamed_record_gets_its_name_back(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    assert bridge("install", "-p", environment.root, "one").status == 0
    for name in ("one-1.0-0 (1).json", "renamed-1-0.json"):
        (environment.root / RECORD).rename(environment.root / "conda-meta" / name)
        refused = bridge("install", "-p", environment.root, "two", "--json")
        assert refused.status == 4
        repair = findings(bridge, environment, "broken-record")[f"conda-meta/{name}"]
        assert refused.document["error"]["hint"].startswith("give it its name: mv ")
        assert repair[0] == "mv"
        (Path(repair[-2])).rename(repair[-1])
        assert findings(bridge, environment, "broken-record", "unowned-file") == {}


@pytest.mark.slow
def test_a_record_that_was_read_in_spite_of_a_defect_stops_nothing(bridge: Bridge, tmp_path: Path) -> None:
    """Null lists, and paths that no package may have: what the record says nevertheless counts."""
    environment = Environment(tmp_path / "env")
    assert bridge("install", "-p", environment.root, "one").status == 0
    document = json.loads((environment.root / RECORD).read_bytes())
    document["paths_data"]["paths"].append({"_path": "../../x", "path_type": "hardlink"})
    (environment.root / RECORD).write_text(json.dumps(document | {"depends": None, "constrains": None}))
    assert bridge("install", "-p", environment.root, "two").status == 0
    assert bridge("audit", "-p", environment.root, "--fix", "--fail-on", "never").status == 0
    assert findings(bridge, environment, "broken-record") == {}
    assert json.loads((environment.root / RECORD).read_bytes())["depends"] == []


def test_distributions_of_conda_packages_are_no_wheels(bridge: Bridge, tmp_path: Path) -> None:
    """A dist-info of that project and version that pip seems to have placed: the channel has it, so it is conda's."""
    environment = Environment(tmp_path / "env")
    assert bridge("install", "-p", environment.root, "three").status == 0
    install_distribution(environment.root, SITE, "three", "1.0", installer="pip")
    (environment.root / "conda-meta/three-1.0-0.json").write_bytes(b"")
    assert bridge("audit", "-p", environment.root, "--fix", "--fail-on", "never").status == 0
    assert [each.record.label for each in environment.state.installed][-1] == "conda:three-1.0-0"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("one-1.0-0.json", True), ("._one-1.0-0.json", False), (".x.json", False), ("~$x.json", False), ("x.bak", False)],
)
def test_which_files_are_read_as_records(name: str, expected: bool) -> None:
    assert is_record_name(name) is expected


def test_the_name_of_a_record_says_the_package() -> None:
    assert named_package("python-dateutil-2.9.0-pyhd8ed1ab_0.json") == ("python-dateutil", "2.9.0", "pyhd8ed1ab_0")
    assert named_package("_libgcc_mutex-0.1-conda_forge.json") == ("_libgcc_mutex", "0.1", "conda_forge")
    for name in ("settings.json", "one-1.0-0 (1).json", "a-b.json", "one-1.0-0"):
        assert named_package(name) is None


def test_defects_elsewhere_are_left_alone() -> None:
    there = Defect(id="broken-record", path=f"{SITE}/x-1.dist-info/RECORD", detail="it is empty")
    assert list(sorted_out([there], {RECORD})) == [there]


def test_a_prefix_with_strays_is_read_like_one_without(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    before = prefix.read(environment.root)
    record = environment.root / before.installed[0].meta_path
    for put in STRAYS.values():
        put(record)
    found = prefix.read(environment.root)
    assert found.installed == before.installed
    assert {defect.id for defect in found.defects} == {"foreign-file"}
    assert len(found.defects) == len(STRAYS)


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_told_from_strays(tmp_path: Path, case: str) -> None:
    environment = Environment(tmp_path / "env")
    (environment.root / RECORD).write_bytes(DAMAGE[case])
    assert [(each.id, each.path) for each in environment.state.defects] == [("broken-record", RECORD)]


@pytest.mark.slow
def test_an_archive_that_is_gone_blocks_no_other_repair(bridge: Bridge, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env")
    channel, moved = tmp_path / "channel", tmp_path / "moved"
    assert bridge("install", "-p", environment.root, "one", "two").status == 0
    archive = next(channel.rglob("two-1.0-*"))
    gone = archive.rename(tmp_path / archive.name)
    for path in ("share/one", "share/two"):
        (environment.root / path).unlink()
    done = bridge("audit", "-p", environment.root, "--fix", "--fail-on", "never")
    assert done.status == 0, done.err
    assert (environment.root / "share/one").read_bytes() == b"one"
    assert not (environment.root / "share/two").exists()
    assert f"bridge remove -p {environment.root} two" in done.err
    alone = bridge("audit", "-p", environment.root, "--fix", "--json")
    assert (alone.status, alone.document["error"]["id"]) == (10, "file-missing")
    assert "--channel" in alone.document["error"]["hint"]
    (moved / "noarch").mkdir(parents=True)
    gone.rename(moved / "noarch" / gone.name)
    make_repodata(moved)
    elsewhere = bridge("audit", "-p", environment.root, "--fix", "-c", moved, "--fail-on", "never")
    assert elsewhere.status == 0, elsewhere.err
    assert (environment.root / "share/two").read_bytes() == b"two"


@pytest.mark.slow
def test_the_second_record_of_a_package_goes_with_what_only_it_has(bridge: Bridge, tmp_path: Path) -> None:
    """As mamba 2.8 does, which writes a conda package over a wheel and leaves its record and dist-info."""
    environment = Environment(tmp_path / "env")
    wheel = make_wheel(tmp_path, "three", "1.0", files={"three.py": b"V = 1\n", "three_old.py": b""})
    assert bridge("install", "-p", environment.root, wheel).status == 0
    record = next((environment.root / "conda-meta").glob("three-*.json"))
    site = environment.root / SITE
    before = {
        path: path.read_bytes() for path in (record, site / "three_old.py", *(site / "three-1.0.dist-info").iterdir())
    }
    shared = site / "three-1.0.dist-info"
    assert bridge("install", "-p", environment.root, "conda:three").status == 0
    shared.mkdir(exist_ok=True)
    for path, data in before.items():
        path.write_bytes(data)
    assert findings(bridge, environment, "duplicate-record") == {
        str(record.relative_to(environment.root)): ["bridge", "audit", "-p", str(environment.root), "--fix"]
    }
    fixed = bridge("audit", "-p", environment.root, "--fix", "--fail-on", "never")
    assert fixed.status == 0, fixed.err
    assert not any(path.exists() for path in before)
    assert (site / "three.py").read_bytes() == b"V = 3\n"
    assert findings(bridge, environment, "duplicate-record", "missing-file", "clobbered-file", "double-owner") == {}


def test_a_record_that_is_named_after_the_file_of_a_wheel_is_read(tmp_path: Path) -> None:
    """As conda 26.5 names the record of a wheel that a channel lists."""
    bridge, environment = Bridge.of_folder(tmp_path), Environment(tmp_path / "env")
    make_repodata(tmp_path / "channel")
    wheel = make_wheel(tmp_path, "cow", "1.0", files={"cow.py": b""})
    assert bridge("install", "-p", environment.root, wheel).status == 0
    record = next((environment.root / "conda-meta").glob("cow-*.json"))
    document = json.loads(record.read_bytes())
    record.unlink()
    named = record.with_name("cow-1.0-py3-none-any.json")
    named.write_text(json.dumps(document | {"fn": "cow-1.0-py3-none-any.whl"}))
    assert findings(bridge, environment, "broken-record", "foreign-file", "unowned-file") == {}
    assert [each.record.name for each in prefix.read(environment.root).installed if each.record.name == "cow"]
    removed = bridge("remove", "-p", environment.root, "cow")
    assert removed.status == 0, removed.err
    assert not named.exists()
    assert not (environment.root / SITE / "cow.py").exists()

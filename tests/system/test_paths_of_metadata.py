"""Hole 1: no path that metadata gives leads out of the environment, whatever record, archive or prefix it stands in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.errors import UnsafeInputError
from bridge.paths import path_below
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge

MINOR = "3.12"
SITE = f"lib/python{MINOR}/site-packages"

OUTSIDE = {
    "climbs": "../../outside",
    "climbs later": "lib/../../../outside",
    "climbs and returns": f"lib/../{SITE}",
    "climbs at the end": f"{SITE}/..",
    "absolute": "/tmp/bridge-outside/site-packages",
    "two slashes": "//server/site-packages",
    "drive": "C:/site-packages",
    "drive and backslash": "C:\\site-packages",
    "backslashes": "..\\..\\outside",
    "backslashes within": "lib\\..\\..\\outside",
    "share": "\\\\server\\share",
}
ODD = {
    "NUL": "lib/python\x00/site-packages",
    "newline": "lib/python\n/site-packages",
    "escape": "lib/\x1b[31m/site-packages",
    "turned around": "lib/\u202e/site-packages",
    "half a pair": "lib/\ud800/site-packages",
    "dot": ".",
    "dot within": "lib/./site-packages",
    "two slashes within": "lib//site-packages",
    "dot first": f"./{SITE}",
    "long": "lib/" + "a" * 300,
    "deep": "/".join("a" * 100),
}
NO_TEXT: Mapping[str, object] = {"number": 3, "list": ["lib"], "object": {"a": "lib"}, "true": True, "float": 1.5}
HOSTILE: Mapping[str, object] = {**OUTSIDE, **ODD, **NO_TEXT}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_one_function_refuses_it(text: object) -> None:
    with pytest.raises(UnsafeInputError) as caught:
        path_below(text, "python-3.12.1-0.conda", "python_site_packages_path")
    assert caught.value.exit_code == 3
    assert caught.value.message.isprintable()


@pytest.mark.parametrize(
    "text", [SITE, "lib/python3.13t/site-packages", "Lib/site-packages", "lib/é", "a b/..c", f"{SITE}/"]
)
def test_one_function_yields_what_lies_below(text: str) -> None:
    assert path_below(text, "python-3.12.1-0.conda", "python_site_packages_path") == text.rstrip("/")


def world(folder: Path, *, in_archive: object = None, in_repodata: object = None) -> Bridge:
    """A channel with a python whose site-packages are said to be somewhere, and a noarch package for it."""
    channel = folder / "channel"
    index = {} if in_archive is None else {"python_site_packages_path": in_archive}
    make_python(channel, MINOR, index=index)
    make_conda(
        channel, "thing", "1.0", noarch="python", depends=["python"], files={"site-packages/thing.py": b"x = 1\n"}
    )
    make_repodata(channel)
    repodata = channel / "linux-64" / "repodata.json"
    document = json.loads(repodata.read_text())
    for record in document["packages.conda"].values():
        record.pop("python_site_packages_path", None)
        if in_repodata is not None:
            record["python_site_packages_path"] = in_repodata
    repodata.write_text(json.dumps(document))
    return Bridge.of_folder(folder)


def left(folder: Path) -> set[str]:
    """What lies in a folder, but for the channel, the cache and the wheels."""
    paths = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {path for path in paths if path.partition("/")[0] not in {"channel", "cache", "wheels"}}


WHOLE = ["climbs", "climbs at the end", "backslashes", "NUL", "dot within", "half a pair", "list"]


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("place", ["in_archive", "in_repodata"])
def test_a_python_whose_packages_are_elsewhere_is_refused(tmp_path: Path, kind: str, place: str) -> None:
    run = world(tmp_path, **{place: HOSTILE[kind]})
    done = run("create", "-p", tmp_path / "env", "python", "thing")
    # rattler reads the repodata of folders, and refuses what is not a text.
    odd = {("in_repodata", "list"): (3, "repodata-invalid"), ("in_repodata", "half a pair"): (3, "repodata-invalid")}
    status, error = odd.get((place, kind), (3, "path-escape"))
    assert (done.status, f"error[{error}]" in done.err) == (status, True), done.err
    assert "Traceback" not in done.err
    assert left(tmp_path) == set()


@pytest.mark.parametrize("place", ["in_archive", "in_repodata"])
def test_an_absolute_path_outside_gets_no_file(tmp_path: Path, place: str) -> None:
    """Rattler's code panics over an absolute path; it never sees one."""
    run = world(tmp_path, **{place: str(tmp_path / "outside")})
    done = run("create", "-p", tmp_path / "env", "python", "thing")
    assert (done.status, "error[path-escape]" in done.err) == (3, True), done.err
    assert left(tmp_path) == set()


def test_a_python_with_another_folder_is_installed(tmp_path: Path) -> None:
    """What repodata says counts, for it may be patched; the archive may say the same, or nothing, or another folder."""
    run = world(tmp_path, in_archive=SITE, in_repodata="lib/other/site-packages")
    done = run("create", "-p", tmp_path / "env", "python", "thing")
    assert done.status == 0, done.err
    assert (tmp_path / "env/lib/other/site-packages/thing.py").is_file()
    assert run("audit", "-p", tmp_path / "env").status == 0


@pytest.mark.parametrize(("kind", "status"), [("climbs", 0), ("absolute", 0), ("NUL", 0), ("number", 4)])
def test_the_record_of_the_python_that_is_there_leads_nobody_out(tmp_path: Path, kind: str, status: int) -> None:
    """Such a python's packages lie in the usual place; a record that cannot be read at all stops every change."""
    run = world(tmp_path)
    assert run("create", "-p", tmp_path / "env", "python").status == 0
    meta = tmp_path / "env/conda-meta/python-3.12.1-0.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"python_site_packages_path": HOSTILE[kind]}))
    done = run("install", "-p", tmp_path / "env", "thing")
    assert (done.status, "error[broken-record]" in done.err) == (status, status == 4), done.err
    audit = run("audit", "-p", tmp_path / "env", "--json")
    assert "broken-record" in {finding["id"] for finding in audit.document["findings"]}
    assert {path.partition("/")[0] for path in left(tmp_path)} == {"env"}
    assert (tmp_path / "env" / SITE / "thing.py").exists() is (status == 0)


def test_links_of_two_packages_together_lead_nobody_out(tmp_path: Path) -> None:
    """Each link stays in its own package; both together would lead out of the environment."""
    channel = tmp_path / "channel"
    make_conda(channel, "first", "1.0", links={"x/y/a": "b/../.."}, files={"x/y/c": b""})
    make_conda(channel, "second", "1.0", links={"x/y/b": "../.."}, files={"x/y/d": b""})
    make_conda(channel, "third", "1.0", files={"x/y/a/outside/planted": b"planted"})
    make_repodata(channel)
    run = Bridge.of_folder(tmp_path)
    done = run("create", "-p", tmp_path / "env", "first", "second", "third")
    assert done.status in {3, 4}, done.err
    assert left(tmp_path) == set()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "../x"),
        ("name", "a/b"),
        ("build", "../../x"),
        ("version", "1/../../x"),
        ("subdir", "../x"),
        ("subdir", "/etc"),
    ],
)
def test_records_with_a_path_for_a_name_make_no_file(tmp_path: Path, key: str, value: str) -> None:
    channel = tmp_path / "channel"
    make_conda(channel, "thing", "1.0")
    make_repodata(channel)
    repodata = channel / "noarch" / "repodata.json"
    document = json.loads(repodata.read_text())
    for record in document["packages.conda"].values():
        record[key] = value
    repodata.write_text(json.dumps(document))
    run = Bridge.of_folder(tmp_path)
    done = run("create", "-p", tmp_path / "env", "thing")
    if key == "subdir":  # A record's subdir is no path to anybody: its place in the channel counts.
        assert done.status in {0, 3}, done.err
        assert {path.partition("/")[0] for path in left(tmp_path)} <= {"env"}
        return
    assert done.status in {3, 5, 6}, done.err
    assert left(tmp_path) == set()


def test_a_wheel_beside_such_a_python_is_refused_as_well(tmp_path: Path) -> None:
    run = world(tmp_path, in_repodata="../outside")
    make_wheel(tmp_path / "wheels", "tool", "1.0")
    done = run("create", "-p", tmp_path / "env", "python", "tool")
    assert (done.status, "error[path-escape]" in done.err) == (3, True), done.err
    assert left(tmp_path) == set()

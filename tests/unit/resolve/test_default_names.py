"""The shipped name map: what it holds, what beats it, and what it changes in a solve and in `bridge why`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.cli.name_maps import default_names
from bridge.cli.session import Session
from bridge.config import Settings
from bridge.resolve.candidates.provides import provided_by
from converters.names import NameMap
from tests.support.command_line import Bridge
from tests.support.resolver_worlds import record
from tests.support.servers import JSON, IndexServer

DEFAULTS = default_names()


def shipped(table: dict[str, object] | None = None) -> NameMap:
    return NameMap(table or {}, "the test's names", defaults=DEFAULTS)


def test_every_row_is_one_that_a_name_map_may_have() -> None:
    names = NameMap(DEFAULTS, "the shipped names")
    assert names.rejected == ()
    assert list(DEFAULTS) == sorted(DEFAULTS)
    assert {name: names.row(name) for name in DEFAULTS} == {name: tuple(row) for name, row in DEFAULTS.items()}


def test_no_two_rows_leave_a_project_without_a_native_name() -> None:
    """The wheel of a project is recorded under the one conda name that carries it alone, else under its own."""
    names = shipped()
    for row in DEFAULTS.values():
        for project in row:
            assert names.native_name(project) in {*names.providers(project), project}


@pytest.mark.parametrize(
    ("conda", "projects", "native"),
    [
        ("pytorch", ("torch",), "pytorch"),
        ("python-tzdata", ("tzdata",), "python-tzdata"),
        ("tzdata", (), None),
        ("docker-py", ("docker",), "docker-py"),
        ("graphviz", (), None),
        ("python-graphviz", ("graphviz",), "python-graphviz"),
        ("matplotlib-base", ("matplotlib",), "matplotlib"),
        ("ruamel.yaml", ("ruamel-yaml",), "ruamel.yaml"),
        ("jupyter_client", ("jupyter-client",), "jupyter_client"),
        ("zope.interface", ("zope-interface",), "zope.interface"),
        ("libgcc", (), None),
        ("py-opencv", ("opencv-python", "opencv-python-headless"), "opencv-python"),
    ],
)
def test_well_known_names(conda: str, projects: tuple[str, ...], native: str | None) -> None:
    names = shipped()
    provided = names.provides(conda, is_python=True)
    assert provided.projects == projects
    assert provided.evidence == ("default-map" if projects else "none")
    if native is not None:
        assert names.native_name(projects[0]) == native


def test_whatever_else_is_known_beats_it() -> None:
    names = shipped({"pytorch": ["pytorch-of-mine"], "graphviz": ["graphviz"], "docker-py": None})
    assert names.row("pytorch") == ("pytorch-of-mine",)
    assert names.providers("torch") == ()
    assert names.provides("graphviz", is_python=False).evidence == "name-map"
    assert names.provides("docker-py", is_python=True).projects == ()
    told = names.provides("docker-py", purls=["pkg:pypi/docker-of-theirs@1.0"], is_python=True)
    assert told.projects == ("docker-of-theirs",)


def test_a_claim_of_a_record_that_is_no_python_package_is_not_believed() -> None:
    assert provided_by(record("pytorch", "1.0"), shipped()).projects == ()
    assert provided_by(record("pytorch", "1.0", "python >=3.8"), shipped()).projects == ("torch",)


def test_a_session_adds_it_below_everything_else(tmp_path: Path) -> None:
    given = tmp_path / "map.json"
    given.write_text(json.dumps({"pytorch": ["mine"]}), "utf-8")
    for name_map, row in ((None, ("torch",)), (str(given), ("mine",))):
        with Session(Settings(cache_dir=tmp_path / "cache", name_map=name_map)) as session:
            names = session.names(session.channel_urls())
            assert names.row("pytorch") == row
            assert names.row("python-tzdata") == ("tzdata",)


def test_a_wheel_that_needs_tzdata_takes_python_tzdata_from_conda(tmp_path: Path) -> None:
    """The time zone files of the conda name `tzdata` are no python project: without the map they would be mistaken."""
    packages = {}
    for name, depends in (("python", []), ("tzdata", []), ("python-tzdata", ["python >=3.9"])):
        packages[f"{name}-3.12.7-0.conda"] = {
            "name": name, "version": "3.12.7", "build": "0", "build_number": 0, "depends": depends, "size": 1,
            "subdir": "linux-64", "sha256": "0" * 64,
        }  # fmt: skip
    for subdir, content in (("linux-64", packages), ("noarch", {})):
        (tmp_path / "channel" / subdir).mkdir(parents=True)
        text = json.dumps({"info": {"subdir": subdir}, "packages": {}, "packages.conda": content})
        (tmp_path / "channel" / subdir / "repodata.json").write_text(text, "utf-8")
    name = "zones-1.0-py3-none-any.whl"
    with IndexServer() as server:
        files = [{"filename": name, "url": f"{server.url}/files/{name}", "hashes": {}, "core-metadata": True}]
        page = {"meta": {"api-version": "1.1"}, "name": "zones", "files": files}
        server.add("/simple/zones/", json.dumps(page).encode(), content_type=JSON)
        text = "Metadata-Version: 2.1\nName: zones\nVersion: 1.0\nRequires-Dist: tzdata\n"
        server.add(f"/files/{name}.metadata", text.encode())
        bridge = Bridge(cache=tmp_path / "cache", index=server.simple, folder=Path(__file__).resolve().parents[3])
        done = bridge("resolve", "-c", tmp_path / "channel", "--platform", "linux-64", "zones", "--json")
    assert done.status == 0, done.err
    assert {p["name"]: p["source"] for p in done.document["packages"]} == {
        "python": "conda", "python-tzdata": "conda", "zones": "wheel",
    }  # fmt: skip


def test_what_a_map_knows_of_a_project() -> None:
    names = NameMap({"pytorch": ["torch"], "pixi": []}, "test", defaults={"tzdata": []})
    assert [project for project in ("torch", "pixi", "tzdata", "ghost") if names.is_known(project)] == [
        "torch", "pixi", "tzdata",
    ]  # fmt: skip
    more = names.extended({"ghost": (), "pixi": ["pixi"]})
    assert (more.native_name("ghost"), more.native_name("pixi"), more.native_name("torch")) == (
        "pypi-ghost", "pypi-pixi", "pytorch",
    )  # fmt: skip
    assert more.provides("tzdata", is_python=True).evidence == "none"
    assert names.extended({}) is names

"""`bridge mirror`: a channel that is kept in step with an index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.cli.commands import mirroring
from bridge.cli.commands.conversion import Workers
from bridge.cli.commands.mirroring import Mirror
from bridge.cli.commands.request import Request
from bridge.cli.session import Session
from bridge.config import Settings
from bridge.requirements.algebra import parse_pypi
from tests.support.builders import make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.sdists import make_sdist
from tests.support.servers import IndexServer
from tests.system.test_end_to_end import check_schema, succeeded


@pytest.fixture
def index(tmp_path: Path) -> Iterator[IndexServer]:
    with IndexServer() as server:
        for version in ("1.0", "2.0", "10.0", "11.0rc1"):
            publish(server, tmp_path, "upper", version, requires=["lower>=1"])
        publish(server, tmp_path, "lower", "1.0")
        yield server


@pytest.fixture
def bridge(tmp_path: Path, index: IndexServer) -> Bridge:
    (tmp_path / "projects.txt").write_text("upper\nlower\n")
    return Bridge(tmp_path / "cache", index.simple, tmp_path)


def publish(server: IndexServer, folder: Path, name: str, version: str, **options: Any) -> None:  # noqa: ANN401
    facts = options.pop("facts", {"upload-time": "2026-01-01T00:00:00Z"})
    server.publish(make_wheel(folder / "wheels", name, version, **options), facts=facts)


def mirror(bridge: Bridge, *words: str) -> dict[str, Any]:
    ran = succeeded(bridge("mirror", "-r", "projects.txt", "-o", "channel", "--json", *words))
    return checked(ran)


def checked(ran: Ran) -> dict[str, Any]:
    check_schema("mirror", ran.document)
    return dict(ran.document)


def listed(folder: Path) -> set[str]:
    document = json.loads((folder / "channel/noarch/repodata.json").read_bytes())
    records = [*document["packages.conda"].values(), *document.get("v3", {}).get("whl", {}).values()]
    return {f"{record['name']} {record['version']}" for record in records}


def test_the_newest_final_versions_are_mirrored(bridge: Bridge, tmp_path: Path) -> None:
    document = mirror(bridge, "--newest", "2")
    assert document["mirror"] == {"projects": 2, "wheels": 3, "known": 0}
    assert listed(tmp_path) == {"upper 10.0", "upper 2.0", "lower 1.0"}
    assert json.loads((tmp_path / "channel/names.json").read_bytes()) == {"lower": ["lower"], "upper": ["upper"]}


def test_a_second_run_converts_only_what_is_new(bridge: Bridge, index: IndexServer, tmp_path: Path) -> None:
    mirror(bridge)
    assert listed(tmp_path) == {"upper 10.0", "lower 1.0"}
    assert mirror(bridge)["summary"]["converted"] == 0
    publish(index, tmp_path, "upper", "12.0")
    asked = len(index.asked)
    again = mirror(bridge)
    assert (again["summary"]["converted"], again["summary"]["reused"], again["deleted"]) == (1, 1, [])
    fetched = [each.path for each in index.asked[asked:] if each.path.endswith(".whl")]
    assert fetched == ["/files/upper-12.0-py3-none-any.whl"]
    assert listed(tmp_path) == {"upper 12.0", "upper 10.0", "lower 1.0"}, "nothing is deleted without --prune"
    deleted = mirror(bridge, "--prune")["deleted"]
    assert [Path(path).name.rsplit("-", 1)[0] for path in deleted] == ["upper-10.0"]
    assert listed(tmp_path) == {"upper 12.0", "lower 1.0"}
    assert mirror(bridge, "--prune")["deleted"] == []


def test_a_page_that_did_not_change_is_confirmed_by_its_etag(
    bridge: Bridge, index: IndexServer, tmp_path: Path
) -> None:
    index.has_etags = True
    mirror(bridge)
    asked = len(index.asked)
    mirror(bridge)
    assert {(each.path, each.status, each.sent) for each in index.asked[asked:]} == {
        ("/simple/upper/", 304, 0), ("/simple/lower/", 304, 0),
    }  # fmt: skip
    publish(index, tmp_path, "upper", "12.0")
    assert mirror(bridge)["summary"]["converted"] == 1


def test_of_many_projects_only_those_with_a_new_serial_are_asked_for(index: IndexServer, tmp_path: Path) -> None:
    """The list of projects states the serial of each one's last change, and so does each page, as on PyPI."""
    index.serials = {"upper": 7, "lower": 3}
    wanted = Mirror(output=tmp_path / "channel", level=1, many=2)
    request = Request(requirements=(parse_pypi("pypi:upper"), parse_pypi("pypi:lower")))

    def asked() -> list[str]:
        already = len(index.asked)
        settings = Settings(cache_dir=tmp_path / "cache", index_urls=(index.simple,))
        with Session(settings) as session:
            mirrored = mirroring.mirror(request, wanted, session, Workers())
        assert not mirrored.conversion.failures
        return sorted(each.path for each in index.asked[already:] if not each.path.startswith("/files/"))

    pages = ["/simple/", "/simple/lower/", "/simple/upper/"]
    assert asked() == pages
    assert asked() == ["/simple/"]
    publish(index, tmp_path, "upper", "12.0")
    index.serials["upper"] = 9
    assert asked() == ["/simple/", "/simple/upper/"]
    assert "upper 12.0" in listed(tmp_path)
    index.serials.clear()  # an index without serials
    assert asked() == pages


def test_an_interrupted_run_goes_on(bridge: Bridge, index: IndexServer, tmp_path: Path) -> None:
    broken = index.routes["/files/lower-1.0-py3-none-any.whl"]
    broken.statuses += [503] * 20
    ran = bridge("mirror", "-r", "projects.txt", "-o", "channel", "--json", "--prune")
    assert ran.status == 10
    assert listed(tmp_path) == {"upper 10.0"}
    broken.statuses.clear()
    assert mirror(bridge)["summary"] | {"seconds": 0} == {
        "wheels": 2, "converted": 1, "reused": 1, "failed": 0, "seconds": 0,
    }  # fmt: skip


def test_one_project_that_fails_stops_neither_the_others_nor_deletes(bridge: Bridge, tmp_path: Path) -> None:
    mirror(bridge, "--newest", "2")
    (tmp_path / "projects.txt").write_text("upper\nno-such-project\n")
    ran = bridge("mirror", "-r", "projects.txt", "-o", "channel", "--prune", "--json")
    assert ran.status == 6
    assert [failure["wheel"] for failure in checked(ran)["failures"]] == ["no-such-project"]
    assert checked(ran)["deleted"] == []
    assert listed(tmp_path) == {"upper 10.0", "upper 2.0", "lower 1.0"}


def test_records_point_to_the_wheels_and_are_pruned_too(bridge: Bridge, index: IndexServer, tmp_path: Path) -> None:
    first = mirror(bridge, "--wheels-as-records")
    assert {record["url"].rsplit("/", 1)[1] for record in first["records"]} == {
        "upper-10.0-py3-none-any.whl", "lower-1.0-py3-none-any.whl",
    }  # fmt: skip
    publish(index, tmp_path, "upper", "12.0")
    again = mirror(bridge, "--wheels-as-records", "--prune")
    assert again["mirror"] == {"projects": 2, "wheels": 2, "known": 1}
    assert listed(tmp_path) == {"upper 12.0", "lower 1.0"}


def test_the_rules_of_requirements_and_the_cooldown_hold(bridge: Bridge, index: IndexServer, tmp_path: Path) -> None:
    publish(index, tmp_path, "upper", "12.0", facts={"upload-time": "2026-06-01T00:00:00Z"})
    publish(index, tmp_path, "upper", "9.0", facts={"yanked": "broken"})
    mirror(bridge, "--exclude-newer", "2026-02-01")
    assert listed(tmp_path) == {"upper 10.0", "lower 1.0"}
    (tmp_path / "projects.txt").write_text("upper<10\nlower\n")
    mirror(bridge, "--prune")
    assert listed(tmp_path) == {"upper 2.0", "lower 1.0"}
    (tmp_path / "projects.txt").write_text("upper>=11rc1,<12\n")
    mirror(bridge, "--prune")
    assert listed(tmp_path) == {"upper 11.0rc1"}


def test_each_python_gets_its_best_wheel(bridge: Bridge, index: IndexServer, tmp_path: Path) -> None:
    tags = [f"cp3{minor}-cp3{minor}-manylinux_2_{glibc}_x86_64" for minor in (8, 12, 13) for glibc in (17, 28)]
    for tag in (*tags, "cp312-cp312-macosx_11_0_arm64", "pp310-pypy310_pp73-manylinux_2_17_x86_64"):
        wheel = make_wheel(tmp_path / "wheels", "native", "1.0", tag=tag)
        index.publish(wheel, facts={})
    (tmp_path / "projects.txt").write_text("native\n")
    document = mirror(bridge, "--platform", "linux-64", "--platform", "osx-arm64", "--virtual-package", "__glibc=2.36")
    assert {package["wheel"].split("-", 2)[2] for package in document["packages"]} == {
        "cp312-cp312-manylinux_2_28_x86_64.whl",
        "cp313-cp313-manylinux_2_28_x86_64.whl",
        "cp312-cp312-macosx_11_0_arm64.whl",
    }


def test_without_a_project_there_is_nothing_to_mirror(bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "projects.txt").write_text("# none\n")
    ran = bridge("mirror", "-r", "projects.txt", "-o", "channel")
    assert ran.status == 2
    assert not (tmp_path / "channel").exists()


def test_requirements_on_conda_packages_are_told_and_left_out(bridge: Bridge, tmp_path: Path) -> None:
    (tmp_path / "environment.yml").write_text("dependencies: ['zlib=1.3', {pip: [lower]}]\n")
    ran = succeeded(bridge("mirror", "-r", "environment.yml", "-o", "channel"))
    assert "left out, because a mirror of package indexes has no conda packages: zlib" in ran.err
    assert listed(tmp_path) == {"lower 1.0"}


def lock(folder: Path, **files: list[Path]) -> None:
    """A pylock.toml (PEP 751) of these files, which are wheels or an sdist."""
    lines = ['lock-version = "1.0"', 'created-by = "test"']
    for name, paths in files.items():
        lines += ["[[packages]]", f'name = "{name}"', 'version = "1.0"']
        for path in paths:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            lines += ["[[packages.wheels]]" if path.suffix == ".whl" else "[packages.sdist]", f'name = "{path.name}"']
            lines += [f'url = "{path.as_uri()}"', f'hashes = {{sha256 = "{digest}"}}']
    (folder / "pylock.toml").write_text("\n".join(lines))


def test_a_lock_gives_exactly_its_wheels(bridge: Bridge, index: IndexServer, tmp_path: Path) -> None:
    """Those that conda's platforms run: locks also list files for musl and PyPy."""
    tags = ["cp311-cp311-manylinux_2_17_x86_64", "cp312-cp312-win_amd64", "cp311-cp311-musllinux_1_1_x86_64"]
    tags += ["pp310-pypy310_pp73-manylinux_2_17_x86_64"]
    native = [make_wheel(tmp_path / "locked", "native", "1.0", tag=tag) for tag in tags]
    windows = make_wheel(tmp_path / "locked", "only", "1.0", tag="py3-none-win_amd64")
    lock(tmp_path, upper=[make_wheel(tmp_path / "locked", "upper", "1.0")], native=native, only=[windows])
    words = ["mirror", "-r", "pylock.toml", "--json", "-o"]
    everything = checked(succeeded(bridge(*words, "channel")))
    assert everything["mirror"] == {"projects": 3, "wheels": 4, "known": 0}
    made = {path.relative_to(tmp_path / "channel").parts[0] for path in (tmp_path / "channel").rglob("*.conda")}
    assert made == {"linux-64", "win-64", "noarch"}
    assert "upper 1.0" in listed(tmp_path), "not the newest"
    here = checked(succeeded(bridge(*words, "here", "--platform", "linux-64")))
    assert here["mirror"] == {"projects": 3, "wheels": 2, "known": 0}
    assert not index.asked


def test_a_project_that_has_only_source_code_is_a_failure_with_a_hint(bridge: Bridge, tmp_path: Path) -> None:
    source = make_sdist(tmp_path / "files", "source", "1.0")
    musl = make_wheel(tmp_path / "locked", "musl", "1.0", tag="cp311-cp311-musllinux_1_1_x86_64")
    lock(tmp_path, upper=[make_wheel(tmp_path / "locked", "upper", "1.0")], source=[source], musl=[musl])
    ran = bridge("mirror", "-r", "pylock.toml", "-o", "channel")
    assert (ran.status, listed(tmp_path)) == (6, {"upper 1.0"})
    assert "the lock has no wheel, only source code of source" in ran.err
    assert "hint: `bridge convert source -o DIR --index` builds a wheel" in ran.err
    assert "the lock has no wheel that a conda platform runs of musl" in ran.err
    (tmp_path / "projects.txt").write_text("source\nlower\n")
    ran = bridge("mirror", "-r", "projects.txt", "-o", "other", "--find-links", "files")
    assert ran.status == 6
    assert "hint: `bridge convert source -o DIR --index` builds a wheel" in ran.err

"""What was requested earlier stands: a later command for something else neither removes it nor moves it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge import api
from bridge.cli.session import Session
from bridge.errors import NoSolutionError
from bridge.model import Resolution
from tests.support.builders import make_conda, make_repodata, make_wheel, metadata_text
from tests.support.command_line import Bridge, Ran


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`lib` 1 and 2, programs that need one of them, and a package of several distributions."""
    folder = tmp_path_factory.mktemp("packages")
    channel = folder / "channel"
    for version in ("1.0", "2.0"):
        make_conda(channel, "lib", version)
    make_conda(channel, "needs-new", "1.0", depends=["lib >=2"])
    make_conda(channel, "needs-old", "1.0", depends=["lib <2"])
    make_conda(channel, "needs-any", "1.0", depends=["lib"])
    make_conda(channel, "also-old", "1.0", depends=["lib <2"])
    files = {f"site-packages/kit_{part}.py": b"" for part in ("io", "core")}
    for part in ("io", "core"):
        files[f"site-packages/kit_{part}-1.0.dist-info/METADATA"] = metadata_text(f"kit-{part}", "1.0")
    make_conda(channel, "kit", "1.0", noarch="python", depends=["python"], files=files)
    make_conda(channel, "uses-kit", "1.0", depends=["kit"])
    make_repodata(channel)
    make_wheel(folder / "wheels", "kit-io", "1.1", files={"kit_io.py": b"V = 2\n"})
    make_wheel(folder / "wheels", "kit-user", "1.0", requires=["kit-io>=1.1"])
    make_wheel(folder / "wheels", "lib-user", "1.0", requires=["leaf<2"])
    make_wheel(folder / "wheels", "kit-core", "1.1")
    for version in ("1.0", "2.0"):
        make_wheel(folder / "wheels", "leaf", version, files={"leaf.py": b""})
    (folder / "names.json").write_text(json.dumps({"kit": ["kit-io", "kit-core"], "lib": []}))
    return folder


@pytest.fixture
def bridge(packages: Path, tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path, packages, BRIDGE_NAME_MAP=str(packages / "names.json"))


def versions(bridge: Bridge, prefix: Path) -> dict[str, str]:
    listed = json.loads(bridge("list", "-p", prefix, "--json").out)
    return {package["name"]: package["version"] for package in listed["packages"]}


def followed(bridge: Bridge, ran: Ran) -> Ran:
    """Run the commands of a hint that gives something up."""
    hint = next(line for line in ran.err.splitlines() if "to give up" in line)
    done = ran
    for step in re.findall("`(bridge .*?)`", hint):
        words = shlex.split(step)
        done = bridge(*words[1:])
        assert done.status == 0, done.err
    return done


@pytest.mark.slow
def test_no_way_out_is_named_if_removal_takes_what_the_command_needs(bridge: Bridge, tmp_path: Path) -> None:
    prefix, channels = tmp_path / "env", ("-c", "host", "-c", bridge.environ["BRIDGE_CHANNEL"])
    assert bridge("create", "-p", prefix, *channels, "kit").status == 0
    ran = bridge("install", "-p", prefix, "pypi:kit-io")  # python goes with kit, and no channel here has it
    assert ran.status == 6
    assert "`kit` (requested earlier)" in ran.err
    assert "to give up" not in ran.err


def test_a_request_that_no_version_keeps_is_given_up_by_removing_it(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "needs-old", "needs-any").status == 0
    ran = bridge("install", "-p", prefix, "needs-new")
    assert ran.status == 6
    followed(bridge, ran)
    found = versions(bridge, prefix)
    assert found["lib"] == "2.0"
    assert found.keys() == {"lib", "needs-any", "needs-new"}


def test_the_solves_that_look_for_a_way_out_share_the_patience(
    bridge: Bridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []
    resolve = Session.resolve

    def watched(self: Session, *inputs: Any, patience: float, **options: Any) -> Resolution:  # noqa: ANN401
        given.append(patience)
        return resolve(self, *inputs, patience=patience, **options)

    assert bridge("create", "-p", tmp_path / "env", "needs-old", "needs-any").status == 0
    for name, value in {**bridge.environ, "BRIDGE_CACHE_DIR": str(bridge.cache)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(Session, "resolve", watched)
    with pytest.raises(NoSolutionError) as caught:
        api.install(tmp_path / "env", ["needs-new"], options=api.Options(patience=50))
    assert "to give up" in str(caught.value.hint)
    assert given[0] == 25
    whole = given[1::2]  # each attempt but the last takes two solves
    assert len(whole) >= 2
    assert 50 > whole[0] > 2 * given[2] > whole[1]


def test_a_conflict_with_an_earlier_request_names_both_and_the_way_out(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "lib<2").status == 0
    before = versions(bridge, prefix)
    ran = bridge("install", "-p", prefix, "needs-new")
    assert ran.status == 6
    assert "`needs-new` and `lib<2` (requested earlier) cannot be met together" in ran.err
    assert versions(bridge, prefix) == before
    followed(bridge, ran)
    assert versions(bridge, prefix) == {"lib": "2.0", "needs-new": "1.0"}


def test_the_conflict_is_the_same_as_a_document_and_in_a_dry_run(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "lib<2").status == 0
    ran = bridge("install", "-p", prefix, "needs-new", "--dry-run", "--json")
    assert ran.status == 6
    steps = json.loads(ran.out)["error"]["derivation"]
    assert "`lib<2` was requested earlier" in [fact for step in steps for fact in step["because"]]


def test_the_same_name_may_be_requested_again(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "lib<2").status == 0
    ran = bridge("install", "-p", prefix, "lib>=2")
    assert ran.status == 0, ran.err
    assert versions(bridge, prefix) == {"lib": "2.0"}


def test_what_nobody_requested_moves_and_the_plan_says_so(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "needs-any", "lib<2").status == 0
    assert bridge("create", "-p", tmp_path / "other", "needs-any").status == 0
    assert versions(bridge, tmp_path / "other")["lib"] == "2.0"
    ran = bridge("install", "-p", tmp_path / "other", "needs-old")
    assert ran.status == 0, ran.err
    assert "lib" in ran.err
    assert versions(bridge, tmp_path / "other")["lib"] == "1.0"


def test_several_earlier_requests_are_given_up_by_one_command(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "lib=1.0").status == 0
    ran = bridge("install", "-p", prefix, "needs-new", "-q")
    assert ran.status == 6
    assert "bridge install" in ran.err
    followed(bridge, ran)


def test_no_way_out_is_named_where_there_is_none(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "needs-old").status == 0
    ran = bridge("install", "-p", prefix, "needs-new", "lib<2")  # no environment could have both
    assert ran.status == 6
    assert "to give up" not in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("request_", ["pypi:kit-io==1.1", "kit-user"])
def test_a_wheel_does_not_take_the_place_of_a_requested_package(bridge: Bridge, tmp_path: Path, request_: str) -> None:
    prefix, channels = tmp_path / "env", ("-c", "host", "-c", bridge.environ["BRIDGE_CHANNEL"])
    assert bridge("create", "-p", prefix, *channels, "python", "kit").status == 0
    before = versions(bridge, prefix)
    ran = bridge("install", "-p", prefix, request_)
    assert ran.status == 6, ran.out + ran.err
    assert f"`{request_}` and `kit` (requested earlier) cannot be met together" in ran.err
    assert versions(bridge, prefix) == before
    followed(bridge, ran)
    assert versions(bridge, prefix)["kit-io"] == "1.1"


@pytest.mark.slow
def test_wheels_of_all_its_projects_take_the_place_of_a_requested_package(bridge: Bridge, tmp_path: Path) -> None:
    prefix, channels = tmp_path / "env", ("-c", "host", "-c", bridge.environ["BRIDGE_CHANNEL"])
    assert bridge("create", "-p", prefix, *channels, "python", "kit").status == 0
    ran = bridge("install", "-p", prefix, "kit-io", "pypi:kit-core", "pypi:kit-io")
    assert ran.status == 0, ran.err
    assert versions(bridge, prefix).keys() >= {"kit-io", "kit-core"}
    assert "kit" not in versions(bridge, prefix)


@pytest.mark.slow
@pytest.mark.parametrize(("earlier", "status"), [("pypi:kit-io", 0), ("pypi:kit-io<2", 0), ("pypi:kit-io==1.1", 6)])
def test_a_requested_wheel_gives_way_to_a_package_that_meets_its_request(
    bridge: Bridge, tmp_path: Path, earlier: str, status: int
) -> None:
    prefix, channels = tmp_path / "env", ("-c", "host", "-c", bridge.environ["BRIDGE_CHANNEL"])
    assert bridge("create", "-p", prefix, *channels, "python", earlier).status == 0
    ran = bridge("install", "-p", prefix, "conda:kit")
    assert ran.status == status, ran.err
    assert ("kit" in versions(bridge, prefix)) == (status == 0)


@pytest.mark.slow
def test_an_unrequested_package_of_several_distributions_gives_way(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    channels = ("-c", "host", "-c", bridge.environ["BRIDGE_CHANNEL"])
    assert bridge("create", "-p", prefix, *channels, "kit").status == 0
    record = next((prefix / "conda-meta").glob("kit-*.json"))
    document = json.loads(record.read_text())
    del document["requested_spec"], document["requested_specs"]
    record.write_text(json.dumps(document))
    (prefix / "conda-meta/history").write_text("==> 2026-01-01 00:00:00 <==\n")
    ran = bridge("install", "-p", prefix, "pypi:kit-io==1.1")
    assert ran.status == 0, ran.err
    assert "kit" in ran.err


def test_a_request_that_only_the_history_has_stands(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "lib<2").status == 0
    record = next((prefix / "conda-meta").glob("lib-*.json"))
    document = json.loads(record.read_text())
    document["requested_spec"] = "None"  # conda writes so where it replaced the package for something else
    del document["requested_specs"]
    record.write_text(json.dumps(document))
    (prefix / "conda-meta/history").write_text(
        "==> 2026-01-01 00:00:00 <==\n# cmd: conda install lib\n# update specs: ['lib[version=\"<2\"]', 'gone']\n"
    )
    ran = bridge("install", "-p", prefix, "needs-new")
    assert ran.status == 6, ran.err
    assert "requested earlier" in ran.err


def test_an_earlier_request_that_is_violated_already_blocks_nothing(bridge: Bridge, tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "lib=2").status == 0
    record = next((prefix / "conda-meta").glob("lib-*.json"))
    document = json.loads(record.read_text())
    document["requested_spec"] = "lib 1.*"
    document["requested_specs"] = ["lib 1.*", "lib ==="]
    record.write_text(json.dumps(document))
    ran = bridge("install", "-p", prefix, "needs-any")
    assert ran.status == 0, ran.err


@pytest.mark.slow
def test_what_a_distribution_of_pip_needs_stands(bridge: Bridge, tmp_path: Path, packages: Path) -> None:
    prefix = tmp_path / "env"
    assert bridge("create", "-p", prefix, "-c", "host", "python", "leaf<2").status == 0
    wheel = packages / "wheels/lib_user-1.0-py3-none-any.whl"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(prefix / "bin/python"),
        "install",
        "-q",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, str(wheel)], check=True)
    ran = bridge("install", "-p", prefix, "leaf>=2")
    assert ran.status == 6, ran.out + ran.err
    assert "`leaf>=2` cannot be met" in ran.err
    assert "lib-user" in ran.err
    followed(bridge, ran)
    assert versions(bridge, prefix)["leaf"] == "2.0"

"""Channels that list wheels (repodata v3, CEP 48): solved, installed and kept like any other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.convert.channel_index import write_index
from tests.support.builders import make_conda, make_python, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.environments import MINOR
from tests.support.servers import IndexServer


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """A channel with a python, and no index."""
    make_python(tmp_path / "base", MINOR)
    make_repodata(tmp_path / "base")
    environ = {"HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}
    return Bridge(cache=tmp_path / "cache", index=None, folder=tmp_path, environ=environ)


@pytest.fixture
def server() -> Iterator[IndexServer]:
    with IndexServer() as served:
        yield served


def succeeded(ran: Ran) -> Any:  # noqa: ANN401 - a JSON document
    assert ran.status == 0, f"{ran.err}\n{ran.out}"
    return ran.document if ran.out.startswith("{") else None


def listed(bridge: Bridge, folder: Path, *projects: str) -> Path:
    """The channel of records that bridge writes for these wheels: `farm` needs `cow` and, elsewhere, `windmill`."""
    farm = make_wheel(folder, "farm", "1.0", requires=["cow>=1", 'windmill; sys_platform == "win32"'])
    cow = make_wheel(folder, "cow", "2.0")
    wanted = [path for path in (farm, cow) if not projects or path.name.split("-")[0] in projects]
    channel = bridge.folder / "wheels-as-records"
    succeeded(bridge("convert", *wanted, "-o", channel, "--wheels-as-records", "-c", "./base"))
    return channel


def picks(document: Any) -> dict[str, tuple[str, str, str]]:  # noqa: ANN401
    return {
        each["name"]: (each["source"], each["version"], str(each.get("index", each.get("channel"))).rpartition("/")[2])
        for each in document["packages"]
    }


def altered(channel: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change each wheel's record of a channel, and leave it without shards and compressed repodata."""
    for path in channel.glob("*/repodata.json"):
        document = json.loads(path.read_text())
        for record in document.get("v3", {}).get("whl", {}).values():
            change(record)
        path.write_text(json.dumps(document))
    for path in (*channel.glob("*/repodata.json.zst"), *channel.glob("*/repodata_shards.msgpack.zst")):
        path.unlink()


@pytest.mark.parametrize("link", ["url", "artifact_url", "download_url", "fn"])
def test_the_section_of_conda_pypi_before_the_cep(bridge: Bridge, tmp_path: Path, link: str) -> None:
    """`packages.whl`: the key is no file name, and `fn` may differ from the wheel's name in the URL."""
    channel = listed(bridge, tmp_path / "made")
    for path in channel.glob("*/repodata.json"):
        document = json.loads(path.read_text())
        section = {}
        for record in document.pop("v3", {}).get("whl", {}).values():
            file = str(record.pop("url", None) or record["fn"])
            name = f"{record['name']}-{record['version']}-py3_none_any_0"
            section[name] = record | {"fn": f"{record['name']}-{record['version']}.0-py3-none-any.whl"} | {link: file}
        document["packages.whl"] = section
        path.write_text(json.dumps(document))
    for path in (*channel.glob("*/repodata.json.zst"), *channel.glob("*/repodata_shards.msgpack.zst")):
        path.unlink()
    succeeded(bridge("create", "-p", "env", "-c", channel, "-c", "./base", "python", "farm", "--json"))
    found = picks(succeeded(bridge("list", "-p", "env", "--json")))
    assert found["farm"] == ("wheel", "1.0", channel.name)
    assert found["cow"] == ("wheel", "2.0", channel.name)


def test_records_as_the_tools_of_conda_pypi_write_them(bridge: Bridge, tmp_path: Path) -> None:
    """Keys with a build, `md5: null`, no space before a version, conditions (CEP 43) and extras (CEP 44)."""
    channel = listed(bridge, tmp_path / "made")
    extras = {"big": ["farm[extras=[test]]", "cow~=2.0"], "test": ["bull==0.1.0-beta.33[extras=[py-evm]]", "hen==1.*"]}
    needs = [
        "cow<3a0,>=1",
        'cow==2.0[when="(python>=2.7 and (python!=3.0 and python!=3.1))"]',
        "cow[extras=[milk]]",
        'windmill>=223[when="__win"]',
        'cow>=0.21[when="(__unix and python<3.99)"]',
        "python <4a0,>=3.5.3",
    ]
    for path in channel.glob("*/repodata.json"):
        document = json.loads(path.read_text())
        written = {}
        for record in document["v3"]["whl"].values():
            added = {"md5": None, "build": "py3_none_any_0", "noarch": "python", "timestamp": 1550110819000}
            stated = {"depends": needs, "extra_depends": extras} if record["name"] == "farm" else {"extra_depends": {}}
            written[f"{record['name']}-{record['version']}-py3_none_any_0"] = record | added | stated
        document["v3"] = {"conda": {}, "tar.bz2": {}, "whl": written}
        document["info"]["repodata_revisions"] = {"v3": {"n_packages": 2, "newest": 1, "oldest": 1}}
        path.write_text(json.dumps(document | {"repodata_version": 1, "removed": []}))
    for path in (*channel.glob("*/repodata.json.zst"), *channel.glob("*/repodata_shards.msgpack.zst")):
        path.unlink()
    made = bridge("create", "-p", "env", "-c", channel, "-c", "./base", "python", "farm", "--json")
    assert (made.status, "does not describe" in made.err) == (0, False), made.err
    found = picks(succeeded(bridge("list", "-p", "env", "--json")))
    assert (found["farm"], found["cow"]) == (("wheel", "1.0", channel.name), ("wheel", "2.0", channel.name))


def test_what_bridge_lists_bridge_installs(bridge: Bridge, tmp_path: Path) -> None:
    channel = listed(bridge, tmp_path / "made")
    made = bridge("create", "-p", "env", "-c", channel, "-c", "./base", "python", "farm", "--json")
    assert succeeded(made) is not None
    assert "does not describe" not in made.err, "the record of one system says what METADATA says there"
    found = picks(succeeded(bridge("list", "-p", "env", "--json")))
    assert found["farm"] == ("wheel", "1.0", channel.name)
    assert found["cow"] == ("wheel", "2.0", channel.name)
    assert next((tmp_path / "env").rglob("farm-1.0.dist-info/INSTALLER")).read_text() == "bridge\n"
    assert succeeded(bridge("audit", "-p", "env", "--json"))["findings"] == []
    # The environment knows its channels, those of wheels too, and no other source is asked.
    make_wheel(tmp_path / "made", "cow", "3.0")
    shutil.rmtree(channel)
    succeeded(
        bridge("convert", *(tmp_path / "made").glob("*.whl"), "-o", channel, "--wheels-as-records", "-c", "./base")
    )
    updated = succeeded(bridge("update", "-p", "env", "--json"))
    assert updated is not None
    assert picks(succeeded(bridge("list", "-p", "env", "--json")))["cow"] == ("wheel", "3.0", channel.name)


@pytest.mark.parametrize("request_", ["farm", "pypi:farm>=1", "wheels-as-records::farm", "wheels-as-records::farm=1"])
def test_a_request_in_either_syntax_is_met(bridge: Bridge, tmp_path: Path, request_: str) -> None:
    channel = listed(bridge, tmp_path / "made")
    found = picks(succeeded(bridge("resolve", "-c", channel, "-c", "./base", request_, "--json")))
    assert found["farm"] == ("wheel", "1.0", channel.name)
    (tmp_path / "environment.yml").write_text(f"channels: [{channel}, ./base]\ndependencies: [farm >=1]\n")
    assert picks(succeeded(bridge("resolve", "-r", "environment.yml", "--json")))["farm"][0] == "wheel"
    refused = bridge("resolve", "-c", channel, "-c", "./base", "wheels-as-records::farm>=2")
    assert (refused.status, "the channel" in refused.err) == (6, True), refused.err


def test_conda_packages_come_first_and_channels_before_indexes(
    bridge: Bridge, server: IndexServer, tmp_path: Path
) -> None:
    channel = listed(bridge, tmp_path / "made")
    make_conda(tmp_path / "packages", "cow", "1.5", index={"depends": ["python"], "purls": ["pkg:pypi/cow@1.5"]})
    make_repodata(tmp_path / "packages")
    server.publish(make_wheel(tmp_path / "other", "farm", "9.0"))
    words = (
        "resolve",
        "-c",
        channel,
        "-c",
        "./packages",
        "-c",
        "./base",
        "farm",
        "--index-url",
        server.simple,
        "--json",
    )
    found = picks(succeeded(bridge(*words)))
    assert (found["cow"][:2], found["farm"][:2]) == (("conda", "1.5"), ("wheel", "1.0"))
    assert [each.path for each in server.asked if "farm" in each.path] == []
    assert picks(succeeded(bridge(*words, "--index-strategy", "best")))["farm"][:2] == ("wheel", "9.0")
    bound = bridge(*words, "--index", f"farm={server.simple}")
    assert picks(succeeded(bound))["farm"][:2] == ("wheel", "9.0")


@pytest.mark.parametrize("is_sharded", [True, False])
def test_a_channel_on_a_server(bridge: Bridge, server: IndexServer, tmp_path: Path, is_sharded: bool) -> None:
    """URLs may be relative to the subdir (CEP 48)."""
    channel = listed(bridge, tmp_path / "made")

    def relative(record: dict[str, Any]) -> None:
        record["url"] = f"../files/{record['url'].rpartition('/')[2]}"

    altered(channel, relative)
    if is_sharded:
        write_index(channel)
    for path in channel.rglob("*"):
        if path.is_file():
            server.add(f"/w/{path.relative_to(channel).as_posix()}", path.read_bytes())
    for wheel in (tmp_path / "made").glob("*.whl"):
        server.add(f"/w/files/{wheel.name}", wheel.read_bytes())
    succeeded(bridge("create", "-p", "env", "-c", f"{server.url}/w", "-c", "./base", "python", "farm"))
    assert any("repodata_shards" in each.path for each in server.asked)
    (record,) = (tmp_path / "env" / "conda-meta").glob("farm-*.json")
    document = json.loads(record.read_text())
    assert document["url"] == f"{server.url}/w/files/farm-1.0-py3-none-any.whl"
    assert f"channel={server.url}/w" in document["purls"][0]


def test_metadata_decides_and_the_difference_is_told(bridge: Bridge, tmp_path: Path) -> None:
    channel = listed(bridge, tmp_path / "made")

    def wrong(record: dict[str, Any]) -> None:
        if record["name"] == "farm":
            record["depends"] = ["python", 'tractor[version=">=1"]']

    altered(channel, wrong)
    ran = bridge("resolve", "-c", channel, "-c", "./base", "farm", "--json")
    assert set(picks(succeeded(ran))) >= {"farm", "cow"}
    assert "it lacks cow; it adds tractor" in ran.err
    # A wheel that is not the one of the record is refused.
    altered(channel, lambda record: record.update(sha256="0" * 64))
    ran = bridge("create", "-p", "env", "-c", channel, "-c", "./base", "python", "farm")
    assert ran.status == 5, ran.err
    assert not (tmp_path / "env").exists()


def test_a_record_without_a_hash_is_left_out(bridge: Bridge, tmp_path: Path) -> None:
    channel = listed(bridge, tmp_path / "made")
    altered(channel, lambda record: record.pop("sha256"))
    ran = bridge("resolve", "-c", channel, "-c", "./base", "farm")
    assert ran.status == 6, ran.err

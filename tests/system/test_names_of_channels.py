"""The name map of a channel that is served over HTTP, found by what the channel's repodata says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridge.convert.channel_index import write_index
from tests.support.builders import make_conda, make_wheel
from tests.support.command_line import Bridge
from tests.support.servers import Server
from tests.system.test_end_to_end import succeeded


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as served:
        yield served


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    """`converted` has an `app` that needs `ghost` (unconfirmed), and `drum` by its conda name `pydrum`."""
    bridge = Bridge.of_folder(tmp_path)
    make_wheel(tmp_path / "wheels", "ghost", "1.0")
    make_wheel(tmp_path / "wheels", "needs", "1.0", requires=["drum"])
    app = make_wheel(tmp_path / "w", "app", "1.0", requires=["ghost", "drum"])
    (tmp_path / "map.json").write_text('{"pydrum": ["drum"]}')
    succeeded(bridge("convert", app, "-o", "converted", "--index", "--name-map", "map.json"))
    make_conda(tmp_path / "plain", "pydrum", "2.0", subdir="noarch", noarch="python", depends=["python"])
    write_index(tmp_path / "plain")
    return bridge


def serve(server: Server, folder: Path, path: str, *, shards: bool = True) -> str:
    for file in folder.rglob("*"):
        if file.is_file() and (shards or "shards" not in file.name):
            server.add(f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return f"{server.url}{path}"


def packages(document: Any) -> dict[str, tuple[str, str]]:  # noqa: ANN401 - a JSON document
    return {each["name"]: (each["source"], each["version"]) for each in document["packages"]}


@pytest.mark.slow
@pytest.mark.parametrize("shards", [True, False])
def test_the_map_of_a_served_channel_serves_like_that_of_a_directory(
    bridge: Bridge, server: Server, tmp_path: Path, shards: bool
) -> None:
    plain = serve(server, tmp_path / "plain", "/plain", shards=shards)
    converted = serve(server, tmp_path / "converted", "/converted", shards=shards)
    words = ["-c", "host", "--json", "conda:app", "needs"]
    near = succeeded(bridge("resolve", "-c", "./converted", "-c", "./plain", *words)).document
    far = succeeded(bridge("resolve", "-c", converted, "-c", plain, *words)).document
    assert packages(far) == packages(near)
    assert packages(far)["ghost"] == ("wheel", "1.0")
    assert packages(far)["pydrum"] == ("conda", "2.0")
    assert (server.count("/converted/names.json"), server.count("/plain/names.json")) == (1, 0)
    offline = succeeded(bridge("resolve", "--offline", "-c", converted, "-c", plain, *words)).document
    assert packages(offline) == packages(far)


@pytest.mark.slow
def test_a_map_that_is_missing_or_damaged(bridge: Bridge, server: Server, tmp_path: Path) -> None:
    url = serve(server, tmp_path / "converted", "/converted")
    words = ["resolve", "-c", url, "-c", "./plain", "-c", "host", "--json", "conda:app"]
    server.add("/converted/names.json", b'{"ghost": [17], "pydrum": ["drum"]}')
    ran = bridge(*words)
    assert ran.status == 6, "nothing says what ghost is"
    assert "1 invalid rows of the name map are ignored: ghost" in ran.err + ran.out
    server.add("/converted/names.json", b"{")
    ran = replace(bridge, cache=tmp_path / "second")(*words[:3], "-c", "host", "conda:app")
    assert ran.status == 3
    assert f"error[name-map]: {url}/names.json is not a name map" in ran.err
    del server.routes["/converted/names.json"]
    ran = replace(bridge, cache=tmp_path / "third")(*words[:3], "-c", "host", "conda:app")
    assert ran.status == 6
    assert f"it has a name map, but there is none at {url}/names.json" in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("stated", ["../names.json", "http://127.0.0.1:9/names.json", ".names", "", 7])
def test_only_a_file_beside_the_subdirs_is_a_map(
    bridge: Bridge, server: Server, tmp_path: Path, stated: object
) -> None:
    path = tmp_path / "converted/noarch/repodata.json"
    document = json.loads(path.read_bytes())
    document["info"]["pypi_names"] = stated
    path.write_text(json.dumps(document))
    url = serve(server, tmp_path / "converted", "/converted", shards=False)
    del server.routes["/converted/noarch/repodata.json.zst"]
    assert bridge("resolve", "-c", url, "-c", "./plain", "-c", "host", "conda:app").status == 6
    assert not [each.path for each in server.asked if "names" in each.path]

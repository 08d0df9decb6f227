"""Dependency confusion: under a policy a foreign package is never taken for one's own."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran
from tests.support.sdists import make_sdist
from tests.support.servers import IndexServer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = tomllib.loads((Path(__file__).parent / "confusion" / "ways.toml").read_text())
WAYS: list[dict[str, Any]] = DATA["way"]
TARGET = ("--platform", "linux-64", "--virtual-package", "__glibc=2.28")


@dataclass(frozen=True)
class World:
    """Two indexes and two channels, `own` and `open`, and files that name them."""

    folder: Path
    texts: Mapping[str, str]
    places: Mapping[str, str]
    bridge: Bridge

    def filled(self, text: str) -> str:
        for name, value in self.texts.items():
            text = text.replace("{" + name + "}", value)
        return text

    def run(self, way: Mapping[str, Any]) -> Ran:
        words = [self.filled(word) for word in way["words"]]
        if way.get("command") == "sync":
            return self.bridge("sync", "-p", "new", *words, "--json", "--dry-run")
        if way.get("command") == "fetch":
            return self.bridge("fetch", *words, "-o", "fetched", "--json")
        channels = () if "-c" in words else ("-c", "./python-channel")
        return self.bridge("resolve", "--json", *TARGET, *channels, "-c", "./python-channel", "python", *words)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("confusion")
    make_conda(folder / "python-channel", "python", "3.12.1", subdir="linux-64", noarch=None)
    purl = {"purls": ["pkg:pypi/acme-util@99.0"]}
    for channel, name, version, more in (
        ("own-channel", "libacme", "1.0", {}),
        ("open-channel", "libacme", "2.0", {}),
        ("open-channel", "acme-core", "99.0", {}),
        ("open-channel", "pure-luck", "1.0", purl),
    ):
        depends = ["python"] if name != "libacme" else []
        kind = "python" if depends else "generic"
        make_conda(folder / channel, name, version, depends=depends, noarch=kind, index=more)
    for channel in ("own-channel", "open-channel", "python-channel"):
        make_repodata(folder / channel)
    with IndexServer() as own, IndexServer() as open_:
        wheels = folder / "made"
        own.publish(make_wheel(wheels / "own", "acme-core", "1.0"))
        own.publish(make_wheel(wheels / "own", "acme-util", "1.0"))
        own.publish(make_wheel(wheels / "own", "requests", "99.0"))
        own.publish(make_wheel(wheels / "own", "idna", "99.0"))
        evil = make_wheel(wheels / "open", "acme-core", "99.0")
        url = f"{open_.url}/files/{evil.name}"
        open_.publish(evil)
        for name, version, requires in (
            ("acme-util", "99.0", []),
            ("acme-secret", "1.0", []),
            ("requests", "2.0", []),
            ("idna", "3.0", []),
            ("plugin", "1.0", ["acme-core", 'acme-util ; extra == "more"']),
            ("by-url", "1.0", [f"acme-core @ {url}"]),
        ):
            open_.publish(make_wheel(wheels / "open", name, version, requires=requires, extras=["more"]))
        open_.publish(make_sdist(wheels, "sdist_only", "1.0"), core_metadata=False)
        make_wheel(folder / "links", "acme-core", "99.0")
        texts = {
            "own": own.simple,
            "open": open_.simple,
            "open-files": f"{open_.url}/files/",
            "own-host": own.url.removeprefix("http://"),
        }
        _write_files(folder, url, hashlib.sha256(evil.read_bytes()).hexdigest(), texts)
        places = {own.simple: "own", open_.simple: "open"}
        bridge = Bridge(cache=folder / "cache", index=None, folder=folder, environ={"PIP_CONFIG_FILE": "/dev/null"})
        made = World(folder, texts, places, bridge)
        (folder / "bridge-policy.toml").write_text(made.filled(DATA["policy"]))
        yield made


def _write_files(folder: Path, url: str, sha256: str, texts: Mapping[str, str]) -> None:
    (folder / "names.json").write_text(json.dumps({"pure-luck": ["acme-util"]}))
    (folder / "other-index.txt").write_text(f"--extra-index-url {texts['open']}\nacme-core\n")
    python = next((folder / "python-channel" / "linux-64").glob("python-*.conda"))
    of_python = f"{python.as_uri()}#sha256:{hashlib.sha256(python.read_bytes()).hexdigest()}"
    (folder / "lock-of-open.txt").write_text(f"@EXPLICIT\n{of_python}\n# pip acme-core @ {url}#sha256={sha256}\n")
    wheel = f'{{name = "acme_core-99.0-py3-none-any.whl", url = "{url}", hashes = {{sha256 = "{sha256}"}}}}'
    (folder / "lying-pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "hand"\n[[packages]]\nname = "acme-core"\nversion = "99.0"\n'
        f'index = "{texts["own"]}"\nwheels = [{wheel}]\n'
    )


@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way["name"]))
def test_a_foreign_package_is_never_taken_for_ones_own(world: World, way: dict[str, Any]) -> None:
    ran = world.run(way)
    if "refused" in way:
        assert ran.status == way["refused"], ran.out + ran.err
        assert way["says"] in ran.err, ran.err
        return
    assert ran.status == 0, ran.err
    found = {name: each for each in ran.document["packages"] for name in (each["name"], *each["pypi_names"])}
    for name, expected in way["takes"].items():
        place = found[name].get("index") or found[name]["channel"]
        assert f"{world.places.get(place, Path(place).name)} {found[name]['version']}" == expected


def test_there_are_two_dozen_ways_and_none_is_told_twice() -> None:
    assert len({way["name"] for way in WAYS}) == len(WAYS) >= 24

"""Records in the form of an older bridge are renewed by the next change, and nothing that they say is lost."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bridge import prefix
from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path, BRIDGE_CHANNEL=f"host {tmp_path / 'channel'}")


@pytest.fixture
def root(tmp_path: Path, bridge: Bridge) -> Path:
    """An environment with a wheel of an index folder and a conda package, in the records that bridge wrote before."""
    channel = tmp_path / "channel"
    links = {"lib/libu.so": "libu.so.1", "lib/other": "../share"}
    files = {"share/user.txt": b"u\n", "lib/libu.so.1": b"x"}
    make_conda(channel, "user", "8.6", noarch=None, subdir="linux-64", files=files, links=links, depends=["libz <1.3"])
    for name in ("libz", "third"):
        make_conda(channel, name, "1.3.1", noarch=None, subdir="linux-64", files={f"share/{name}.txt": b"z\n"})
    make_repodata(channel)
    path = channel / "linux-64/repodata.json"
    repodata = json.loads(path.read_text())
    repodata["packages.conda"]["user-8.6-0.conda"] |= {"depends": ["libz <2"], "license_family": "BSD"}
    path.write_text(json.dumps(repodata))
    make_wheel(tmp_path / "wheels", "leaf", "1.0", files={"leaf.py": b"V = 1\n"})
    done = bridge("create", "-p", tmp_path / "env", "python", "user", "pypi:leaf")
    assert done.status == 0, done.err
    return tmp_path / "env"


def record(root: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(min((root / "conda-meta").glob(f"{name}-*.json")).read_text())
    return found


def write(root: Path, document: dict[str, Any]) -> None:
    path = root / f"conda-meta/{document['name']}-{document['version']}-{document['build']}.json"
    path.write_text(json.dumps(document))


def make_old(root: Path) -> None:
    """What bridge 0.1.0 wrote of `leaf` and of `user`."""
    leaf = record(root, "leaf")
    del leaf["package_type"]
    folder, _, filename = leaf["url"].rpartition("/")
    write(root, leaf | {"fn": filename, "channel": folder, "purls": ["pkg:pypi/leaf@1.0"], "mine": 1})
    user = record(root, "user")
    del user["md5"], user["license_family"]
    for entry in user["paths_data"]["paths"]:
        if entry["path_type"] == "softlink":
            text = os.fsencode(os.readlink(root / entry["_path"]))
            entry["sha256_in_prefix"] = hashlib.sha256(text).hexdigest()
    write(root, user | {"depends": ["libz <1.3"]})


@pytest.mark.slow
@pytest.mark.parametrize("words", [("install", "third"), ("remove", "user"), ("install", "pypi:other")])
def test_the_next_change_renews_what_it_keeps(
    tmp_path: Path, bridge: Bridge, root: Path, words: tuple[str, ...]
) -> None:
    make_wheel(tmp_path / "wheels", "other", "1.0", files={"other.py": b""})
    leaf, user = record(root, "leaf"), record(root, "user")
    make_old(root)
    wheel = next(each for each in prefix.read(root).installed if each.record.name == "leaf")
    done = bridge(words[0], "-p", root, *words[1:])
    assert done.status == 0, done.err
    assert record(root, "leaf") == leaf | {"mine": 1}
    if words[0] == "install":
        assert record(root, "user") == user
    state = prefix.read(root)
    found = next(each for each in state.installed if each.record.name == "leaf")
    assert (found.record.filename, found.record.origin) == (wheel.record.filename, wheel.record.origin)
    assert found.requested == wheel.requested == ("pypi:leaf",)
    assert bridge("audit", "-p", root).status == 0


@pytest.mark.slow
def test_old_records_are_no_fault_and_a_change_of_nothing_leaves_them(bridge: Bridge, root: Path) -> None:
    make_old(root)
    write(root, record(root, "user") | {"depends": ["libz <2"]})
    before = {path: path.read_bytes() for path in (root / "conda-meta").glob("*.json")}
    assert bridge("audit", "-p", root).status == 0
    assert bridge("install", "-p", root, "pypi:leaf").status == 0
    assert {path: path.read_bytes() for path in (root / "conda-meta").glob("*.json")} == before


def test_the_records_of_other_clients_stay(bridge: Bridge, root: Path) -> None:
    make_old(root)
    user = record(root, "user") | {"depends": ["libz <2"], "link": {"source": "/opt/pkgs/user-8.6-0", "type": 1}}
    write(root, user)
    assert bridge("install", "-p", root, "third").status == 0
    assert record(root, "user") == user


@pytest.mark.slow
def test_a_change_that_fails_renews_nothing(tmp_path: Path, bridge: Bridge, root: Path) -> None:
    make_old(root)
    make_wheel(tmp_path / "wheels", "other", "1.0", files={"other.py": b""})
    (min(root.glob("lib/python3*/site-packages")) / "other.py").write_bytes(b"of nobody")
    before = {path: path.read_bytes() for path in (root / "conda-meta").glob("*.json")}
    assert bridge("install", "-p", root, "pypi:other").status == 4
    assert {path: path.read_bytes() for path in (root / "conda-meta").glob("*.json")} == before

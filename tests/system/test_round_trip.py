"""An environment, written in each format that can hold it, and made again of that: the same files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.fault.commands import make_packages
from tests.support.command_line import Bridge
from tests.support.prefix_trees import tree

# The format's file → what the environment must have before, and what the format has no place for.
FORMATS: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {
    "bridge.lock": ((), frozenset()),
    "conda-lock.yml": ((), frozenset({"requested"})),
    "explicit.txt": ((), frozenset({"requested", "md5"})),
    "pylock.toml": (("python=3.11", "lib=2.0"), frozenset({"requested"})),
    "requirements.txt": (("python=3.11", "lib=2.0"), frozenset({"requested"})),
}
OF_REQUEST = ("/REQUESTED", "/direct_url.json")


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Bridge:
    packages = tmp_path_factory.mktemp("packages")
    make_packages(packages)
    return Bridge.of_folder(tmp_path_factory.mktemp("made"), packages)


@pytest.mark.parametrize("name", FORMATS)
def test_an_exported_environment_is_made_again(bridge: Bridge, tmp_path: Path, name: str) -> None:
    before, lacking = FORMATS[name]
    env, file = tmp_path / "env", tmp_path / name
    assert bridge("create", "-p", env, "python=3.11", "pypi:demo==2.0", "lib=2.0").status == 0
    written = bridge("export", "-p", env, "-o", file)
    assert written.status == 0, written.err
    assert bridge("diff", env, file, "--json").document["changed"] == []
    first = tree(env)
    shutil.rmtree(env)
    if before:
        assert bridge("create", "-p", env, *before).status == 0
    ran = bridge("sync", "-p", env, file)
    assert ran.status == 0, ran.err
    assert bridge("audit", "-p", env, "--against", file, "--json").document["findings"] == []
    again = tree(env)
    one, other = (_comparable(each, lacking) for each in (first, again))
    assert one.keys() == other.keys()
    assert {path: data for path, data in one.items() if other[path] != data} == {}


def _comparable(files: dict[str, bytes], lacking: frozenset[str]) -> dict[str, object]:
    """The files without times, without what a format has no place for, and what follows from that."""
    found: dict[str, object] = {}
    for path, data in files.items():
        if path.startswith("conda-meta/") and path.endswith(".json"):
            document = json.loads(data)
            for key in ("timestamp", *lacking):
                document.pop(key, None)
            if "requested" in lacking:
                for key in ("requested_spec", "requested_specs", "files", "paths_data"):
                    document.pop(key, None)
            found[path] = document
        elif "requested" in lacking and (path.endswith(OF_REQUEST) or path.endswith("/RECORD")):
            continue
        else:
            found[path] = data
    return found

"""conda-pack finds in bridge's environments what it looks for in conda's: it rewrites every prefix and never warns."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bridge.cache import prune as caches
from tests.support.builders import make_conda, make_repodata, make_wheel
from tests.support.command_line import Bridge, Ran

PLACEHOLDER = "/opt/" + "placehold_" * 20
PACK = "import sys, conda_pack; conda_pack.pack(prefix=sys.argv[1], output=sys.argv[2])"


@pytest.fixture
def bridge(tmp_path: Path) -> Bridge:
    return Bridge.of_folder(tmp_path, BRIDGE_CHANNEL=f"host {tmp_path / 'channel'}")


@pytest.fixture
def root(tmp_path: Path, bridge: Bridge) -> Path:
    """An environment whose prefix stands in text and binary files, of a noarch package and of a wheel's script too."""
    channel, root = tmp_path / "channel", tmp_path / "env"
    text, binary = f"root={PLACEHOLDER}\n".encode(), b"\0\1" + PLACEHOLDER.encode() + b"/lib\0\0\2"
    make_conda(
        channel, "tool", "1.0", noarch=None, subdir="linux-64", executable=["bin/tool", "bin/program"],
        files={"bin/tool": b"#!" + PLACEHOLDER.encode() + b"/bin/python\n", "bin/program": b"\x7fELF\xff" + binary,
               "etc/tool.conf": text, "lib/libtool.so.1": binary, "share/plain": b"x"},
        links={"lib/libtool.so": "libtool.so.1"},
        placeholders={"bin/tool": (PLACEHOLDER, "text"), "bin/program": (PLACEHOLDER, "binary"),
                      "etc/tool.conf": (PLACEHOLDER, "text"), "lib/libtool.so.1": (PLACEHOLDER, "binary")},
    )  # fmt: skip
    make_conda(
        channel, "pure", "1.0", noarch="python", depends=["python"], entry_points=["pure = pure:main"],
        files={"site-packages/pure.py": b"def main(): pass\n", "site-packages/where.cfg": text},
        placeholders={"site-packages/where.cfg": (PLACEHOLDER, "text")},
    )  # fmt: skip
    make_conda(channel, "simple", "1.0", noarch=None, subdir="linux-64", files={"share/simple": b"s\n"})
    make_repodata(channel)
    wheel = {
        "leaf.py": b"def main(): print('leaf')\n",
        "leaf-1.0.dist-info/entry_points.txt": b"[console_scripts]\nleaf = leaf:main\n",
    }
    make_wheel(tmp_path / "wheels", "leaf", "1.0", files=wheel)
    done = bridge("create", "-p", root, "python", "tool", "pure", "simple", "pypi:leaf")
    assert done.status == 0, done.err
    return root


def sources(root: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in (root / "conda-meta").glob("*.json"):
        document: dict[str, Any] = json.loads(path.read_text())
        found[document["name"]] = Path(document["link"]["source"])
    return found


def listed(source: Path) -> dict[str, dict[str, Any]]:
    return {path["_path"]: path for path in json.loads((source / "info/paths.json").read_text())["paths"]}


@pytest.mark.slow
def test_a_record_leads_to_the_files_as_they_were_packed(root: Path) -> None:
    found = sources(root)
    assert all(source.is_dir() for source in found.values())
    tool = listed(found["tool"])
    assert {path: entry["file_mode"] for path, entry in tool.items()} == {
        "bin/tool": "text", "bin/program": "binary", "etc/tool.conf": "text", "lib/libtool.so.1": "binary",
    }  # fmt: skip
    for path, entry in tool.items():
        assert entry["prefix_placeholder"] == PLACEHOLDER
        assert PLACEHOLDER.encode() in (found["tool"] / path).read_bytes()
        assert os.access(found["tool"] / path, os.X_OK) == path.startswith("bin/")
    assert list(listed(found["pure"])) == ["site-packages/where.cfg"]
    assert found["simple"] == found["leaf"]
    assert listed(found["leaf"]) == {}


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_costs_the_source_only(tmp_path: Path, bridge: Bridge, root: Path) -> None:
    originals = sources(root)["leaf"].parent
    subprocess.run(["rm", "-r", originals], check=True)
    originals.write_bytes(b"in the way")
    done = bridge("create", "-p", tmp_path / "second", "python", "tool", "pypi:leaf")
    assert done.status == 0, done.err
    assert set(sources(tmp_path / "second").values()) == {Path()}


@pytest.mark.slow
def test_pruning_takes_a_folder_whole_or_not_at_all(tmp_path: Path, root: Path) -> None:
    tool = sources(root)["tool"]
    for path in tool.rglob("*"):
        os.utime(path, (1000.0, 1000.0)) if path.is_file() else None
    os.utime(tool / "etc/tool.conf", (5000.0, 5000.0))
    caches.prune(tmp_path / "cache", before=500.0, now=9000.0)
    assert (tool / "info/paths.json").is_file()
    assert (tool / "bin/tool").is_file()
    caches.prune(tmp_path / "cache", before=2000.0, now=9000.0)
    assert not tool.exists()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("conda_pack") is None, reason="conda-pack is not installed")
def test_an_environment_is_packed_and_unpacked_elsewhere(tmp_path: Path, root: Path) -> None:
    def run(*command: object) -> Ran:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    archive, other = tmp_path / "packed.tar", tmp_path / ("another-and-longer-place-" * 3)
    packed = run(sys.executable, "-W", "error::UserWarning", "-c", PACK, root, archive)
    assert packed.status == 0, packed.err
    run("tar", "xf", archive, f"--one-top-level={other}")
    unpacked = run(other / "bin/python", other / "bin/conda-unpack")
    assert unpacked.status == 0, unpacked.err
    for path in other.rglob("*"):
        # The history has the command that was typed; conda-unpack lists what it replaced; bytecode is no matter.
        if path.is_symlink() or not path.is_file() or path.suffix == ".pyc" or path.name in {"history", "conda-unpack"}:
            continue
        data = path.read_bytes()
        assert str(root).encode() not in data, path
        assert PLACEHOLDER.encode() not in data or path.parent.name == "conda-meta", path
    bridge = Bridge.of_folder(tmp_path)
    report = bridge("audit", "-p", other, "--json").document["findings"]
    told = {each["path"]: each["level"] for each in report if each["id"] == "unowned-file"}
    assert told == dict.fromkeys(
        ("bin/activate", "bin/activate.fish", "bin/conda-unpack", "bin/conda_unpack_progress.py", "bin/deactivate"),
        "info",
    )
    assert (other / "etc/tool.conf").read_text() == f"root={other}\n"
    assert str(other).encode() + b"/lib\0" in (other / "lib/libtool.so.1").read_bytes()
    assert len((other / "bin/program").read_bytes()) == len((root / "bin/program").read_bytes())
    assert run(other / "bin/python", "-c", "import leaf, pure; leaf.main()").out == "leaf\n"

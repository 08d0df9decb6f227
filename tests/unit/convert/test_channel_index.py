"""The index of a channel: what stock clients read of it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard

from bridge.convert.channel_index import write_index
from bridge.convert.wheel import convert_wheel, describe_wheel
from converters.names import NameMap
from converters.repodata import bracketed_matchspec
from converters.target import Python, Target
from tests.support.builders import make_conda, make_wheel

LINUX = Target(subdir="linux-64", python=Python(version="3.12.4"))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing is said."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# What stock py-rattler solves argv[3:] to, over the channels argv[2]; it ends without the interpreter's finalisation.
_SOLVE = """
import asyncio, json, os, sys
from rattler import Channel, Gateway, solve

async def main():
    records = await solve([Channel(sys.argv[2])], sys.argv[3:], gateway=Gateway(cache_dir=sys.argv[1]),
                          platforms=["linux-64", "noarch"], virtual_packages=[])
    print(json.dumps(sorted([r.name.normalized, r.url, r.sha256.hex()] for r in records)))

asyncio.run(main())
sys.stdout.flush()
os._exit(0)
"""

# The same of records that point to wheels, for which the client must be told to look.
_SOLVE_WHEELS = """
import asyncio, json, os, sys
from pathlib import Path
from typing import Any
from rattler import Channel, SparseRepoData, solve_with_sparse_repodata
from rattler.repo_data import PackageFormatSelection

async def main():
    known = [SparseRepoData(Channel(Path(sys.argv[2]).as_uri()), subdir, f"{sys.argv[2]}/{subdir}/repodata.json")
             for subdir in ("noarch", "linux-64")]
    records = await solve_with_sparse_repodata(sys.argv[3:], known, virtual_packages=[],
                                               package_format_selection=PackageFormatSelection.PREFER_CONDA_WITH_WHL)
    print(json.dumps(sorted([r.name.normalized, r.url, r.sha256.hex()] for r in records)))

asyncio.run(main())
sys.stdout.flush()
os._exit(0)
"""


def ran(code: str, *words: str) -> list[list[str]]:
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def channel(folder: Path) -> Path:
    """A channel of two converted wheels, and a python that nobody will unpack."""
    make_conda(folder, "python", "3.12.4", subdir="linux-64", noarch=None)
    for name, requires in (("upper", ["lower>=1"]), ("lower", [])):
        wheel = make_wheel(folder / "wheels", name, "1.5", requires=requires, extras=["more"])
        convert_wheel(wheel, folder, names=NameMap.empty(), level=1)
    return folder


@pytest.mark.parametrize("hidden", ["repodata_shards.msgpack.zst", "repodata.json*"])
def test_stock_clients_read_each_form_alone(tmp_path: Path, hidden: str) -> None:
    folder = channel(tmp_path / "channel")
    write_index(folder)
    for path in folder.glob(f"*/{hidden}"):
        path.unlink()
    with served(folder) as url:
        found = ran(_SOLVE, str(tmp_path / "cache"), url, "upper")
    assert [name for name, _, _ in found] == ["lower", "python", "upper"]
    for _, address, sha256 in found:
        path = folder / address.removeprefix(f"{url}/")
        assert path.is_file()
        assert len(sha256) == 64


def test_shards_hold_what_repodata_holds(tmp_path: Path) -> None:
    """CEP 16: "the shard contains the repodata information that would otherwise have been found in repodata.json"."""
    folder = channel(tmp_path)
    write_index(folder)
    place = folder / "noarch"
    expected = json.loads((place / "repodata.json").read_text())["packages.conda"]
    index = unpacked(place / "repodata_shards.msgpack.zst")
    found: dict[str, object] = {}
    for digest in index["shards"].values():
        shard = unpacked(place / index["info"]["shards_base_url"] / f"{digest.hex()}.msgpack.zst")
        for filename, record in shard["packages.conda"].items():
            found[filename] = record | {"sha256": record["sha256"].hex(), "md5": record["md5"].hex()}
    assert found == expected
    assert sorted(index["shards"]) == ["lower", "upper"]

    before = {path.name for path in (place / "shards").iterdir()}
    next(place.glob("lower-*.conda")).unlink()
    write_index(folder)
    assert len({path.name for path in (place / "shards").iterdir()} & before) == 1, "no shard that nobody names stays"


def unpacked(path: Path) -> dict[str, Any]:
    packed = path.read_bytes()
    found = msgpack.unpackb(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
    assert isinstance(found, dict)
    return found


def test_stock_clients_solve_with_records_that_point_to_wheels(tmp_path: Path) -> None:
    folder = tmp_path / "channel"
    make_conda(folder, "python", "3.12.4", subdir="linux-64", noarch=None)
    wheels = [
        make_wheel(tmp_path, "upper", "1.5", requires=["lower>=1,<2"], extras=["more"]),
        make_wheel(tmp_path, "lower", "1.5"),
        make_wheel(tmp_path, "lower", "2.0"),
    ]
    described = [describe_wheel(wheel, wheel.as_uri(), names=NameMap.empty()).all for wheel in wheels]
    entries = [each.entry for packages in described for each in packages]
    write_index(folder, entries)
    found = ran(_SOLVE_WHEELS, str(tmp_path / "cache"), str(folder), "upper")
    assert {name: url for name, url, _ in found if name != "python"} == {
        "upper": wheels[0].as_uri(),
        "lower": wheels[1].as_uri(),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pip", "pip"),
        ("numpy >=2", 'numpy[version=">=2"]'),
        ("python_abi 3.12.* *_cp312", 'python_abi[version="3.12.*",build="*_cp312"]'),
        ("qux >=1.4.5.post1,<1.5dev0|>1.4.5,<1.5dev0", 'qux[version=">=1.4.5.post1,<1.5dev0|>1.4.5,<1.5dev0"]'),
        ("python_abi * *_cp*", 'python_abi[version="*",build="*_cp*"]'),
        ("python_abi * ^.*_cp3..?$", 'python_abi[version="*",build="^.*_cp3..?$"]'),
        ("dask[version='>=2',extras=[array]]", "dask[version='>=2',extras=[array]]"),
    ],
)
def test_matchspecs_of_revision_3_have_brackets(text: str, expected: str) -> None:
    """CEP 48: "If any field other than `name` is set, the MatchSpec MUST use the name + square-brackets form"."""
    assert bracketed_matchspec(text) == expected
    from rattler import MatchSpec

    plain, bracket = MatchSpec(text), MatchSpec(expected)
    assert (str(plain.name), str(plain.version), str(plain.build)) == (
        str(bracket.name), str(bracket.version), str(bracket.build),
    )  # fmt: skip
